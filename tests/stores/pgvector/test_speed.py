"""What makes a migration quick, and easy on writers: rows in turns, memory for indexes, no lock that others notice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate import Migrator
from lightmigrate.errors import VerificationError
from lightmigrate.migration.shadow.shadows import Shadow, Shadows
from lightmigrate.migration.shadow.synchronise import Snapshot
from lightmigrate.progress import Progress
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector import exchange
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.memory import needed_bytes, resources_for
from lightmigrate.stores.pgvector.session import Row, Session
from lightmigrate.stores.pgvector.stage import key_condition, staged
from lightmigrate.stores.pgvector.store import PgStore
from lightmigrate.stores.pgvector.tables import read_table
from lightmigrate.stores.pgvector.turns import in_turns
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 300


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[PgMaker]:
    """A table `docs` with wide rows, an index, and one more row of another vector than all others."""
    database = PgMaker(tmp_path)
    database.create("docs", OLD_DIM, "cosine")
    with (
        psycopg.connect(database.conninfo, autocommit=True) as connection,
        connection.cursor().copy("COPY docs (id, content, embedding) FROM STDIN") as copy,
    ):
        for row, vector in enumerate(make_vectors(ROWS)):
            copy.write_row((f"id{row}", "wide text " * 100, str(vector.tolist())))
    yield database
    database.release()


def test_a_turn_has_only_a_few_rows_of_each_block(maker: PgMaker) -> None:
    ids = [f"id{row}" for row in range(ROWS)]
    blocks = dict(maker.rows(sql.SQL("SELECT id, (ctid::text::point)[0] FROM docs")))
    session = Session(maker.conninfo)
    table = read_table(session, "docs")
    keys = [(record,) for record in (*ids, "gone")]
    with staged(session, keys, np.zeros((ROWS + 1, 1), np.float32)) as stage:
        turns = in_turns(session, table, stage, key_condition(session, table.keys, stage))
        record_at: dict[str, str] = dict(session.rows(sql.SQL("SELECT s.ctid::text, s.k0 FROM {} s").format(stage)))
    session.close()
    assert sorted(record_at[place] for place in itertools.chain(*turns)) == sorted(ids)
    assert 2 <= len(turns) <= 8
    for turn in turns:
        of_turn = [blocks[record_at[place]] for place in turn]
        assert max(map(of_turn.count, of_turn)) <= -(-max(map(list(blocks.values()).count, blocks.values())) // 8)


def test_the_memory_for_an_index_is_what_its_graph_takes_and_only_while_it_is_built(maker: PgMaker) -> None:
    graph = IndexSpec("hnsw", "vector_cosine_ops", ("m=8",))
    assert needed_bytes(graph, "vector", 1000, 768) > 1000 * 768 * 4
    assert needed_bytes(graph, "halfvec", 1000, 768) < needed_bytes(graph, "vector", 1000, 768)
    assert needed_bytes(IndexSpec("ivfflat", "vector_l2_ops", ()), "vector", 1000, 768) == 0
    session, given = Session(maker.conninfo), sql.SQL("SHOW maintenance_work_mem")
    before = session.rows(given)
    with resources_for(session, 1 << 50):  # more than it may take
        (raised,) = session.rows(sql.SQL("SELECT pg_size_bytes(current_setting('maintenance_work_mem'))"))[0]
        (shared,) = session.rows(sql.SQL("SELECT pg_size_bytes(current_setting('shared_buffers'))"))[0]
        assert raised == 2 * shared
    assert session.rows(given) == before
    with resources_for(session, 1000):
        assert session.rows(given) == before
    session.close()


def test_a_large_graph_of_a_small_table_is_built_by_several_processes(maker: PgMaker) -> None:
    session, given = Session(maker.conninfo), sql.SQL("SHOW min_parallel_table_scan_size")
    before = session.rows(given)
    assert before != [("0",)]
    with resources_for(session, needed_bytes(IndexSpec("hnsw", "vector_cosine_ops", ()), "vector", 2000, 768)):
        assert session.rows(given) == [("0",)]
    assert session.rows(given) == before
    with resources_for(session, needed_bytes(IndexSpec("hnsw", "vector_cosine_ops", ()), "vector", 300, 768)):
        assert session.rows(given) == before
    session.close()


def test_one_statement_searches_the_index_for_many_vectors(maker: PgMaker) -> None:
    vectors, scans = make_vectors(ROWS), sql.SQL("SELECT sum(idx_scan)::int FROM pg_stat_user_indexes")
    statements: list[str] = []
    with PgStore(maker.conninfo) as store:
        collection = store.collection(Address("docs"))
        assert collection.nearest(vectors[:0], 3) == ([], [])
        (before,) = maker.rows(scans)
        store._session.rows = recorded(store._session.rows, statements)  # type: ignore[method-assign]
        found, distances = collection.nearest(vectors[:20], 3)
    assert [row[0] for row in found] == [f"id{row}" for row in range(20)]
    assert max(row[0] for row in distances) < 1e-6
    assert all(row == sorted(row) and len(row) == 3 for row in distances)
    assert len([each for each in statements if "LATERAL" in each]) == 1
    (after,) = maker.rows(scans)
    assert after[0] - before[0] == 20


def recorded(query: Callable[..., list[Row]], statements: list[str]) -> Callable[..., list[Row]]:
    """The same query; keeps the statements as texts."""

    def asked(statement: sql.Composable, *values: object) -> list[Row]:
        statements.append(statement.as_string())
        return query(statement, *values)

    return asked


def test_others_can_write_all_the_time_while_batches_are_copied(maker: PgMaker) -> None:
    modes: set[str] = set()

    def look(event: Progress) -> None:
        modes.update(mode for (mode,) in maker.rows(sql.SQL(
            # a table that grows is locked for that, which is another type; the server's own vacuum is not ours
            "SELECT mode FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = 'docs'::regclass "
            "AND locktype = 'relation' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )))  # fmt: skip
        # a write that would have to wait fails at once
        maker.execute(sql.SQL("SET lock_timeout = '5s'; UPDATE docs SET number = 1 WHERE id = 'id7'"))

    Migrator(maker.locator, page_size=50, on_progress=look).migrate_collection("docs", make_projection(), force=True)
    assert modes <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"}
    assert maker.rows(sql.SQL("SELECT count(*), min(vector_dims(embedding)) FROM docs")) == [(ROWS, NEW_DIM)]


def test_a_row_that_an_application_has_locked_is_written_when_it_is_free(maker: PgMaker) -> None:
    locked, waited = threading.Event(), threading.Event()

    def hold() -> None:
        """Lock a row of the last page, until somebody waits for it."""
        with psycopg.connect(maker.conninfo) as application:
            application.execute("SELECT FROM docs WHERE id = 'id99' FOR UPDATE")
            own = application.info.backend_pid
            locked.set()
            query = "SELECT FROM pg_stat_activity WHERE {} = ANY(pg_blocking_pids(pid))"
            while not maker.rows(sql.SQL(query).format(sql.Literal(own))):
                assert threading.main_thread().is_alive()
            waited.set()

    holder = threading.Thread(target=hold)

    def begin(event: Progress) -> None:
        if not locked.is_set():
            holder.start()
            locked.wait()

    Migrator(maker.locator, page_size=50, on_progress=begin).migrate_collection("docs", make_projection(), force=True)
    holder.join()
    assert waited.is_set()
    assert maker.rows(sql.SQL("SELECT vector_dims(embedding) FROM docs WHERE id = 'id99'")) == [(NEW_DIM,)]


def test_what_can_be_done_ahead_is_done_before_every_attempt_to_lock_the_table(maker: PgMaker) -> None:
    steps: list[str] = []

    class Settle:
        def __call__(self) -> None:
            steps.append("settle")

        def ahead(self) -> None:
            steps.append("ahead")
            if len(steps) == 2:
                application.rollback()

    with psycopg.connect(maker.conninfo) as application, PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k1", NEW_DIM, None)
        page = live.records(list(live.ids()))
        version.add(page.with_vectors(make_vectors(ROWS, NEW_DIM)))
        store.finish(version)
        application.execute("UPDATE docs SET number = 2 WHERE id = 'id1'")
        store.exchange(version, live, "20260101_120000", settle=Settle())
    assert steps == ["ahead", "ahead", "settle"]


def test_while_writers_wait_only_what_was_just_written_is_read(maker: PgMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the table is: neither counted nor compared, neither by a scan nor through an index."""
    read: list[int] = []
    counts = sql.SQL(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'docs'::regclass"
    )

    def settled(shadows: Shadows, shadow: Shadow, snapshot: Snapshot) -> None:
        store = shadows._store
        assert isinstance(store, PgStore)
        read.extend(each for (each,) in store._session.rows(counts))
        settle(shadows, shadow, snapshot)

    def commented(session: Session, *words: object) -> None:
        read.extend(each for (each,) in session.rows(counts))
        comment(session, *words)  # type: ignore[arg-type]

    def kept_up(shadows: Shadows, shadow: Shadow, since: Snapshot | None = None) -> Snapshot:
        up_to_date = keep_up(shadows, shadow, since)
        maker.execute(sql.SQL("UPDATE docs SET content = 'late' WHERE id IN ('id3', 'id4', 'id5')"))
        return up_to_date

    settle, keep_up, comment = Shadows.settle, Shadows.keep_up, exchange.comment
    monkeypatch.setattr(Shadows, "settle", settled)
    monkeypatch.setattr(Shadows, "keep_up", kept_up)
    monkeypatch.setattr(exchange, "comment", commented)
    Migrator(maker.locator, page_size=50).migrate_collection("docs", make_projection(), force=True)
    before, after = read
    assert 3 <= after - before < 50
    assert maker.rows(sql.SQL("SELECT count(*), min(vector_dims(embedding)) FROM docs")) == [(ROWS, NEW_DIM)]


