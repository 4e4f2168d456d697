"""What an administrator set for the vector column is so for the new vectors, too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 10
KEY = "20260101_120000"
SETTINGS = sql.SQL(
    "SELECT a.attrelid::regclass::text, attstorage, attcompression, attstattarget, attoptions, "
    "(SELECT array_agg(DISTINCT (grantee::regrole, privilege_type, is_grantable)::text) FROM aclexplode(attacl)) "
    "FROM pg_attribute a WHERE attname = 'embedding' AND attrelid::regclass::text LIKE 'docs%' ORDER BY 1"
)
SET = (
    "GRANT SELECT (id, content, embedding), INSERT (id, embedding), UPDATE (embedding) ON docs TO app",
    "GRANT SELECT (embedding) ON docs TO lead WITH GRANT OPTION",
    "GRANT SELECT (embedding) ON docs TO PUBLIC",
    "ALTER TABLE docs ALTER embedding SET STORAGE MAIN",
    "ALTER TABLE docs ALTER embedding SET COMPRESSION pglz",
    "ALTER TABLE docs ALTER embedding SET STATISTICS 7",
    "ALTER TABLE docs ALTER embedding SET (n_distinct = 9)",
)


def table(maker: PgMaker, end: str = "") -> None:
    maker.execute(
        sql.SQL(f"CREATE TABLE docs (id int PRIMARY KEY, content text, embedding vector({OLD_DIM}) NOT NULL) {end}")
    )


def fill(maker: PgMaker) -> None:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        rows = [(row, f"text {row}", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)


@pytest.fixture
def roles(maker: PgMaker) -> Iterator[PgMaker]:
    """A database with roles, which belong to the server: they are dropped afterwards."""
    for role in ("app", "lead"):
        maker.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    yield maker
    maker.release()
    for role in ("app", "lead"):
        maker.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(role)))


@pytest.mark.parametrize("partitioned", [False, True])
def test_grants_and_settings_of_the_column_go_with_its_name_there_and_back(roles: PgMaker, partitioned: bool) -> None:
    table(roles, "PARTITION BY RANGE (id)" if partitioned else "")
    if partitioned:
        roles.execute(sql.SQL("CREATE TABLE docs_0 PARTITION OF docs FOR VALUES FROM (0) TO (80)"))
        roles.execute(sql.SQL("GRANT SELECT (embedding) ON docs_0 TO app"))
    fill(roles)
    for statement in SET:
        roles.execute(sql.SQL(statement))
    if partitioned:  # which new partitions do not get
        roles.execute(sql.SQL("ALTER TABLE docs_0 ALTER embedding SET STATISTICS 8"))
    before, migrator = roles.rows(SETTINGS), Migrator(roles.locator)
    migrator.migrate([CollectionJob("docs", make_projection())])
    assert roles.rows(SETTINGS) == before
    with psycopg.connect(roles.conninfo, user="app", autocommit=True) as application:
        vector = str(np.ones(NEW_DIM, np.float32).tolist())
        application.execute("INSERT INTO docs (id, embedding) VALUES (70, %s)", [vector])
        application.execute("UPDATE docs SET embedding = %s WHERE id = 1", [vector])
        assert application.execute("SELECT count(embedding) FROM docs").fetchone() == (ROWS + 1,)
    migrator.rollback(written="discard")
    assert roles.rows(SETTINGS) == before


def test_what_is_granted_revoked_and_set_meanwhile_holds_after_the_exchange(roles: PgMaker) -> None:
    table(roles)
    fill(roles)
    for statement in SET:
        roles.execute(sql.SQL(statement))
    with PgStore(roles.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k", NEW_DIM, None)
        page = live.records(list(live.ids()))
        version.add(page.with_vectors(make_projection().apply(page.vectors)))
        store.finish(version)
        for statement in (
            "REVOKE UPDATE (embedding) ON docs FROM app",
            "REVOKE SELECT (embedding) ON docs FROM PUBLIC",
            "REVOKE GRANT OPTION FOR SELECT (embedding) ON docs FROM lead",
            "GRANT INSERT (embedding) ON docs TO lead",
            "ALTER TABLE docs ALTER embedding SET STORAGE EXTERNAL",
            "ALTER TABLE docs ALTER embedding SET COMPRESSION DEFAULT",
            "ALTER TABLE docs ALTER embedding SET STATISTICS -1",
            "ALTER TABLE docs ALTER embedding RESET (n_distinct)",
        ):
            roles.execute(sql.SQL(statement))
        changed = roles.rows(SETTINGS)
        store.exchange(version, live, KEY)
        assert roles.rows(SETTINGS) == changed
        store.restore(store.versions()[0], KEY[:-1] + "1")
        assert roles.rows(SETTINGS) == changed
