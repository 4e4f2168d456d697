"""A whole migration of a PostgreSQL table through `Migrator`, while an application goes on writing to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import psycopg
import pytest

from lightmigrate import Migrator, Projection
from lightmigrate.errors import FailedError, WrittenSinceError
from lightmigrate.progress import Progress
from lightmigrate.vectors import Vectors
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.processes import TIMEOUT

ROWS, PAGE = 1200, 400
INSERTED = np.full(OLD_DIM, 0.5, np.float32)
INSERT = "INSERT INTO docs (embedding, content, id) VALUES (%s, %s, %s)"

# Two connections with a pause of 10 ms before each write: 200 a second at most, so that the migration has its share of
# two cores.
WRITERS, PAUSE = 2, 0.01

Connection: TypeAlias = "psycopg.Connection[tuple[object, ...]]"


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


def vector_of(writer: int, turn: int) -> Vectors:
    """What a writer writes in a turn; no two are the same."""
    vector = np.full(OLD_DIM, 0.25, np.float32)
    vector[:2] = writer, turn / 8
    return vector


def stored(maker: PgMaker) -> dict[str, tuple[str, Vectors]]:
    """Text and vector of every row."""
    with psycopg.connect(maker.conninfo) as connection:
        rows = connection.execute("SELECT id, content, embedding::text FROM docs").fetchall()
    return {row: (text, np.array(vector.strip("[]").split(","), np.float32)) for row, text, vector in rows}


class Writer(threading.Thread):
    """Writes to rows of its own in every way until the column has another dimension; waits for no lock longer than 1 s.

    Attributes:
        rows: what its rows are after all that it has written: text and old vector.
        rounds: how often it has written in every way.
        ended: what ended it: the new dimension, and nothing else.
    """

    def __init__(self, conninfo: str, number: int) -> None:
        super().__init__()
        self._conninfo, self._number = conninfo, number
        self._again, self._left = threading.Condition(), threading.Event()
        vectors = make_vectors(ROWS)
        self.rows = {f"id{row}": (f"text {row}", vectors[row]) for row in range(number, ROWS, WRITERS)}
        self.rounds = 0
        self.ended: psycopg.Error | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self._conninfo, autocommit=True, options="-c lock_timeout=1s") as connection:
                while not self._left.is_set():
                    self._write_in_every_way(connection, list(self.rows), vector_of(self._number, self.rounds))
                    with self._again:
                        self.rounds += 1
                        self._again.notify_all()
        except psycopg.Error as error:
            self.ended = error
        with self._again:
            self._again.notify_all()

    def wait_for_all_ways(self) -> None:
        """Wait until it has written in every way from now on, unless it has ended."""
        with self._again:
            begun = self.rounds
            assert self._again.wait_for(lambda: self.rounds >= begun + 2 or not self.is_alive(), TIMEOUT)

    def stop(self) -> None:
        self._left.set()

    def _write_in_every_way(self, connection: Connection, ids: list[str], vector: Vectors) -> None:
        inserted, back = f"new{self._number}-{self.rounds}", f"back{self._number}"
        replaced, whole, text, deleted = (ids[(self.rounds * 4 + way) % len(ids)] for way in range(4))
        self._execute(connection, INSERT, literal(vector), "inserted", inserted)
        self.rows[inserted] = "inserted", vector
        self._execute(connection, "UPDATE docs SET embedding = %s WHERE id = %s", literal(vector), replaced)
        self.rows[replaced] = self.rows[replaced][0], vector
        self._execute(connection, "UPDATE docs SET embedding = %s, content = '' WHERE id = %s", literal(-vector), whole)
        self.rows[whole] = "", -vector
        self._execute(connection, "UPDATE docs SET content = %s WHERE id = %s", "changed", text)
        self.rows[text] = "changed", self.rows[text][1]
        self._execute(connection, "DELETE FROM docs WHERE id = %s", deleted)
        del self.rows[deleted]
        if self.rows.pop(back, None) is not None:
            self._execute(connection, "DELETE FROM docs WHERE id = %s", back)
        self._execute(connection, INSERT, literal(vector), "is there again", back)
        self.rows[back] = "is there again", vector

    def _execute(self, connection: Connection, statement: str, *values: str) -> None:
        self._left.wait(PAUSE)
        connection.execute(statement.encode(), values)


def test_nothing_that_is_written_meanwhile_is_lost(database: PgMaker) -> None:
    """While rows are inserted, updated and deleted by several connections, from the beginning to the exchange."""
    projection, writers = make_projection(), [Writer(database.conninfo, number) for number in range(WRITERS)]
    pages = 0

    def beside(progress: Progress) -> None:
        nonlocal pages
        pages += progress.step == "project"
        if pages <= ROWS // PAGE:  # later ones are of what was written meanwhile, the last of them while writers wait
            for writer in writers:
                writer.wait_for_all_ways()

    for writer in writers:
        writer.start()
    try:
        Migrator(database.locator, page_size=PAGE, on_progress=beside).migrate_collection("docs", projection)
        for writer in writers:
            writer.join(TIMEOUT)
    finally:
        for writer in writers:
            writer.stop()
            writer.join()
    assert [type(writer.ended) for writer in writers] == [psycopg.errors.DataException] * WRITERS, "the new dimension"
    rows = stored(database)
    expected = {name: row for writer in writers for name, row in writer.rows.items()}
    assert {name: text for name, (text, _) in rows.items()} == {name: text for name, (text, _) in expected.items()}
    written = np.stack([vector for _, vector in expected.values()])
    held = np.stack([rows[name][1] for name in expected])
    np.testing.assert_allclose(held, projection.apply(written), atol=2e-5)
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


def test_a_full_disk_is_told_with_the_way_on(database: PgMaker, projection: Projection) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION no_room() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute("CREATE EVENT TRIGGER no_room ON ddl_command_end EXECUTE FUNCTION no_room()")
        with pytest.raises(FailedError, match="No space left on device; every collection is whole, old or new: run"):
            Migrator(database.client()).migrate_collection("docs", projection)
        connection.execute("DROP EVENT TRIGGER no_room")
    assert Migrator(database.client()).migrate_collection("docs", projection).n_migrated == ROWS
