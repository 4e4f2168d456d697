"""Tables as applications have them: keys of any type, several collections in one table, NOT NULL, other sessions."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate.errors import DatabaseError, LightmigrateError
from lightmigrate.stores.base import Address, Page, Role
from lightmigrate.stores.pgvector import open_url
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.material import projected, vectors
from tests.contract.postgres import PgMaker

KEY, LATER = "20260101_120000", "20260101_120001"


def _rows(maker: PgMaker, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def test_one_of_several_collections_in_a_table_is_exchanged_and_restored(maker: PgMaker) -> None:
    maker.execute(sql.SQL("CREATE TABLE docs (id int PRIMARY KEY, shelf text, text text, embedding vector)"))
    with PgStore(maker.conninfo, parts={"docs": "shelf"}) as store:
        a, b = Address("docs", part="a"), Address("docs", part="b'\"%s")
        for first, place in ((0, a), (10, b)):
            ids = [str(first + number) for number in range(5)]
            store.collection(place).add(Page(ids, vectors(5, seed=first), ["x"] * 5, [None] * 5))
        assert [facts.address for facts in store.collections()] == [a, b]
        live, other = store.collection(a), store.collection(b)
        before, untouched = live.records(list(live.ids())), other.records(list(other.ids()))
        assert list(other.ids()) == ["10", "11", "12", "13", "14"]
        version = store.create_version(live, "k1", 12, None)
        version.add(before.with_vectors(projected(before.vectors)))
        store.exchange(version, live, KEY)
        with pytest.raises(LightmigrateError):
            store.exchange(version, live, LATER)  # `live` was opened before the first exchange
        live = store.collection(a)
        assert live.facts().dimension == 12
        assert live.records(before.ids).vectors.tobytes() == projected(before.vectors).tobytes()
        assert store.collection(b).records(untouched.ids).vectors.tobytes() == untouched.vectors.tobytes()
        (backup,) = store.versions()
        assert (backup.own, backup.role, backup.key) == (a, Role.BACKUP, KEY)
        written = store.written_since(backup)
        assert written is not None
        assert (list(written.written), list(written.deleted)) == ([], [])
        store.collection(b).remove(["10"])
        live.remove(["3"])
        written = store.written_since(backup)
        assert written is not None
        assert (list(written.written), list(written.deleted)) == ([], ["3"])
        store.restore(backup, LATER)
        live = store.collection(a)
        kept = [row for row, record in enumerate(before.ids) if record != "3"]
        assert live.records(before.ids).vectors.tobytes() == before.vectors[kept].tobytes()
        assert [(version.role, version.key) for version in store.versions()] == [(Role.BACKUP, LATER)]


def test_an_id_of_another_collection_of_the_table_is_not_overwritten(maker: PgMaker) -> None:
    maker.execute(sql.SQL("CREATE TABLE docs (id int PRIMARY KEY, shelf text, text text, embedding vector)"))
    with PgStore(maker.conninfo, parts={"docs": "shelf"}) as store:
        store.collection(Address("docs", part="a")).add(Page(["1"], vectors(1), ["mine"], [None]))
        other = store.collection(Address("docs", part="b"))
        with pytest.raises(LightmigrateError, match="1 of 1 ids belong to other collections"):
            other.put(Page(["1"], vectors(1, seed=1), ["theirs"], [None]))
        assert _rows(maker, "SELECT text, shelf FROM docs") == [("mine", "a")]


@pytest.mark.parametrize(
    ("columns", "key", "ids"),
    [
        ("id int", "id", ["1", "2", "-30"]),
        ("id uuid", "id", ["00000000-0000-0000-0000-000000000001", "ffffffff-0000-0000-0000-000000000002"]),
        ("id bigint GENERATED ALWAYS AS IDENTITY", "id", ["7", "9007199254740993"]),
        ("a text, b timestamptz", "a, b", ['["x\\"y", "2026-01-01 00:00:00+00"]', '["é", "2026-01-01 00:00:00.5+00"]']),
    ],
)
def test_keys_of_any_type_are_ids(maker: PgMaker, columns: str, key: str, ids: list[str]) -> None:
    maker.execute(sql.SQL(f"CREATE TABLE docs ({columns}, content text, embedding vector(8), PRIMARY KEY ({key}))"))
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        written = Page(ids, vectors(len(ids)), ["x"] * len(ids), [None] * len(ids))
        live.add(written)
        unknown = ["no such id", "007", "[]", '["a"]', "1; DROP TABLE docs", "\x00"]
        assert list(live.records([*unknown, *reversed(ids)]).ids) == ids[::-1]
        live.remove(unknown)
        live.replace_vectors(unknown, vectors(len(unknown)))
        assert sorted(live.ids()) == sorted(ids)
        version = store.create_version(live, "k1", 12, None)
        mark = live.changes()
        assert mark is not None
        version.add(written.with_vectors(projected(written.vectors)))
        live.replace_vectors(ids[:1], vectors(1, seed=5))
        changes = live.changes(mark.mark)
        assert changes is not None
        assert list(changes.written) == ids[:1]
        store.exchange(version, live, KEY)
        assert store.collection(Address("docs")).records(ids).vectors.tobytes() == projected(written.vectors).tobytes()


@pytest.mark.parametrize(
    ("columns", "key", "value"),
    [
        ("id int", "id", "n"),
        ("id numeric", "id", "n / 7.0"),
        ("id timestamptz", "id", "timestamptz '2026-01-01' + n * interval '1 hour'"),
        ("a int, b text", "a, b", "n % 12, n::text"),
    ],
)
def test_a_scan_in_many_pages_leaves_no_row_out(maker: PgMaker, columns: str, key: str, value: str) -> None:
    maker.execute(sql.SQL(f"CREATE TABLE docs ({columns}, embedding vector(8), PRIMARY KEY ({key}))"))
    vector = "array_fill(1::real, '{8}')::vector"
    maker.execute(sql.SQL(f"INSERT INTO docs SELECT {value}, {vector} FROM generate_series(-20, 120) n"))
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        scanned = [record for page in live.scan(10) for record in page.ids]
        assert len(scanned) == len(set(scanned)) == 141
        assert scanned == list(live.ids())
        first = next(live.scan(10))
        assert [record for page in live.scan(7, first.cursor) for record in page.ids] == scanned[10:]


def test_an_application_in_another_time_zone_is_noted_by_the_same_id(maker: PgMaker) -> None:
    maker.execute(sql.SQL("CREATE TABLE docs (at timestamptz PRIMARY KEY, content text, embedding vector(8))"))
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        store.create_version(live, "k1", 12, None)
        mark = live.changes()
        assert mark is not None
        with psycopg.connect(maker.conninfo) as application:
            application.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'")
            vector = str(vectors(1)[0].tolist())
            application.execute("INSERT INTO docs VALUES ('01.01.2026 09:00:00', 'x', %s::vector)", [vector])
        changes = live.changes(mark.mark)
        assert changes is not None
        assert list(changes.written) == list(live.ids()) == ["2026-01-01 00:00:00+00"]


def test_a_table_that_is_emptied_is_noted(maker: PgMaker) -> None:
    address = maker.create("docs", 8)
    store = maker.client()
    live = store.collection(address)
    live.add(Page(["a", "b"], vectors(2), [None, None], [None, None]))
    store.create_version(live, "k1", 12, None)
    mark = live.changes()
    assert mark is not None
    maker.execute(sql.SQL("TRUNCATE docs"))
    changes = live.changes(mark.mark)
    assert changes is not None
    assert sorted(changes.deleted) == ["a", "b"]


def test_not_null_and_comments_stay_with_the_name_and_the_application_can_insert(maker: PgMaker) -> None:
    address = maker.create("docs", 8)
    maker.execute(sql.SQL("COMMENT ON COLUMN docs.embedding IS 'made by us'"))
    store = maker.client()
    live = store.collection(address)
    live.add(Page(["a"], vectors(1), [None], [None]))
    version = store.create_version(live, "k1", 12, None)
    version.add(Page(["a"], projected(vectors(1)), [None], [None]))
    facts = (
        "SELECT attnotnull, col_description(attrelid, attnum) FROM pg_attribute WHERE attname = 'embedding' "
        "AND attrelid = 'docs'::regclass"
    )
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'docs' AND indexdef LIKE '%(embedding %'"
    store.exchange(version, live, KEY)
    assert _rows(maker, facts) == [(True, "made by us")]
    assert _rows(maker, indexes) == [("docs_hnsw",)]
    maker.execute(sql.SQL("INSERT INTO docs (id, embedding) VALUES ('b', array_fill(1::real, '{12}')::vector)"))
    store.restore(store.versions()[0], LATER)
    assert _rows(maker, indexes) == [("docs_hnsw",)]
    assert list(store.collection(address).ids()) == ["a"]  # `b` has no vector of the old model


def test_a_table_without_a_key_is_refused_and_null_vectors_are_no_records(maker: PgMaker) -> None:
    maker.execute(sql.SQL("CREATE TABLE bare (content text, embedding vector(8))"))
    address = maker.create("docs", 8)
    maker.execute(sql.SQL("ALTER TABLE docs ALTER embedding DROP NOT NULL"))
    maker.execute(sql.SQL("INSERT INTO docs (id) VALUES ('nothing')"))
    store = maker.client()
    with pytest.raises(DatabaseError, match="no primary key"):
        store.collection(Address("bare"))
    assert [facts.name for facts in store.collections()] == ["docs"]
    assert store.collection(address).count() == 0
    assert len(store.collection(address).records(["nothing"])) == 0


def test_no_message_holds_a_password(maker: PgMaker) -> None:
    for url in (
        "postgresql://u:s3cret@127.0.0.1:1/x",
        "postgresql://u:s3cret@127.0.0.1:port/x",
        "postgresql://u:s3/cret@h",
    ):
        with pytest.raises(DatabaseError) as refused:
            open_url(url)
        assert "s3" not in str(refused.value) + repr(refused.value)
        assert refused.value.__cause__ is None
    with PgStore(f"{maker.conninfo} password=s3cret") as store:
        assert "s3cret" not in str(store) + repr(store)


def test_an_index_that_cannot_be_is_refused_before_anything_is_written(maker: PgMaker) -> None:
    address = maker.create("docs", 8)
    store = maker.client()
    with pytest.raises(LightmigrateError, match="4,000 dimensions, not 5,000"):
        store.create_version(store.collection(address), "k1", 5000, None)
    assert store.versions() == []


def test_vectors_are_read_as_they_lie() -> None:
    from lightmigrate.stores.pgvector.vectors import read_vectors

    sent = b"\x00\x02\x00\x00" + np.array([1.5, -2], ">f4").tobytes()
    assert read_vectors([sent, sent]).tolist() == [[1.5, -2.0], [1.5, -2.0]]
    with pytest.raises(LightmigrateError, match="1 and of 2"):
        read_vectors([sent, sent[:8]])
