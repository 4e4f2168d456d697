"""Indexes that name a vector column without being on it: they are neither copied as if they were, nor left behind."""

from __future__ import annotations

import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 20
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'docs' ORDER BY 1"
KEPT = sql.SQL("SELECT count(*) FROM pg_attribute WHERE attname LIKE 'lightmigrate%' AND NOT attisdropped")


def table(maker: PgMaker, *statements: str, embedding: str = f"vector({OLD_DIM})") -> None:
    """A table `docs` of two tenants with two vector columns, and what these statements add to it."""
    maker.execute(
        sql.SQL(
            f"CREATE TABLE docs (id int PRIMARY KEY, tenant text, content text, title_vec vector({OLD_DIM}), "
            f"embedding {embedding}); CREATE INDEX titles ON docs USING hnsw (title_vec vector_l2_ops)"
        )
    )
    for row, vector in enumerate(make_vectors(ROWS)):
        text = sql.Literal(str(vector.tolist()))
        insert = sql.SQL("INSERT INTO docs VALUES ({0}, {1}, 'text', {2}, {2})")
        maker.execute(insert.format(sql.Literal(row), sql.Literal("ab"[row % 2]), text))
    for statement in statements:
        maker.execute(sql.SQL(statement))


@pytest.mark.parametrize(
    "index",
    [
        "CREATE INDEX filled ON docs (tenant) WHERE embedding IS NOT NULL",
        "CREATE INDEX filled ON docs USING hnsw (title_vec vector_l2_ops) WHERE embedding IS NOT NULL",
        "CREATE INDEX filled ON docs (tenant, embedding)",
        "CREATE INDEX filled ON docs (tenant) INCLUDE (embedding)",
    ],
)
def test_an_index_that_only_names_the_column_is_refused_with_the_way_out_and_nothing_is_written(
    maker: PgMaker, index: str
) -> None:
    table(maker, index)
    before, migrator = maker.rows(sql.SQL(INDEXES)), Migrator(maker.locator)
    job = CollectionJob(Address("docs", vector="embedding"), make_projection())
    with pytest.raises(RefusedError, match=r"filled .* would stay with the old vectors") as refused:
        migrator.migrate([job])
    assert maker.rows(KEPT) == [(0,)]
    assert maker.rows(sql.SQL(INDEXES)) == before
    maker.execute(sql.SQL(str(refused.value).rpartition(":  ")[2]))
    migrator.migrate([job])
    migrator.clean()
    assert [name for name, _ in maker.rows(sql.SQL(INDEXES))] == ["docs_pkey", "titles"]


def test_an_index_whose_condition_names_another_vector_column_is_carried_with_it(maker: PgMaker) -> None:
    index = "CREATE INDEX filled ON docs USING hnsw (title_vec vector_l2_ops) WHERE embedding IS NOT NULL"
    table(maker, index)
    before, migrator = maker.rows(sql.SQL(INDEXES)), Migrator(maker.locator)
    migrator.migrate([CollectionJob(Address("docs", vector="title_vec"), make_projection())])
    migrator.clean()
    assert maker.rows(sql.SQL(INDEXES)) == before


def test_an_index_made_after_the_migration_is_named_before_the_way_back(maker: PgMaker) -> None:
    table(maker)
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob(Address("docs", vector="embedding"), make_projection())])
    maker.execute(sql.SQL("CREATE INDEX filled ON docs (tenant) WHERE embedding IS NOT NULL"))
    with pytest.raises(LightmigrateError, match="index filled"):
        migrator.rollback()
    maker.execute(sql.SQL("DROP INDEX filled"))
    migrator.rollback()


def test_a_part_keeps_an_index_that_only_names_the_column(maker: PgMaker) -> None:
    table(maker, "CREATE INDEX filled ON docs (tenant) WHERE embedding IS NOT NULL", embedding="vector")
    before = maker.rows(sql.SQL(INDEXES))
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        migrator, part = Migrator(store), Address("docs", vector="embedding", part="a")
        migrator.migrate([CollectionJob(part, make_projection())])
        assert store.collection(part).dimension == NEW_DIM
    assert maker.rows(sql.SQL(INDEXES)) == before


OBJECTS = {
    "view": ("CREATE VIEW {0} AS SELECT id, embedding FROM docs", "view"),
    "view of a view": (
        "CREATE VIEW {0} AS SELECT id, embedding FROM docs; CREATE MATERIALIZED VIEW upper_one AS SELECT * FROM {0};"
        "CREATE VIEW a_last AS SELECT u.id, s.embedding FROM upper_one u JOIN {0} s USING (id)",
        "view a_last, materialized view upper_one, view",
    ),
    "rule": ("CREATE RULE {0} AS ON INSERT TO other DO ALSO SELECT embedding FROM docs", "rule"),
    "check": ("ALTER TABLE docs ADD CONSTRAINT {0} CHECK (embedding IS NOT NULL)", "constraint"),
    "unique": ("ALTER TABLE docs ADD CONSTRAINT {0} UNIQUE (id, embedding)", "constraint"),
    "generated": ("ALTER TABLE docs ADD {0} int GENERATED ALWAYS AS (vector_dims(embedding)) STORED", "column"),
    "trigger": (
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;"
        "CREATE TRIGGER {0} BEFORE UPDATE OF embedding ON docs FOR EACH ROW WHEN (old.embedding IS NULL) "
        "EXECUTE FUNCTION stamp()",
        "trigger",
    ),
    "policy": ("CREATE POLICY {0} ON docs USING (embedding IS NOT NULL)", "policy"),
    "function": (
        "CREATE FUNCTION {0}(number int, text) RETURNS vector BEGIN ATOMIC SELECT embedding FROM docs; END",
        "function",
    ),
    "publication": (
        "CREATE PUBLICATION {0} FOR TABLE docs (id, embedding) WITH (publish_via_partition_root)",
        "publication",
    ),
}


@pytest.mark.parametrize("partitioned", [False, True], ids=["", "partitioned"])
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_depends_on_the_column_is_refused_with_the_command_that_drops_it(
    maker: PgMaker, kind: str, partitioned: bool
) -> None:
    statement, named = OBJECTS[kind]
    columns = f"(id int PRIMARY KEY, embedding vector({OLD_DIM}))"
    by = " PARTITION BY RANGE (id); CREATE TABLE docs_1 PARTITION OF docs DEFAULT" if partitioned else ""
    maker.execute(sql.SQL(f"CREATE TABLE other (id int); CREATE TABLE docs {columns}{by}"))
    for row, vector in enumerate(make_vectors(ROWS)):
        insert = sql.SQL("INSERT INTO docs VALUES ({}, {})")
        maker.execute(insert.format(sql.Literal(row), sql.Literal(str(vector.tolist()))))
    maker.execute(sql.SQL(statement.format('"My ""own"""')))
    migrator, job = Migrator(maker.locator), CollectionJob("docs", make_projection())
    with pytest.raises(
        RefusedError, match=f"{named} .*would stay with the old vectors: drop .* again afterwards:  "
    ) as (refused):
        migrator.migrate([job])
    maker.execute(sql.SQL(str(refused.value).rpartition(":  ")[2]))
    migrator.migrate([job])
    assert [facts.dimension for facts in migrator.collections()] == [NEW_DIM]
