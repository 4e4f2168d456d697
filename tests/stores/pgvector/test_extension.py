"""pgvector in a schema of its own, which a search path need not have, as on servers that keep extensions so."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 30
SCHEMA = "More types"


@pytest.fixture
def tenant(maker: PgMaker) -> Iterator[str]:
    """The address for a role that owns a table, in a database with pgvector in another schema."""
    maker.execute(sql.SQL(
        f'DROP EXTENSION vector; CREATE SCHEMA "{SCHEMA}"; CREATE EXTENSION vector SCHEMA "{SCHEMA}";'
        f'CREATE ROLE tenant LOGIN; GRANT USAGE ON SCHEMA "{SCHEMA}" TO tenant; GRANT ALL ON SCHEMA public TO tenant;'
        f'CREATE TABLE docs (id int PRIMARY KEY, content text, embedding "{SCHEMA}".vector({OLD_DIM}));'
        f'CREATE INDEX near ON docs USING hnsw (embedding "{SCHEMA}".vector_l2_ops);'
        "ALTER TABLE docs OWNER TO tenant"
    ))  # fmt: skip
    for row, vector in enumerate(make_vectors(ROWS)):
        insert = sql.SQL("INSERT INTO docs VALUES ({}, 'text', {})")
        maker.execute(insert.format(sql.Literal(row), sql.Literal(str(vector.tolist()))))
    yield psycopg.conninfo.make_conninfo(maker.conninfo, user="tenant")
    maker.release()
    maker.execute(sql.SQL("DROP OWNED BY tenant; DROP ROLE tenant"))


@pytest.mark.parametrize("path", ["public", "''", '"$user", public', "public, pg_catalog"])
def test_a_schema_of_pgvector_that_no_search_path_has_is_found(maker: PgMaker, tenant: str, path: str) -> None:
    maker.execute(sql.SQL(f"ALTER ROLE tenant SET search_path = {path}"))
    stored = sql.SQL("SELECT id, content, embedding::text FROM docs ORDER BY 1")
    before = maker.rows(stored)
    with PgStore(tenant) as store:
        migrator = Migrator(store)
        assert migrator.diagnose().unsupported is None
        (facts,) = migrator.collections()
        assert facts.address == Address("docs" if "public" in path else "public.docs")
        migrator.migrate([CollectionJob(facts.address, make_projection())])
        live = store.collection(facts.address)
        (spec,) = live.table.specs_of(live.column)
        assert (live.dimension, spec.metric) == (NEW_DIM, "l2")
        nearest, _ = live.nearest(live.records(["7"]).vectors, 1)
        assert nearest == [["7"]]
        assert all(check.unchanged for check in migrator.verify())
        migrator.rollback()
        migrator.clean()
    assert maker.rows(stored) == before


def test_a_schema_of_pgvector_that_may_not_be_used_is_refused_with_the_grant_before_anything_is_done(
    maker: PgMaker, tenant: str
) -> None:
    maker.execute(sql.SQL(f'REVOKE USAGE ON SCHEMA "{SCHEMA}" FROM tenant'))
    with PgStore(tenant) as store:
        migrator, job = Migrator(store), CollectionJob("docs", make_projection())
        with pytest.raises(DatabaseError, match="may not use schema More types") as refused:
            migrator.migrate([job])
        assert migrator.diagnose().unsupported == str(refused.value)
        maker.execute(sql.SQL(str(refused.value).partition("grants it:  ")[2]))
        migrator.migrate([job])
        assert store.collection(Address("docs")).dimension == NEW_DIM
        migrator.rollback()
        migrator.clean()
