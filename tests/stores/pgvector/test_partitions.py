"""Partitioned tables: what hangs on one partition is seen, and nobody waits long for what is done to all of them."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.building import index_name, index_statement
from lightmigrate.stores.pgvector.store import PgStore
from lightmigrate.stores.pgvector.tables import read_table
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 60
INDEX = "USING hnsw (embedding vector_cosine_ops) WITH (m='8', ef_construction='40')"


def table(maker: PgMaker, *statements: str, end: str = "") -> None:
    """A table `docs` with rows in two partitions, and what these statements add to it."""
    maker.execute(
        sql.SQL(
            f"CREATE TABLE docs (id int PRIMARY KEY, content text, embedding vector({OLD_DIM}){end}) "
            "PARTITION BY RANGE (id); CREATE TABLE docs_0 PARTITION OF docs FOR VALUES FROM (0) TO (40); "
            "CREATE TABLE docs_1 PARTITION OF docs FOR VALUES FROM (40) TO (80)"
        )
    )
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        rows = [(row, f"text {row}", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)
    for statement in statements:
        maker.execute(sql.SQL(statement))


def stored(maker: PgMaker) -> list[tuple[object, ...]]:
    return maker.rows(sql.SQL("SELECT id, content, embedding::text FROM docs ORDER BY id"))


@pytest.mark.parametrize(
    ("statements", "named", "way_out"),
    [
        (
            (f"CREATE INDEX CONCURRENTLY i0 ON docs_0 {INDEX}", f"CREATE INDEX CONCURRENTLY i1 ON docs_1 {INDEX}"),
            "index i0 is on partition docs_0 alone",
            None,
        ),
        (("CREATE INDEX i ON docs_1 (id) WHERE embedding IS NOT NULL",), "index i of table docs_1", None),
        (("CREATE VIEW seen AS SELECT id, embedding FROM docs_1",), "view seen depends on", "DROP VIEW seen"),
        (("ALTER TABLE docs_1 ALTER embedding SET NOT NULL",), "NOT NULL in partition docs_1", None),
        (
            (
                "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$",
                "CREATE TRIGGER stamp BEFORE UPDATE ON docs_1 FOR EACH ROW EXECUTE FUNCTION stamp()",
                "ALTER TABLE docs_1 ENABLE ALWAYS TRIGGER stamp",
            ),
            "trigger stamp on table docs_1 would fire",
            None,
        ),
    ],
)
def test_what_only_one_partition_has_is_refused_with_the_way_out_before_anything_is_written(
    maker: PgMaker, statements: tuple[str, ...], named: str, way_out: str | None
) -> None:
    table(maker, *statements)
    before, job = stored(maker), CollectionJob("docs", make_projection())
    with pytest.raises(RefusedError, match=named) as refused:
        Migrator(maker.locator).migrate([job])
    kept = "SELECT count(*) FROM pg_attribute WHERE attname LIKE 'lightmigrate%' AND NOT attisdropped"
    assert maker.rows(sql.SQL(kept)) == [(0,)]
    maker.execute(sql.SQL(way_out or str(refused.value).rpartition(":  ")[2]))
    migrator = Migrator(maker.locator)
    migrator.migrate([job])
    migrator.rollback()
    assert stored(maker) == before


def test_indexes_of_all_partitions_become_one_of_the_table_without_being_built_again(maker: PgMaker) -> None:
    table(maker, f"CREATE INDEX i0 ON docs_0 {INDEX}", f"CREATE INDEX i1 ON docs_1 {INDEX}")
    indexes = "SELECT indexrelid::regclass::text, indexrelid FROM pg_index WHERE indrelid IN ('docs_0'::regclass, "
    leaves = sql.SQL(indexes + "'docs_1'::regclass) AND NOT indisprimary ORDER BY 1")
    before = maker.rows(leaves)
    with PgStore(maker.conninfo) as store:
        refused = store.refusal(Address("docs"), NEW_DIM)
        assert refused is not None
        maker.execute(sql.SQL(refused.rpartition(":  ")[2]))
        assert maker.rows(leaves) == before
        assert store.refusal(Address("docs"), NEW_DIM) is None


def test_a_view_of_a_partition_made_after_the_migration_is_named_before_the_way_back(maker: PgMaker) -> None:
    table(maker)
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob("docs", make_projection())])
    maker.execute(sql.SQL("CREATE VIEW seen AS SELECT id, embedding FROM docs_1"))
    with pytest.raises(LightmigrateError, match="view seen"):
        migrator.rollback()


def test_rows_can_be_added_where_a_partition_has_not_null_of_its_own(maker: PgMaker) -> None:
    table(maker, "ALTER TABLE docs_1 ALTER embedding SET NOT NULL", "ALTER TABLE docs ALTER embedding SET NOT NULL")
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob("docs", make_projection())])
    vector = f"array_fill(1::real, '{{{NEW_DIM}}}')::vector"
    for row in (39, 79):
        maker.execute(sql.SQL(f"DELETE FROM docs WHERE id = {row}"))
        maker.execute(sql.SQL(f"INSERT INTO docs (id, content, embedding) VALUES ({row}, 'new', {vector})"))
    with pytest.raises(psycopg.errors.NotNullViolation):
        maker.execute(sql.SQL("INSERT INTO docs (id, content) VALUES (78, 'new')"))


def writes_pass_while_it_finishes(maker: PgMaker, store: PgStore, held: str) -> None:
    """Finish a version while a transaction of the application holds a lock; others write meanwhile."""
    version = store.collection(store.versions()[0].address)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    failed: list[BaseException] = []

    def finish() -> None:
        try:
            store.finish(version)
        except BaseException as error:  # noqa: BLE001  # shown by the test
            failed.append(error)

    thread = threading.Thread(target=finish)
    with psycopg.connect(maker.conninfo) as idle, psycopg.connect(maker.conninfo, autocommit=True) as writer:
        idle.execute(held.encode())  # and its transaction goes on
        thread.start()
        with psycopg.connect(maker.conninfo, autocommit=True) as observer:
            while observer.execute(waits.encode()).fetchone() == (0,):
                assert thread.is_alive()
        writer.execute("SET lock_timeout = '20s'")
        for row in range(40, 45):
            writer.execute("UPDATE docs SET content = 'written' WHERE id = %s", (row,))
        assert thread.is_alive()
        idle.commit()
    thread.join()
    assert failed == []


def test_writers_pass_while_the_index_of_a_partitioned_table_waits_for_a_transaction(maker: PgMaker) -> None:
    table(maker, f"CREATE INDEX i ON docs {INDEX}")
    with PgStore(maker.conninfo) as store:
        store.create_version(store.collection(Address("docs")), "k", NEW_DIM, None)
        writes_pass_while_it_finishes(maker, store, "UPDATE docs SET content = 'held' WHERE id = 50")


def test_writers_pass_while_the_indexes_of_partitions_are_attached(maker: PgMaker) -> None:
    table(maker, f"CREATE INDEX i ON docs {INDEX}")
    with PgStore(maker.conninfo) as store:
        version = store.create_version(store.collection(Address("docs")), "k", NEW_DIM, None)
        read = read_table(store._session, "docs")
        (spec,), name = version.specs(), index_name(read, version.column, 0)
        maker.execute(index_statement(read.sql, version.column, spec, name, only=True))
        for part in ("docs_0", "docs_1"):
            (oid,) = maker.rows(sql.SQL("SELECT {}::regclass::oid::int8").format(part))[0]
            maker.execute(index_statement(sql.Identifier(part), version.column, spec, f"{name}_{oid}"))
        writes_pass_while_it_finishes(maker, store, "SELECT count(*) FROM docs")
        valid = sql.SQL("SELECT indisvalid FROM pg_index WHERE indexrelid = {}::regclass").format(name)
        assert maker.rows(valid) == [(True,)]
