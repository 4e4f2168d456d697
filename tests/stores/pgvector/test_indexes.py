"""Indexes of all kinds are built for the new vectors as they were for the old, or the migration is refused."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator, Model
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 60
KIND = (
    "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'embedding' AND "
    "attrelid = 'docs'::regclass"
)


def table(maker: PgMaker, *statements: str, column: str = f"vector({OLD_DIM})", after: str = "") -> None:
    """A table `docs` with rows and what these statements add to it."""
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE docs (id int, content text, embedding {column}, PRIMARY KEY (id)) {after}".encode()
        )
        for statement in statements:
            connection.execute(statement.encode())
        rows = [(row, f"text {row}", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)


def query(maker: PgMaker, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def definitions(maker: PgMaker) -> dict[str, str]:
    """The indexes of the table by name, from USING on."""
    rows = query(maker, "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'docs'")
    return {str(name): str(definition).partition("USING ")[2] for name, definition in rows}


def stored(maker: PgMaker) -> list[tuple[object, ...]]:
    return query(maker, "SELECT id, content, embedding::text FROM docs ORDER BY id")


INDEXES = {
    "hnsw (embedding vector_l2_ops) WITH (ef_construction='40', m='8')":
        "hnsw (embedding vector_l2_ops) WITH (ef_construction='40', m='8')",
    "ivfflat (embedding vector_ip_ops) WITH (lists='3')":
        "ivfflat (embedding vector_ip_ops) WITH (lists='3')",
    "hnsw (embedding vector_cosine_ops) WHERE (id > 3)":
        "hnsw (embedding vector_cosine_ops) WHERE (id > 3)",
    "hnsw (embedding vector_cosine_ops) WHERE (embedding IS NOT NULL)":
        "hnsw (embedding vector_cosine_ops) WHERE (embedding IS NOT NULL)",
    f"hnsw (((embedding)::halfvec({OLD_DIM})) halfvec_cosine_ops)":
        f"hnsw (((embedding)::halfvec({NEW_DIM})) halfvec_cosine_ops)",
    f"hnsw (((binary_quantize(embedding))::bit({OLD_DIM})) bit_hamming_ops)":
        f"hnsw (((binary_quantize(embedding))::bit({NEW_DIM})) bit_hamming_ops)",
}  # fmt: skip


def test_indexes_are_built_with_their_settings_and_come_back(maker: PgMaker) -> None:
    table(maker, *(f"CREATE INDEX i{number} ON docs USING {index}" for number, index in enumerate(INDEXES)))
    old = {"docs_pkey": "btree (id)"} | {f"i{number}": index for number, index in enumerate(INDEXES)}
    new = {"docs_pkey": "btree (id)"} | {f"i{number}": index for number, index in enumerate(INDEXES.values())}
    before, migrator = stored(maker), Migrator(maker.locator, page_size=25)
    assert definitions(maker) == old
    migrator.migrate([CollectionJob("docs", make_projection())])
    live = {name: index for name, index in definitions(maker).items() if not name.startswith("lightmigrate")}
    assert live == new
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    live = {name: index for name, index in definitions(maker).items() if not name.startswith("lightmigrate")}
    assert live == old
    assert stored(maker) == before
    migrator.clean()
    assert definitions(maker) == old


def test_a_column_without_a_dimension_stays_one(maker: PgMaker) -> None:
    index = f"CREATE INDEX i ON docs USING hnsw ((embedding::vector({OLD_DIM})) vector_l2_ops)"
    table(maker, index, column="vector")
    before, migrator = stored(maker), Migrator(maker.locator)
    assert [(facts.dimension, facts.space) for facts in migrator.collections()] == [(OLD_DIM, "l2")]
    migrator.migrate([CollectionJob("docs", make_projection())])
    assert query(maker, KIND) == [("vector",)]
    assert definitions(maker)["i"] == f"hnsw (((embedding)::vector({NEW_DIM})) vector_l2_ops)"
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        assert live.facts().dimension == NEW_DIM
        assert live.nearest(make_projection().apply(make_vectors(3)), 1)[0] == [["0"], ["1"], ["2"]]
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert stored(maker) == before


def test_more_than_two_thousand_dimensions_get_an_index_on_halves(maker: PgMaker) -> None:
    table(maker, "CREATE INDEX i ON docs USING hnsw (embedding vector_cosine_ops)")
    wide = make_projection(target=Model("wide", 2100))
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob("docs", wide)])
    assert definitions(maker)["i"] == "hnsw (((embedding)::halfvec(2100)) halfvec_cosine_ops)"
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        images = wide.apply(make_vectors(2))
        np.testing.assert_allclose(live.records(["0", "1"]).vectors, images, rtol=1e-4, atol=1e-5)
        ids, distances = live.nearest(images, 1)
        assert ids == [["0"], ["1"]]
        assert max(map(max, distances)) < 1e-5  # of the stored vectors, not of their halves
    assert all(check.unchanged for check in migrator.verify())
    with pytest.raises(RefusedError, match="take 4,000 dimensions, not 4,100"):
        migrator.migrate([CollectionJob("docs", make_projection(source=wide.info.target, target=Model("w", 4100)))])


def test_a_column_of_halves(maker: PgMaker) -> None:
    table(maker, "CREATE INDEX i ON docs USING hnsw (embedding halfvec_l2_ops)", column=f"halfvec({OLD_DIM})")
    before, migrator = stored(maker), Migrator(maker.locator, page_size=25)
    migrator.migrate([CollectionJob("docs", make_projection())])
    assert query(maker, KIND) == [(f"halfvec({NEW_DIM})",)]
    assert definitions(maker)["i"] == "hnsw (embedding halfvec_l2_ops)"
    with PgStore(maker.conninfo) as store:
        read = store.collection(Address("docs")).records(["5"]).vectors
        expected = make_projection().apply(make_vectors(ROWS)[5:6].astype(np.float16).astype(np.float32))
        np.testing.assert_allclose(read, expected, rtol=2e-3, atol=2e-3)
    migrator.rollback()
    assert stored(maker) == before


def test_partitions(maker: PgMaker) -> None:
    parts = [f"CREATE TABLE docs_{n} PARTITION OF docs FOR VALUES FROM ({n * 40}) TO ({n * 40 + 40})" for n in range(2)]
    index = "CREATE INDEX i ON docs USING hnsw (embedding vector_cosine_ops)"
    table(maker, *parts, index, after="PARTITION BY RANGE (id)")
    before = stored(maker)
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        store.create_version(live, "k", NEW_DIM, None)
        mark = live.changes()
        assert mark is not None
        maker.execute(sql.SQL("UPDATE docs_1 SET content = 'new' WHERE id = 50"))
        changes = live.changes(mark.mark)
        assert changes is not None
        assert list(changes.written) == ["50"]
    maker.execute(sql.SQL("UPDATE docs SET content = 'text 50' WHERE id = 50"))
    migrator = Migrator(maker.locator, page_size=25)
    migrator.migrate([CollectionJob("docs", make_projection())])
    assert definitions(maker)["i"] == "hnsw (embedding vector_cosine_ops)"
    valid = (
        "SELECT bool_and(indisvalid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE c.relkind IN ('i', 'I')"
    )
    assert query(maker, valid) == [(True,)]
    children = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'i'::regclass"
    assert query(maker, children) == [(2,)]
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert stored(maker) == before


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE INDEX i ON docs USING hnsw ((l2_normalize(embedding)::vector(16)) vector_l2_ops)", "DROP INDEX"),
        ("CREATE INDEX i ON docs (id) WHERE vector_dims(embedding) > 3", "DROP INDEX"),
        ("CREATE TABLE heir () INHERITS (docs)", "inherits"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_before_anything_is_written(
    maker: PgMaker, statement: str, reason: str
) -> None:
    table(maker, statement)
    with pytest.raises(RefusedError, match=reason):
        Migrator(maker.locator).migrate([CollectionJob("docs", make_projection())])
    assert query(maker, "SELECT count(*) FROM pg_attribute WHERE attname LIKE 'lightmigrate%'") == [(0,)]


def test_bits_alone_are_no_vectors(maker: PgMaker) -> None:
    maker.execute(sql.SQL("CREATE TABLE docs (id int PRIMARY KEY, embedding bit(64))"))
    with PgStore(maker.conninfo) as store:
        assert store.collections() == []
        with pytest.raises(LightmigrateError, match="no table docs with a vector column"):
            store.collection(Address("docs"))
