"""Settings of a role, names with a `%`, values that name no collection, and what an old server can grant."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.store import PgStore
from lightmigrate.stores.pgvector.triggers import require_quiet
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

LIMITS = ("lock_timeout", "idle_session_timeout", "transaction_timeout", "statement_timeout")
ROWS = 30


@pytest.fixture
def hurried(maker: PgMaker) -> Iterator[str]:
    """The address for a role whose sessions the server ends soon."""
    maker.execute(sql.SQL("CREATE ROLE hurried LOGIN"))
    for limit in LIMITS:
        maker.execute(sql.SQL("ALTER ROLE hurried SET {} = '60s'").format(sql.Identifier(limit)))
    yield psycopg.conninfo.make_conninfo(maker.conninfo, user="hurried")
    maker.release()
    maker.execute(sql.SQL("DROP OWNED BY hurried; DROP ROLE hurried"))


def test_limits_of_a_role_do_not_end_what_takes_hours(hurried: str) -> None:
    session = Session(hurried)
    current = sql.SQL("SELECT current_setting(name) FROM pg_settings WHERE name = ANY(%s)")
    assert session.rows(current, [list(LIMITS)]) == [("0",)] * len(LIMITS)
    with session.holding(sql.SQL("LOCK TABLE pg_class IN ACCESS SHARE MODE").format()):
        assert session.rows(current, [list(LIMITS)]) == [("0",)] * len(LIMITS)
    session.close()


def test_names_with_percent_signs_are_migrated_as_a_whole_and_by_parts(maker: PgMaker) -> None:
    maker.execute(sql.SQL(
        'CREATE TABLE "100% of %s" ("%d" int, "a%b" text, "50%%" text, content text, "e%(x)s" vector, '
        'PRIMARY KEY ("%d", "a%b")); '
        'CREATE INDEX "i%" ON "100% of %s" USING hnsw (("e%(x)s"::vector(16)) vector_l2_ops)'
    ))  # fmt: skip
    insert = sql.SQL('INSERT INTO "100% of %s" VALUES ({}, {}, {}, {}, {})')
    for row, vector in enumerate(make_vectors(ROWS)):
        values = (row, f"{row}%", f"{row % 2}%s", "100 %", str(vector.tolist()))
        maker.execute(insert.format(*map(sql.Literal, values)))
    stored = sql.SQL('SELECT "%d", "a%b", "50%%", content, "e%(x)s"::text FROM "100% of %s" ORDER BY 1')
    before = maker.rows(stored)
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob("100% of %s", make_projection())])
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert maker.rows(stored) == before
    migrator.clean()
    maker.execute(sql.SQL('DROP INDEX "i%"'))
    with PgStore(maker.conninfo, parts={"100% of %s": "50%%"}) as store:
        part = Address("100% of %s", part="0%s")
        migrator = Migrator(store)
        migrator.migrate([CollectionJob(part, make_projection())])
        assert store.collection(part).dimension == NEW_DIM
        migrator.rollback()
        assert maker.rows(stored) == before


def test_rows_without_a_value_are_no_collection_and_not_the_whole_column(
    maker: PgMaker, caplog: pytest.LogCaptureFixture
) -> None:
    maker.execute(sql.SQL("CREATE TABLE docs (id int PRIMARY KEY, tenant text, content text, embedding vector)"))
    insert = sql.SQL("INSERT INTO docs VALUES ({}, {}, 'text', {})")
    for row, (tenant, vector) in enumerate(zip(["a", "", None, "b", ""], make_vectors(5), strict=True)):
        maker.execute(insert.format(sql.Literal(row), sql.Literal(tenant), sql.Literal(str(vector.tolist()))))
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        found = [(facts.address, facts.count) for facts in store.collections()]
        assert found == [(Address("docs", part="a"), 1), (Address("docs", part="b"), 1)]
    assert "docs: 3 rows have no tenant, and so are in no collection" in caplog.text


def test_an_old_server_without_rights_on_parameters_is_given_a_command_that_it_knows(
    maker: PgMaker, hurried: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.create("docs", OLD_DIM)
    maker.execute(sql.SQL(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;"
        "CREATE TRIGGER stamp BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION stamp()"
    ))  # fmt: skip
    session = Session(hurried)
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
    with pytest.raises(LightmigrateError, match="GRANT SET ON PARAMETER"):
        require_quiet(session, live.table, [live.column])
    monkeypatch.setattr(Session, "version", 140012)  # as PostgreSQL 14 says; none is here
    with pytest.raises(LightmigrateError) as refused:
        require_quiet(session, live.table, [live.column])
    maker.execute(sql.SQL(str(refused.value).rpartition(":  ")[2]))
    require_quiet(session, live.table, [live.column])
    session.close()
