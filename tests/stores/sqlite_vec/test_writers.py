"""An application goes on writing to the file while it is migrated: nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from lightmigrate import Migrator
from lightmigrate.stores.base import Address, Page
from tests.contract.sqlite_vec import application, opened
from tests.databases import NEW_DIM, OLD_DIM, make_projection
from tests.stores.sqlite_vec.application import insert_vector, make_application

ROWS = 400
INSERTED, CHANGED = np.full(OLD_DIM, 0.5, np.float32), np.full(OLD_DIM, 0.25, np.float32)


class Writer(threading.Thread):
    """Inserts, changes and deletes rows, through a connection of its own, until the table has another dimension."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.begun, self.done = threading.Event(), threading.Event()
        self.inserted: list[int] = []
        self.changed: list[int] = []
        self.deleted: list[int] = []

    def run(self) -> None:
        connection = application(self._path)
        for turn in range(ROWS // 3):
            if self.done.wait(0.002):  # paced, so that the migration has its share of two cores
                break
            inserted, changed, deleted = 100_000 + turn, turn * 7 + 1, (ROWS - 1 - turn) * 7 + 1
            connection.execute("BEGIN IMMEDIATE")
            statement = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'notes_vec'").fetchall()[0][0]
            if f"float[{OLD_DIM}]" not in statement:
                connection.execute("ROLLBACK")
                break
            connection.execute("INSERT INTO notes VALUES (?, 'new', 'inserted', NULL, NULL)", (inserted,))
            insert_vector(connection, inserted, INSERTED)
            connection.execute(
                "UPDATE notes_vec SET embedding = ? WHERE note_id = ?", (CHANGED.tobytes(), changed)
            )  # and not the text: only the vector shows it
            connection.execute("DELETE FROM notes WHERE id = ?", (deleted,))
            connection.execute("COMMIT")
            self.inserted.append(inserted)
            self.changed.append(changed)
            self.deleted.append(deleted)
            self.begun.set()
        connection.close()


def test_nothing_that_is_written_meanwhile_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    old, projection, writer = make_application(path, ROWS), make_projection(), Writer(path)
    writer.start()
    assert writer.begun.wait(60)
    try:
        result = Migrator(path, page_size=100).migrate_collection("notes_vec", projection)
    finally:
        writer.done.set()
        writer.join()
    with opened(path) as store:
        page = Page.joined(list(store.collection(Address("notes_vec")).scan(1000)))
    expected = {row * 7 + 1 for row in range(ROWS)} - set(writer.deleted) | set(writer.inserted)
    assert {int(record) for record in page.ids} == expected
    assert result.n_migrated == len(page)
    assert page.vectors.shape[1] == NEW_DIM
    inserted, changed = projection.apply(np.stack([INSERTED, CHANGED]))
    for record, vector in zip(map(int, page.ids), page.vectors, strict=True):
        if record >= 100_000:
            wanted = inserted
        else:
            row = (record - 1) // 7
            wanted = changed if record in writer.changed else projection.apply(old[row : row + 1])[0]
        np.testing.assert_allclose(vector, wanted, atol=2e-5)
