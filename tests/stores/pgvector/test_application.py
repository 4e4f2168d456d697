"""What applications have around a table: triggers, views, checks, foreign keys, grants, row security, replication."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 60
STAMPS = """
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN new.number := coalesce(new.number, 0) + 1000; RETURN new; END $$;
    CREATE TRIGGER stamp BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION stamp()
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PgMaker]:
    """A table `docs` with `ROWS` rows."""
    maker = PgMaker(tmp_path)
    maker.create("docs", OLD_DIM, "cosine")
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        rows = [(f"id{row}", f"text {row}", str(vector.tolist()), row) for row, vector in enumerate(make_vectors(ROWS))]
        insert = "INSERT INTO docs (id, content, embedding, number) VALUES (%s, %s, %s, %s)"
        connection.cursor().executemany(insert, rows)
    yield maker
    maker.release()


def query(maker: PgMaker, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def as_user(maker: PgMaker, user: str) -> str:
    """The address for another role, which owns the table and is no superuser."""
    for statement in (
        f"CREATE ROLE {user} LOGIN PASSWORD 'x'",
        f"ALTER TABLE docs OWNER TO {user}",
        f"GRANT CREATE ON SCHEMA public TO {user}",
    ):
        maker.execute(sql.SQL(statement))
    return psycopg.conninfo.make_conninfo(maker.conninfo, user=user, password="x")


@pytest.fixture
def user(database: PgMaker) -> Iterator[str]:
    """A role's name that is free again afterwards: roles belong to the server, not to a database."""
    yield "keeper"
    database.release()
    for statement in ("REASSIGN OWNED BY keeper TO CURRENT_USER", "DROP OWNED BY keeper", "DROP ROLE keeper"):
        database.execute(sql.SQL(statement))


def test_the_application_s_triggers_do_not_fire_and_other_columns_stay(database: PgMaker) -> None:
    others = "SELECT id, content, meta, number, flag, exact, real, at, raw, tags FROM docs ORDER BY id"
    database.execute(sql.SQL(STAMPS))
    before, migrator = query(database, others), Migrator(database.locator, page_size=25)
    migrator.migrate_collection("docs", make_projection())
    assert query(database, others) == before
    migrator.rollback()
    assert query(database, others) == before


def test_the_application_s_triggers_do_not_fire_for_a_part(database: PgMaker) -> None:
    database.execute(sql.SQL("DROP INDEX docs_hnsw; ALTER TABLE docs ALTER embedding TYPE vector"))
    database.execute(sql.SQL("UPDATE docs SET meta = '\"b\"' WHERE number >= 40"))
    database.execute(sql.SQL("ALTER TABLE docs ALTER meta TYPE text USING coalesce(meta #>> '{}', 'a')"))
    database.execute(sql.SQL(STAMPS))
    others, vectors = "SELECT id, content, meta, number FROM docs ORDER BY id", "SELECT id, embedding::text FROM docs"
    before, old = query(database, others), sorted(query(database, vectors))
    with PgStore(database.conninfo, parts={"docs": "meta"}) as store:
        live = store.collection(Address("docs", part="a"))
        page = live.records(list(live.ids()))
        version = store.create_version(live, "k1", NEW_DIM, None)
        version.add(page.with_vectors(make_projection().apply(page.vectors)))
        store.exchange(version, live, "20260101_120000")
        assert query(database, others) == before
        changed = {row for row, _ in {*query(database, vectors)} - {*old}}
        assert changed == {f"id{row}" for row in range(40)}
        store.restore(store.versions()[0], "20260101_120001")
    assert query(database, others) == before
    assert sorted(query(database, vectors)) == old


def test_a_trigger_that_would_fire_is_named_before_anything_is_written(database: PgMaker, user: str) -> None:
    database.execute(sql.SQL(STAMPS))
    with PgStore(as_user(database, user)) as store:
        with pytest.raises(LightmigrateError, match=r"trigger stamp .* GRANT SET ON PARAMETER \w+ TO"):
            store.create_version(store.collection(Address("docs")), "k1", NEW_DIM, None)
        assert store.versions() == []
        database.execute(sql.SQL("DROP TRIGGER stamp ON docs"))
        store.create_version(store.collection(Address("docs")), "k1", NEW_DIM, None)
    database.execute(sql.SQL(STAMPS.replace("FUNCTION stamp()", "FUNCTION stamp2()")))
    database.execute(sql.SQL("ALTER TABLE docs ENABLE ALWAYS TRIGGER stamp"))
    with PgStore(database.conninfo) as store, pytest.raises(LightmigrateError, match=r'ENABLE TRIGGER "stamp"'):
        store.create_version(store.collection(Address("docs")), "k2", NEW_DIM, None)


def test_rows_that_replication_writes_are_seen(database: PgMaker) -> None:
    with PgStore(database.conninfo) as store:
        live = store.collection(Address("docs"))
        store.create_version(live, "k1", NEW_DIM, None)
        mark = live.changes()
        assert mark is not None
        with psycopg.connect(database.conninfo, autocommit=True) as replication:
            replication.execute("SET session_replication_role = replica")
            replication.execute("UPDATE docs SET content = 'new' WHERE id = 'id3'")
            replication.execute("DELETE FROM docs WHERE id = 'id4'")
        changes = live.changes(mark.mark)
        assert changes is not None
        assert (list(changes.written), list(changes.deleted)) == (["id3"], ["id4"])


def test_rows_that_a_policy_hides_are_not_left_behind(database: PgMaker, user: str) -> None:
    conninfo = as_user(database, user)
    database.execute(sql.SQL("ALTER TABLE docs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"))
    database.execute(sql.SQL("CREATE POLICY mine ON docs USING (number < 10)"))
    with PgStore(conninfo) as store, pytest.raises(LightmigrateError, match="row-level security policy"):
        store.collection(Address("docs")).count()
    with PgStore(database.conninfo) as store:
        assert store.collection(Address("docs")).count() == ROWS


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE VIEW seen AS SELECT id, embedding FROM docs", "view seen"),
        ("CREATE MATERIALIZED VIEW seen AS SELECT id, embedding FROM docs", "view seen"),
        ("ALTER TABLE docs ADD CONSTRAINT given CHECK (embedding IS NOT NULL)", "constraint given"),
        ("ALTER TABLE docs ADD size int GENERATED ALWAYS AS (vector_dims(embedding)) STORED", "column size"),
        (STAMPS.replace("UPDATE ON", "UPDATE OF embedding ON"), "trigger stamp"),
    ],
)
def test_what_would_stay_with_the_old_column_is_named_before_anything_is_written(
    database: PgMaker, statement: str, named: str
) -> None:
    database.execute(sql.SQL(statement))
    with PgStore(database.conninfo) as store:
        with pytest.raises(LightmigrateError, match=f"{named} .*would stay with the old vectors"):
            store.create_version(store.collection(Address("docs")), "k1", NEW_DIM, None)
        assert store.versions() == []


