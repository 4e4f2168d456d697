"""A whole migration of a PostgreSQL table through `Migrator`, while an application goes on writing to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from lightmigrate import Migrator, Projection
from lightmigrate.errors import WrittenSinceError
from lightmigrate.vectors import Vectors
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 1200
INSERTED, CHANGED = np.full(OLD_DIM, 0.5, np.float32), np.full(OLD_DIM, 0.25, np.float32)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PgMaker]:
    """A table `docs` with an index, a view and a grant beside it."""
    maker = PgMaker(tmp_path)
    maker.create("docs", OLD_DIM, "cosine")
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        with connection.cursor().copy("COPY docs (id, content, embedding, number) FROM STDIN") as copy:
            for row, vector in enumerate(make_vectors(ROWS)):
                copy.write_row((f"id{row}", f"text {row}", literal(vector), row))
        connection.execute("CREATE VIEW titles AS SELECT id, content FROM docs")
        connection.execute("GRANT SELECT ON docs TO PUBLIC")
    yield maker
    maker.release()


def literal(vector: Vectors) -> str:
    """A vector as PostgreSQL reads it, to the bit."""
    return f"[{','.join(repr(float(number)) for number in vector)}]"


def stored(maker: PgMaker) -> dict[str, tuple[str, Vectors]]:
    """Text and vector of every row."""
    with psycopg.connect(maker.conninfo) as connection:
        rows = connection.execute("SELECT id, content, embedding::text FROM docs").fetchall()
    return {row: (text, np.array(vector.strip("[]").split(","), np.float32)) for row, text, vector in rows}


class Writer(threading.Thread):
    """Inserts, changes and deletes rows until the column has another dimension; waits for no lock longer than 1 s.

    Attributes:
        failed: what a write failed with, other than the new dimension.
    """

    def __init__(self, conninfo: str) -> None:
        super().__init__()
        self._conninfo = conninfo
        self.begun, self.done = threading.Event(), threading.Event()
        self.failed: psycopg.Error | None = None
        self.inserted: list[str] = []
        self.changed: list[str] = []
        self.deleted: list[str] = []

    def run(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True, options="-c lock_timeout=1s") as connection:
            for turn in range(ROWS // 3):
                if self.done.wait(0.002):  # paced, so that the migration has its share of two cores
                    return
                try:
                    self._write(connection, turn)
                except psycopg.errors.DataException:  # the new dimension
                    return
                except psycopg.Error as error:
                    self.failed = error
                    return
                self.begun.set()

    def _write(self, connection: psycopg.Connection[tuple[object, ...]], turn: int) -> None:
        inserted, changed, deleted = f"new{turn}", f"id{turn}", f"id{ROWS - 1 - turn}"
        insert = "INSERT INTO docs (id, content, embedding) VALUES (%s, 'inserted', %s)"
        connection.execute(insert, (inserted, literal(INSERTED)))
        self.inserted.append(inserted)
        update = "UPDATE docs SET content = 'changed', embedding = %s WHERE id = %s"
        connection.execute(update, (literal(CHANGED), changed))
        self.changed.append(changed)
        connection.execute("DELETE FROM docs WHERE id = %s", (deleted,))
        self.deleted.append(deleted)


def test_nothing_that_is_written_meanwhile_is_lost(database: PgMaker) -> None:
    projection, writer = make_projection(), Writer(database.conninfo)
    writer.start()
    assert writer.begun.wait(60)
    try:
        result = Migrator(database.locator, page_size=200).migrate_collection("docs", projection)
    finally:
        writer.done.set()
        writer.join()
    assert writer.failed is None
    rows, old = stored(database), make_vectors(ROWS)
    assert rows.keys() == {f"id{row}" for row in range(ROWS)} - set(writer.deleted) | set(writer.inserted)
    assert result.n_migrated - len(rows) in (0, 1), "a turn may end in a deletion right after the exchange"
    images = dict(zip(("inserted", "changed"), projection.apply(np.stack([INSERTED, CHANGED])), strict=True))
    for name, (text, vector) in rows.items():
        expected = images[text] if text in images else projection.apply(old[None, int(name[2:])])[0]
        np.testing.assert_allclose(vector, expected, atol=2e-5)
    assert {name for name, (text, _) in rows.items() if text == "changed"} == set(writer.changed) - set(writer.deleted)
    with psycopg.connect(database.conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM titles").fetchone() == (len(rows),)
        granted = "SELECT has_table_privilege('public', 'docs', 'SELECT')"
        assert connection.execute(granted).fetchone() == (True,)


@pytest.fixture
def projection() -> Projection:
    return make_projection()


def test_there_and_back_to_the_bit(database: PgMaker, projection: Projection) -> None:
    before, migrator = stored(database), Migrator(database.locator)
    migrator.migrate_collection("docs", projection)
    assert {len(vector) for _, vector in stored(database).values()} == {NEW_DIM}
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    after = stored(database)
    assert all((after[name][1] == vector).all() for name, (_, vector) in before.items())
    assert len(migrator.backups()) == 1
    migrator.clean()
    assert migrator.backups() == []


def test_what_was_written_since_is_refused_carried_or_discarded(database: PgMaker, projection: Projection) -> None:
    before, migrator = stored(database), Migrator(database.locator)
    migrator.migrate_collection("docs", projection)
    database_row = projection.apply(INSERTED[None])[0]
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        insert = "INSERT INTO docs (id, content, embedding) VALUES ('later', 'inserted', %s)"
        connection.execute(insert, (literal(database_row),))
    with pytest.raises(WrittenSinceError, match="1 records were added, 0 changed, 0 deleted"):
        migrator.rollback()
    assert len(stored(database)["later"][1]) == NEW_DIM
    assert migrator.rollback(written="carry").carried
    after = stored(database)
    assert len(after["later"][1]) == OLD_DIM
    assert all((after[name][1] == vector).all() for name, (_, vector) in before.items())
