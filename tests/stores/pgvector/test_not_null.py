"""NOT NULL stays with the vectors' column across an exchange, and nobody waits for the table to be read for that."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from lightmigrate import Migrator
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.pgvector import not_null, session
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.crashing import stopped
from tests.contract.material import projected, vectors
from tests.contract.postgres import PgMaker

DOCS, KEY, LATER = Address("docs"), "20260101_120000", "20260101_120001"
INSERT = "INSERT INTO docs (id, embedding) VALUES ('{}', array_fill(1::real, '{{{}}}')::vector)"

CHECKS = "SELECT {} FROM pg_constraint WHERE contype = 'c' AND conrelid = 'docs'::regclass"


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[PgMaker]:
    """A table `docs` whose vectors are NOT NULL, and a version of it that waits for its exchange."""
    database = PgMaker(tmp_path)
    database.create("docs", 8)
    store = database.client()
    live, old = store.collection(DOCS), vectors(20)
    live.add(Page([f"id{row}" for row in range(20)], old, [None] * 20, [None] * 20))
    version = store.create_version(live, "k1", 12, None)
    for page in live.scan(20):
        version.add(page.with_vectors(projected(page.vectors)))
    yield database
    database.release()


def exchange(store: PgStore, settle: object = None) -> None:
    version = store.collection(store.versions()[0].address)
    store.exchange(version, store.collection(DOCS), KEY, settle=settle or (lambda: None))  # type: ignore[arg-type]


def declared(maker: PgMaker) -> tuple[bool, int]:
    """Whether the column is NOT NULL, and how many CHECKs stand for that."""
    query = "SELECT attnotnull FROM pg_attribute WHERE attname = 'embedding' AND attrelid = 'docs'::regclass"
    checks = maker.rows(sql.SQL(CHECKS.format("conname")))
    ((declares,),) = maker.rows(sql.SQL(query))
    return declares, len(checks)


def test_no_lock_that_others_notice_is_held_while_the_table_is_read(
    maker: PgMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    readers, held = list[str](), set[str]()
    original = Session.execute

    def execute(self: Session, query: sql.Composable, values: Sequence[object] = ()) -> int:
        before = len(said)
        done = original(self, query, values)
        if any("verifying table" in message for message in said[before:]):
            readers.append(query.as_string().split(" ", 3)[3])
            held.update(mode for (mode,) in maker.rows(sql.SQL(
                "SELECT mode FROM pg_locks WHERE relation = 'docs'::regclass AND locktype = 'relation' "
                "AND pid <> pg_backend_pid()"
            )))  # fmt: skip
        return done

    monkeypatch.setattr(Session, "execute", execute)
    with PgStore(maker.conninfo) as store:
        store._session._connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        store._session.set({"client_min_messages": "debug1"})
        exchange(store)
    assert len(readers) == 1
    assert readers[0].startswith("VALIDATE CONSTRAINT")
    assert any('"docs.embedding" are sufficient to prove' in message for message in said)
    assert held <= {"ShareUpdateExclusiveLock", "AccessShareLock", "RowExclusiveLock", "RowShareLock"}
    assert "ShareUpdateExclusiveLock" in held
    assert declared(maker) == (True, 0)


@pytest.mark.parametrize("validated", [False, True])
def test_from_the_exchange_on_no_row_without_a_vector_gets_in_and_what_a_killed_run_left_is_finished(
    maker: PgMaker, *, validated: bool
) -> None:
    assert stopped(maker.locator, "docs", "exchange", int(validated), [f"{Session.__module__}:Session:yielding"])
    assert maker.rows(sql.SQL(CHECKS.format("convalidated"))) == [(validated,)]
    with pytest.raises(psycopg.errors.CheckViolation):
        maker.execute(sql.SQL("INSERT INTO docs (id) VALUES ('empty')"))
    migrator = Migrator(maker.locator)
    assert not migrator.collections()[0].embedding_function
    with PgStore(maker.conninfo) as store:
        assert store.refusal(DOCS, 8) is None, "what is left stands in the way of nothing"
    assert "before 1 columns were declared NOT NULL" in (migrator.recover() or "")
    assert declared(maker) == (True, 0)
    assert Migrator(maker.locator).recover() is None
    maker.execute(sql.SQL(INSERT.format("new", 12)))
    migrator.rollback(written="carry")
    assert declared(maker) == (True, 0)


def test_a_run_that_could_not_end_leaves_the_way_back_as_it_would_be(
    maker: PgMaker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(session, "_LOCK_MILLISECONDS", 20)
    with psycopg.connect(maker.conninfo) as application, PgStore(maker.conninfo) as store:

        class Settle:
            """An application that takes a lock as soon as the exchange has given its own back."""

            def __call__(self) -> None:
                monkeypatch.setattr(Session, "end_vacuum", lambda *_: application.execute("SELECT FROM docs"))

        with caplog.at_level(logging.WARNING):
            exchange(store, Settle())
        assert "column embedding refuses NULL by a CHECK" in caplog.text
        assert declared(maker) == (False, 1)
    monkeypatch.undo()
    with PgStore(maker.conninfo) as store:
        store.restore(store.versions()[0], LATER)
    assert declared(maker) == (True, 0)
    maker.execute(sql.SQL(INSERT.format("old", 8)))


@pytest.mark.parametrize("late", [False, True])
def test_where_rows_have_no_vector_the_column_takes_null(maker: PgMaker, *, late: bool) -> None:
    """They were written after the exchange, and are discarded by the way back; `late`: after it had looked for them."""
    with PgStore(maker.conninfo) as store:
        exchange(store)

        class Settle:
            def __call__(self) -> None:
                if late:
                    assert not unfilled

            def ahead(self) -> None:
                if late:
                    maker.execute(sql.SQL(INSERT.format("new", 12)))

        if not late:
            maker.execute(sql.SQL(INSERT.format("new", 12)))
        (backup,) = store.versions()
        collection = store.collection(backup.address)
        unfilled = not_null.missing(store._session, collection.table, collection.column)
        assert len(unfilled) == (not late)
        live = store.collection(DOCS)
        store.exchange(collection, live, LATER, settle=Settle())
        assert store.collection(DOCS).count() == 20
    assert declared(maker) == (False, 0)
    assert maker.rows(sql.SQL("SELECT id FROM docs WHERE embedding IS NULL")) == [("new",)]


def test_rows_that_are_filled_in_the_last_moment_do_not_count_as_missing(maker: PgMaker) -> None:
    maker.execute(sql.SQL(INSERT.format("new", 8)))
    with PgStore(maker.conninfo) as store:
        version, live = store.collection(store.versions()[0].address), store.collection(DOCS)

        def settle() -> None:
            page = live.records(["new"])
            version.put(page.with_vectors(projected(page.vectors)))

        assert len(not_null.missing(store._session, version.table, version.column)) == 1
        exchange(store, settle)
    assert declared(maker) == (True, 0)