def test_a_view_made_after_the_migration_is_named_before_the_way_back(database: PgMaker) -> None:
    migrator = Migrator(database.locator)
    migrator.migrate_collection("docs", make_projection())
    database.execute(sql.SQL("CREATE VIEW seen AS SELECT id, embedding FROM docs"))
    with pytest.raises(LightmigrateError, match="view seen"):
        migrator.rollback()
    database.execute(sql.SQL("DROP VIEW seen"))
    migrator.rollback()
    assert query(database, "SELECT DISTINCT vector_dims(embedding) FROM docs") == [(OLD_DIM,)]


def test_views_foreign_keys_grants_and_identities_stay(database: PgMaker) -> None:
    for statement in (
        "CREATE VIEW titles AS SELECT id, content FROM docs",
        "CREATE TABLE notes (doc text REFERENCES docs ON DELETE CASCADE)",
        "INSERT INTO notes SELECT id FROM docs",
        "GRANT SELECT ON docs TO PUBLIC",
    ):
        database.execute(sql.SQL(statement))
    catalog = (
        "SELECT 'docs'::regclass::oid, (SELECT relacl::text FROM pg_class WHERE oid = 'docs'::regclass), "
        "(SELECT string_agg(pg_get_constraintdef(oid), ';' ORDER BY oid) FROM pg_constraint "
        "WHERE contype <> 'n' AND (conrelid = 'docs'::regclass OR confrelid = 'docs'::regclass)), "
        "pg_get_viewdef('titles'), (SELECT count(*) FROM notes), (SELECT count(*) FROM titles)"
    )
    before, migrator = query(database, catalog), Migrator(database.locator)
    migrator.migrate_collection("docs", make_projection())
    assert query(database, catalog) == before
    database.execute(sql.SQL("DELETE FROM docs WHERE id = 'id0'"))
    assert query(database, "SELECT count(*) FROM notes") == [(ROWS - 1,)]
    migrator.rollback(written="discard")
    assert query(database, "SELECT count(*) FROM docs WHERE vector_dims(embedding) = " + str(OLD_DIM)) == [(ROWS - 1,)]
    stored = np.array([row[0] for row in query(database, "SELECT embedding::real[] FROM docs ORDER BY number")])
    assert (stored.astype(np.float32) == make_vectors(ROWS)[1:]).all()
