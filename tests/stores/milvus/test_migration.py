"""Whole migrations through `Migrator`, with pymilvus's own client as the application has it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.milvus_client import IndexParams

from lightmigrate import Migrator, Projection
from lightmigrate.errors import (
    CollectionNotFoundError,
    DatabaseInUseError,
    LightmigrateError,
    RefusedError,
    WrittenSinceError,
)
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.progress import Progress
from lightmigrate.stores.aliased.names import State, VersionName
from lightmigrate.stores.base import Address
from lightmigrate.stores.milvus.calls import MilvusCalls
from lightmigrate.stores.milvus.names import NAMES
from lightmigrate.stores.milvus.place import open_lite
from lightmigrate.stores.milvus.store import MilvusStore
from tests.contract.milvus import make_collection, shared
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.milvus.rows import everything, rich, rich_row


@pytest.fixture
def projection() -> Projection:
    return make_projection()


def plain(client: MilvusClient, name: str = "docs", n: int = 60, *more: dict[str, Any]) -> None:
    """A collection of `n` rows."""
    make_collection(client, name, OLD_DIM, "cosine", *more)
    client.insert(name, [plain_row(row) for row in range(n)])


def plain_row(number: int) -> dict[str, Any]:
    vector = make_vectors(1, seed=number)[0].tolist()
    return {"id": f"id-{number:03d}", "text": f"text {number}", "vector": vector, "number": number}


def assert_migrated(
    after: Mapping[Any, dict[str, Any]],
    before: Mapping[Any, dict[str, Any]],
    projection: Projection,
    vector: str = "vector",
) -> None:
    """Every row is there once, with everything as it was but the vector."""
    assert after.keys() == before.keys()
    old = np.array([before[key][vector] for key in before], np.float32)
    new = np.array([after[key][vector] for key in before], np.float32)
    np.testing.assert_allclose(new, projection.apply(old), rtol=1e-5, atol=1e-6)
    for key, row in before.items():
        assert {name: value for name, value in after[key].items() if name != vector} == {
            name: value for name, value in row.items() if name != vector
        }


def test_the_aliases_lead_to_new_vectors_and_back_to_the_old_ones(client: MilvusClient, projection: Projection) -> None:
    plain(client, "docs_v1")
    for alias in ("docs", "search"):
        client.create_alias("docs_v1", alias)
    before, migrator = everything(client), Migrator(client)
    assert [facts.address for facts in migrator.collections()] == [Address("docs")]
    assert migrator.exchange_notice is None
    result = migrator.migrate_collection("docs", projection)
    assert (result.n_migrated, result.previous_dim, result.current_dim) == (60, OLD_DIM, NEW_DIM)
    assert_migrated(everything(client), before, projection)
    assert everything(client, "search") == everything(client)
    assert everything(client, "docs_v1") == before
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert everything(client) == everything(client, "search") == before
    migrator.clean()
    assert client.list_collections() == ["docs_v1"]
    assert client.list_aliases()["aliases"] == ["docs", "search"]


def test_a_collection_opened_by_its_own_name_is_renamed_and_comes_back_to_the_bit(
    client: MilvusClient, projection: Projection
) -> None:
    plain(client)
    before, migrator = everything(client), Migrator(client)
    notice = str(migrator.exchange_notice)
    assert "no alias leads there" in notice
    assert migrator.diagnose().exchange_notice == notice
    migrator.migrate_collection("docs", projection)
    assert_migrated(everything(client), before, projection)
    assert "docs" in client.list_collections()  # as LlamaIndex looks for it
    client.insert("docs", [plain_row(60) | {"vector": [0.5] * NEW_DIM}])  # by a client that knew the old dimension
    with pytest.raises(WrittenSinceError):
        migrator.rollback()
    client.delete("docs", filter='id == "id-060"')
    migrator.rollback()
    assert everything(client) == before
    migrator.clean()
    assert client.list_collections() == ["docs"]
    assert client.list_aliases()["aliases"] == []


def test_everything_in_a_schema_and_every_value_stays_as_it_was(client: MilvusClient, projection: Projection) -> None:
    rich(client, "docs_v1")
    client.create_alias("docs_v1", "docs")
    before, stated = everything(client, key="number"), client.describe_collection("docs")
    migrator = Migrator(client, page_size=7)
    assert [str(facts.address) for facts in migrator.collections()] == ["docs.dense", "docs.image"]
    migrator.migrate([CollectionJob(Address("docs", vector="dense"), projection)])
    assert_migrated(everything(client, key="number"), before, projection, "dense")
    after = client.describe_collection("docs")
    for name in ("functions", "properties", "enable_dynamic_field", "num_shards"):
        assert str(after[name]) == str(stated[name])
    for field, old in zip(after["fields"], stated["fields"], strict=True):
        dimension = {"params": {"dim": NEW_DIM}} if field["name"] == "dense" else {}
        assert {key: str(value) for key, value in field.items()} == {
            key: str(value) for key, value in (old | dimension).items()
        }
    for index in client.list_indexes("docs"):
        assert client.describe_index("docs", index) == client.describe_index("docs_v1", index)
    found = client.search("docs", data=["number 17"], anns_field="words", limit=1, output_fields=["text"])
    assert found[0][0]["entity"]["text"] == "text number 17"
    migrator.rollback()
    assert everything(client, key="number") == before


def test_partitions_keep_their_records(client: MilvusClient, projection: Projection) -> None:
    plain(client, "docs", 20)
    client.create_partition("docs", "tenant_a")
    client.insert("docs", [plain_row(row) for row in range(20, 45)], partition_name="tenant_a")
    before = everything(client)
    Migrator(client, page_size=8).migrate_collection("docs", projection)
    assert_migrated(everything(client), before, projection)
    inside = client.query("docs", filter="", output_fields=["id"], limit=100, partition_names=["tenant_a"])
    assert sorted(row["id"] for row in inside) == [f"id-{row:03d}" for row in range(20, 45)]
    collection = MilvusStore(client).collection(Address("docs"))
    assert len(collection.records(["id-003", "id-030", "no such id"])) == 2
    collection.replace_vectors(["id-030"], np.ones((1, NEW_DIM), np.float32))
    assert client.query("docs", filter='id == "id-030"', output_fields=["vector"])[0]["vector"] == [1.0] * NEW_DIM
    assert collection.count() == 45


def test_a_partition_key_stays(client: MilvusClient, projection: Projection) -> None:
    field = {"field_name": "tenant", "datatype": DataType.VARCHAR, "max_length": 10, "is_partition_key": True}
    make_collection(client, "docs", OLD_DIM, "l2", field)
    client.insert("docs", [plain_row(row) | {"tenant": f"t{row % 3}"} for row in range(30)])
    before = everything(client)
    Migrator(client).migrate_collection("docs", projection)
    assert_migrated(everything(client), before, projection)
    described = {field["name"]: field for field in client.describe_collection("docs")["fields"]}
    assert described["tenant"]["is_partition_key"]


@pytest.mark.parametrize("aliased", [False, True])
def test_what_is_written_meanwhile_is_carried(client: MilvusClient, projection: Projection, aliased: bool) -> None:
    plain(client, "docs_v1" if aliased else "docs")
    if aliased:
        client.create_alias("docs_v1", "docs")
    written: list[int] = []

    def write(progress: Progress) -> None:
        if not written:
            written.append(1)
            client.insert("docs", [plain_row(100), plain_row(3) | {"text": "another text", "number": -1}])
            client.delete("docs", filter='id in ["id-007", "id-050"]')

    Migrator(client, page_size=10, on_progress=write).migrate_collection("docs", projection)
    assert written
    expected = {f"id-{row:03d}": plain_row(row) for row in [*range(60), 100] if row not in (7, 50)}
    expected["id-003"] |= {"text": "another text", "number": -1}
    after = everything(client)
    assert_migrated(after, expected, projection)


@pytest.mark.parametrize("aliased", [False, True])
def test_what_is_written_right_before_the_exchange_is_carried(
    client: MilvusClient, projection: Projection, monkeypatch: pytest.MonkeyPatch, aliased: bool
) -> None:
    plain(client, "docs_v1" if aliased else "docs", 20)
    if aliased:
        client.create_alias("docs_v1", "docs")
    switch = "alter_alias" if aliased else "rename"
    original, late = getattr(MilvusCalls, switch), [100]

    def switched(calls: MilvusCalls, name: str, to: str) -> None:
        if late:
            client.insert("docs", [plain_row(late.pop())])
            client.delete("docs", filter='id == "id-004"')
        original(calls, name, to)

    monkeypatch.setattr(MilvusCalls, switch, switched)
    result = Migrator(client).migrate_collection("docs", projection)
    assert result.written_late == 2
    expected = {f"id-{row:03d}": plain_row(row) for row in [*range(20), 100] if row != 4}
    assert_migrated(everything(client), expected, projection)


def test_a_collection_that_cannot_be_copied_exactly_is_refused_before_anything_is_written(
    client: MilvusClient, projection: Projection
) -> None:
    client.create_collection("assigned", OLD_DIM, auto_id=True)
    field = {"field_name": "other", "datatype": DataType.FLOAT_VECTOR, "dim": 3, "nullable": True}
    make_collection(client, "missing", OLD_DIM, "l2", field)
    place = {"field_name": "place", "datatype": DataType.GEOMETRY, "nullable": True}
    make_collection(client, "places", OLD_DIM, "l2", place)
    before = client.list_collections()
    refused = (
        (Address("assigned"), "auto_id"),
        (Address("missing", vector="vector"), "nullable"),
        (Address("places"), "GEOMETRY in field place"),
    )
    for address, why in refused:
        with pytest.raises(LightmigrateError, match=why):
            Migrator(client).migrate([CollectionJob(address, projection)])
    assert client.list_collections() == before
    store = MilvusStore(client)
    assert "auto_id" in str(store.refusal(Address("assigned"), NEW_DIM))
    with pytest.raises(LightmigrateError, match="auto_id"):
        store.create_version(store.collection(Address("assigned")), "k1", NEW_DIM, None)


def test_two_vectors_at_once_are_refused_before_anything_is_built(client: MilvusClient, projection: Projection) -> None:
    make_collection(
        client, "docs", OLD_DIM, "l2", {"field_name": "image", "datatype": DataType.FLOAT_VECTOR, "dim": OLD_DIM}
    )
    client.create_index("docs", image_index(client), sync=False)
    both = [CollectionJob(facts.address, projection) for facts in Migrator(client).collections()]
    assert len(both) == 2
    with pytest.raises(RefusedError, match=r"-c docs\.image  and, when it is done, the next with  -c docs\.vector"):
        Migrator(client).migrate(both)
    assert MilvusStore(client).versions() == []


def image_index(client: MilvusClient) -> IndexParams:
    indexes = client.prepare_index_params()
    indexes.add_index("image", index_type="FLAT", metric_type="L2")
    return indexes


def test_a_collection_without_float32_vectors_is_not_listed(client: MilvusClient) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    client.create_collection("sparse", schema=schema)
    store = MilvusStore(client)
    assert store.collections() == []
    with pytest.raises(CollectionNotFoundError, match="FLOAT_VECTOR"):
        store.collection(Address("sparse"))


def test_a_collection_is_named_by_its_alias(client: MilvusClient) -> None:
    plain(client, "docs_v1", 3)
    client.create_alias("docs_v1", "docs")
    with pytest.raises(CollectionNotFoundError, match="by the alias docs"):
        MilvusStore(client).collection(Address("docs_v1"))


def test_ids_are_integers_of_64_bits_where_the_field_is_one(client: MilvusClient) -> None:
    rich(client, "docs", 5)
    collection = MilvusStore(client).collection(Address("docs", vector="dense"))
    assert list(collection.ids()) == ["-50", "-40", "-30", "-20", "-10"]
    assert len(collection.records(["-40", "x", "1.0", "01", str(2**63), "-0"])) == 1
    page = collection.records(["-40"])
    page.payloads[0]["chapter"] = 2**62  # type: ignore[index]
    collection.put(page)
    assert collection.records(["-40"]).payloads[0] == page.payloads[0]
    for ids, why in ((["x"], "64 bits"), ([str(2**63)], "64 bits")):
        with pytest.raises(LightmigrateError, match=why):
            collection.put(type(page)(ids, page.vectors, page.texts, page.payloads))
    assert rich_row(1, [])["number"] == -40


def test_an_application_that_made_its_collection_anew_is_not_robbed(
    client: MilvusClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(client, "docs", 9)
    before, rename = everything(client), MilvusCalls.rename

    def interrupted(calls: MilvusCalls, name: str, to: str) -> None:
        rename(calls, name, to)
        raise KeyboardInterrupt

    monkeypatch.setattr(MilvusCalls, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Migrator(client).migrate_collection("docs", projection)
    monkeypatch.undo()
    plain(client, "docs", 2)
    store = MilvusStore(client)
    assert store.interrupted_exchange()
    with pytest.raises(LightmigrateError, match="2 records"):
        store.recover()
    client.delete("docs", filter='id != ""')
    assert "finished" in str(store.recover())
    assert_migrated(everything(client), before, projection)
    assert not store.interrupted_exchange()


def test_names_say_what_a_version_is() -> None:
    for name in (
        NAMES.unused(Address("docs", vector="dense"), State.NEW, "k_1"),
        NAMES.of(Address("docs__x"), State.OLD, "20260101_120000_2"),
        NAMES.of(Address("docs", vector="image_vector"), State.READY, "20260101_120000"),
    ):
        assert NAMES.spell(NAMES.parse(name)) == name
        assert name.replace("_", "").isalnum()
    ready = VersionName("docs", State.READY, "20260101_120000", "image_vector")
    assert NAMES.parse(NAMES.of(ready.address, State.READY, "20260101_120000")) == ready
    assert NAMES.state("docs__lightmigrate") is State.OWN
    assert NAMES.state("docs__lightmigrate_copy_k") is State.OWN, "an application's own: Milvus needs no copies"
    with pytest.raises(LightmigrateError, match="255"):
        NAMES.unused(Address("d" * 240), State.NEW, "k")


def test_another_process_has_it_open(client: MilvusClient, tmp_path: Path) -> None:
    assert Migrator(client).database is not None
    place = shared().path
    shared().let_go()
    lock = (place / "LOCK").open("rb+")
    fcntl = pytest.importorskip("fcntl")
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(DatabaseInUseError, match="close it first"):
        open_lite(place)
    lock.close()
    with MilvusStore(open_lite(place), owned=True) as store:
        assert store.folder == place
        assert store.collections() == []


def test_what_milvus_says_of_values_is_not_logged(client: MilvusClient, caplog: pytest.LogCaptureFixture) -> None:
    plain(client, "docs", 2)
    calls = MilvusCalls(client)
    with caplog.at_level(logging.DEBUG), pytest.raises(LightmigrateError) as raised:
        calls.put("docs", [{"id": "a secret", "vector": ["a secret"] * OLD_DIM}], "")
    assert "secret" not in caplog.text + str(raised.value)