def test_records_that_only_one_of_two_versions_has_are_counted_by_when_they_were_written(maker: PgMaker) -> None:
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k1", NEW_DIM, None)
        assert isinstance(version, PgCollection)
        page = live.records([f"id{row}" for row in range(ROWS)])
        version.add(page.with_vectors(make_vectors(ROWS, NEW_DIM)))
        written = live.changes()
        assert written is not None
        column = version.column.sql

        def unequal() -> list[int]:
            return [store.unequal(live, version, written.mark, written=each) for each in (False, True)]

        assert unequal() == [0, 0]
        maker.execute(sql.SQL("UPDATE docs SET {} = NULL WHERE id IN ('id1', 'id2')").format(column))
        assert unequal() == [2, 0]
        maker.execute(sql.SQL("UPDATE docs SET content = 'changed' WHERE id = 'id1'"))
        assert unequal() == [1, 1]
        maker.execute(sql.SQL("INSERT INTO docs (id, embedding) SELECT 'new', embedding FROM docs WHERE id = 'id5'"))
        assert unequal() == [1, 2]
        maker.execute(sql.SQL("DELETE FROM docs WHERE id IN ('id1', 'id2', 'new')"))
        assert unequal() == [0, 0]


def test_a_version_that_lost_a_vector_is_not_exchanged(maker: PgMaker) -> None:
    def damage(event: Progress) -> None:
        names = maker.rows(sql.SQL(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'docs'::regclass "
            "AND attname LIKE '%lightmigrate%' AND NOT attisdropped"
        ))  # fmt: skip
        if event.done == ROWS:
            maker.execute(sql.SQL("UPDATE docs SET {} = NULL WHERE id = 'id3'").format(sql.Identifier(names[0][0])))

    with pytest.raises(VerificationError, match="1 records are in only one of collection docs"):
        Migrator(maker.locator, on_progress=damage).migrate_collection("docs", make_projection(), force=True)
    assert maker.rows(sql.SQL("SELECT count(*), min(vector_dims(embedding)) FROM docs")) == [(ROWS, OLD_DIM)]
