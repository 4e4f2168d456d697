"""Whole migrations through `Migrator`, with qdrant-client's own client as the application has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator, Model, Projection, auto_migrate
from lightmigrate.errors import (
    CollectionNotFoundError,
    DatabaseChangedError,
    DatabaseInUseError,
    LightmigrateError,
    WrittenSinceError,
)
from lightmigrate.progress import Progress
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.names import NAMES
from lightmigrate.stores.qdrant.store import QdrantStore
from lightmigrate.vectors import Vectors
from tests.contract.qdrant import quick_folder
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.encoders import shared_wordllama
from tests.stores.qdrant.points import COSINE, assert_same, everything, named, plain, point_id, use_alias, vectors_of

DOCS = Address("docs")


@pytest.fixture
def client() -> QdrantClient:
    return QdrantClient(":memory:")


@pytest.fixture
def projection() -> Projection:
    return make_projection()


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def new_vectors(projection: Projection, rows: int) -> dict[str, Vectors]:
    """What each record is to have, by id."""
    return {str(point_id(row)): new for row, new in enumerate(unit(projection.apply(unit(make_vectors(rows)))))}


def test_the_alias_leads_to_new_vectors_and_back_to_the_old_ones(client: QdrantClient, projection: Projection) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs", "search")
    before, migrator = everything(client), Migrator(client)
    assert [facts.address for facts in migrator.collections()] == [DOCS]
    assert migrator.exchange_notice is None
    result = migrator.migrate_collection("docs", projection)
    assert (result.n_migrated, result.previous_dim, result.current_dim) == (60, OLD_DIM, NEW_DIM)
    after, expected = everything(client), new_vectors(projection, 60)
    assert everything(client, "search") == after
    assert {record: payload for record, (payload, _) in after.items()} == {r: p for r, (p, _) in before.items()}
    for record, (_, vectors) in after.items():
        np.testing.assert_allclose(vectors[""], expected[record], atol=1e-5)
    assert all(check.unchanged for check in migrator.verify())
    assert_same(everything(client, "docs_v1"), before)
    migrator.rollback()
    assert_same(everything(client), before)
    assert everything(client, "search") == everything(client)
    migrator.clean()
    assert [each.name for each in client.get_collections().collections] == ["docs_v1"]
    assert {each.alias_name for each in client.get_aliases().aliases} == {"docs", "search"}


def test_a_collection_opened_by_its_own_name_comes_back_to_the_bit(tmp_path: Path, projection: Projection) -> None:
    with quick_folder(tmp_path) as place:
        folder = str(Path(place) / "db")
        client = QdrantClient(path=folder)
        plain(client)
        client.close()
        client = QdrantClient(path=folder)
        before = everything(client)
        with pytest.raises(DatabaseInUseError, match="close it first"):
            Migrator(folder)
        client.close()
        migrator = Migrator(folder)
        assert "pause writers" in str(migrator.exchange_notice)
        assert migrator.diagnose().exchange_notice == migrator.exchange_notice
        migrator.migrate_collection("docs", projection)
        assert migrator.collections()[0].dimension == NEW_DIM
        assert migrator.exchange_notice is None  # its name is an alias now
        migrator.rollback()
        _close(migrator)
        client = QdrantClient(path=folder)
        assert everything(client) == before
        client.close()


def test_vectors_that_searches_have_scaled_anew_were_not_written_to(tmp_path: Path) -> None:
    """Local mode scales what it holds in memory in every search, so that last bits differ from what was read."""
    vectors = make_vectors(300, 256)
    with quick_folder(tmp_path) as place:
        client = QdrantClient(path=str(Path(place) / "db"))
        client.create_collection("docs", vectors_config=models.VectorParams(size=256, distance=COSINE))
        points = [models.PointStruct(id=row, vector=vectors[row].tolist(), payload={}) for row in range(300)]
        client.upsert("docs", points)
        client.close()
        migrator = Migrator(Path(place) / "db")
        result = migrator.migrate_collection("docs", make_projection(source=Model("old", 256)))
        assert (result.n_migrated, result.written_late) == (300, 0)
        _close(migrator)


def _close(migrator: Migrator) -> None:
    database = migrator.database
    assert isinstance(database, QdrantStore)
    database.close()


def test_other_vectors_and_points_without_the_vector_stay_as_they_were(
    client: QdrantClient, projection: Projection
) -> None:
    named(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    before, migrator = everything(client), Migrator(client, page_size=11)
    assert [str(facts.address) for facts in migrator.collections()] == ["docs.image", "docs.text"]
    assert {str(facts.address): facts.count for facts in migrator.collections()} == {"docs.image": 40, "docs.text": 34}
    migrator.migrate_collections(_jobs(Address("docs", vector="text"), projection))
    after = everything(client)
    assert after.keys() == before.keys()
    for record, (payload, vectors) in before.items():
        new_payload, new = after[record]
        assert new_payload == payload
        assert new.keys() == vectors.keys()
        if "words" in vectors:
            assert new["words"] == vectors["words"]
            np.testing.assert_array_equal(new["tokens"], np.array(vectors["tokens"], np.float32))
        np.testing.assert_allclose(new["image"], vectors["image"], rtol=2e-7, atol=1e-8)  # scaled anew: the last bit
        assert "text" not in new or len(new["text"]) == NEW_DIM
    config = client.get_collection("docs").config.params
    assert config.sparse_vectors == client.get_collection("docs_v1").config.params.sparse_vectors
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert_same(everything(client), before)


def _jobs(address: Address, projection: Projection) -> list[Any]:
    from lightmigrate.migration.collection_job import CollectionJob

    return [CollectionJob(address, projection)]


def test_what_is_written_meanwhile_is_carried(client: QdrantClient, projection: Projection) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    written = make_vectors(3, seed=9)
    left = [True]

    def write(progress: Progress) -> None:
        if progress.step != "project" or not left.pop() if left else True:
            return
        for row, record in enumerate((point_id(3), 1000)):  # replaced, and inserted
            payload = {"page_content": f"late {row}", "metadata": {}}
            client.upsert("docs", [models.PointStruct(id=record, vector=written[row].tolist(), payload=payload)])
        client.update_vectors("docs", [models.PointVectors(id=point_id(4), vector=written[2].tolist())])
        client.delete("docs", models.PointIdsList(points=[point_id(5)]))

    result = Migrator(client, page_size=20, on_progress=write).migrate_collection("docs", projection)
    assert not left
    after, expected = everything(client), new_vectors(projection, 60)
    late = dict(zip((str(point_id(3)), "1000", str(point_id(4))), unit(projection.apply(unit(written))), strict=True))
    assert after.keys() == (expected.keys() | {"1000"}) - {str(point_id(5))}
    assert result.n_migrated == len(after)
    for record, (_, vectors) in after.items():
        np.testing.assert_allclose(vectors[""], (expected | late)[record], atol=1e-5)
    assert after["1000"][0]["page_content"] == "late 1"


def test_what_was_written_since_is_refused_or_carried_back(client: QdrantClient, projection: Projection) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    before, migrator = everything(client), Migrator(client)
    migrator.migrate_collection("docs", projection)
    vector = projection.apply(make_vectors(1, seed=5))[0].tolist()
    client.upsert("docs", [models.PointStruct(id=7000, vector=vector, payload={"page_content": "later"})])
    with pytest.raises(WrittenSinceError, match="1 records were added, 0 changed, 0 deleted"):
        migrator.rollback()
    assert migrator.rollback(written="carry").carried
    after = everything(client)
    payload, vectors = after.pop("7000")
    assert (payload, len(vectors[""])) == ({"page_content": "later"}, OLD_DIM)
    assert after.keys() == before.keys()


def test_an_interrupted_exchange_is_finished_and_an_empty_newcomer_removed(
    client: QdrantClient, projection: Projection
) -> None:
    expected = _interrupted(client, projection)
    with pytest.raises(CollectionNotFoundError):
        QdrantStore(client).collection(DOCS)
    client.create_collection("docs", vectors_config=models.VectorParams(size=OLD_DIM, distance=COSINE))
    migrator = Migrator(client)
    assert "resume" in str(migrator.unfinished)
    assert "finished" in str(migrator.recover())
    assert everything(client) == expected
    assert len(migrator.backups()) == 1
    migrator.rollback()
    assert len(everything(client)) == 60


def test_a_newcomer_with_points_is_kept_and_the_way_out_said(client: QdrantClient, projection: Projection) -> None:
    expected = _interrupted(client, projection)
    plain(client, rows=3)
    store = QdrantStore(client)
    with pytest.raises(DatabaseChangedError, match=r"a new collection docs \(3 records\)"):
        store.recover()
    assert len(everything(client, "docs")) == 3
    assert len(everything(client, NAMES.of(DOCS, State.OLD, "20260101_120000"))) == 60
    client.delete_collection("docs")
    assert store.recover()
    assert everything(client) == expected


def _interrupted(client: QdrantClient, projection: Projection) -> dict[str, tuple[Any, dict[str, Any]]]:
    """An exchange that a crash ended after the old collection was deleted; returns the points of the new one."""
    plain(client)
    store = QdrantStore(client)
    source = store.collection(DOCS)
    version = store.create_version(source, "k1", NEW_DIM, None)
    for page in source.scan(25):
        version.add(page.with_vectors(projection.apply(page.vectors)))
    calls, copy = QdrantCalls(client), NAMES.unused(DOCS, State.COPY, "20260101_120000")
    calls.create(copy, source.configuration.creation("", OLD_DIM, None), source.configuration)
    points, _ = client.scroll("docs", limit=1000, with_vectors=True)
    calls.upsert(copy, [models.PointStruct(id=p.id, vector=vectors_of(p)[""], payload=p.payload) for p in points])
    new = version.address.name
    calls.change_aliases(
        add={NAMES.of(DOCS, State.READY, "20260101_120000"): new, NAMES.of(DOCS, State.OLD, "20260101_120000"): copy}
    )
    calls.delete("docs")
    return everything(client, new)


def memories(client: QdrantClient) -> None:
    """A collection as mem0 writes it."""
    client.create_collection("docs", vectors_config=models.VectorParams(size=OLD_DIM, distance=models.Distance.DOT))
    points = [
        models.PointStruct(
            id=point_id(row), vector=vector, payload={"data": f"text {row}", "hash": "h", "created_at": 1}
        )
        for row, vector in enumerate(make_vectors(40).tolist())
    ]
    client.upsert("docs", points)


def test_an_application_that_finds_no_alias_keeps_a_collection_of_its_name(
    client: QdrantClient, projection: Projection
) -> None:
    memories(client)
    before, migrator = everything(client), Migrator(client)
    for _ in range(2):
        migrator.migrate_collection("docs", projection)
        assert "docs" in {each.name for each in client.get_collections().collections}
        after = everything(client)
        assert {record: payload for record, (payload, _) in after.items()} == {r: p for r, (p, _) in before.items()}
        assert {len(vectors[""]) for _, vectors in after.values()} == {NEW_DIM}
        assert all(check.unchanged for check in migrator.verify())
        migrator.rollback()
        assert everything(client) == before
    migrator.clean()
    assert [each.name for each in client.get_collections().collections] == ["docs"]
    assert client.get_aliases().aliases == []


def test_what_is_being_moved_is_moved_on_and_what_was_written_there_stays(
    client: QdrantClient, projection: Projection
) -> None:
    memories(client)
    store = QdrantStore(client)
    source = store.collection(DOCS)
    version = store.create_version(source, "k1", NEW_DIM, None)
    for page in source.scan(25):
        version.add(page.with_vectors(projection.apply(page.vectors)))
    expected = everything(client, version.address.name)
    QdrantCalls(client).change_aliases(add={NAMES.of(DOCS, State.MOVING, "20260101_120000"): version.address.name})
    client.delete_collection("docs")
    client.create_collection("docs", vectors_config=models.VectorParams(size=NEW_DIM, distance=models.Distance.DOT))
    written = models.PointStruct(id=point_id(3), vector=[1.0] * NEW_DIM, payload={"data": "written since"})
    client.upsert("docs", [written])
    assert store.interrupted_exchange()
    assert store.versions()[0].address == version.address
    assert "finished" in str(store.recover())
    after = everything(client)
    assert after.pop(str(point_id(3)))[0] == {"data": "written since"}
    del expected[str(point_id(3))]
    assert after == expected
    assert store.versions() == []


def test_what_cannot_be_copied_is_refused_before_anything_is_written(
    client: QdrantClient, projection: Projection
) -> None:
    half = models.VectorParams(size=OLD_DIM, distance=COSINE, datatype=models.Datatype.FLOAT16)
    client.create_collection("half", vectors_config=half)
    far = models.VectorParams(size=OLD_DIM, distance=models.Distance.MANHATTAN)
    client.create_collection("far", vectors_config=far)
    client.create_collection("x" * 240, vectors_config=models.VectorParams(size=OLD_DIM, distance=COSINE))
    store = QdrantStore(client)
    with pytest.raises(LightmigrateError, match="float16"):
        store.create_version(store.collection(Address("half")), "k1", NEW_DIM, None)
    with pytest.raises(LightmigrateError, match="240 characters"):
        store.create_version(store.collection(Address("x" * 240)), "k1", NEW_DIM, None)
    with pytest.raises(CollectionNotFoundError, match="no dense vector"):
        store.collection(Address("far"))
    assert [facts.name for facts in store.collections()] == ["half", "x" * 240]
    assert store.versions() == []


def test_one_vector_is_migrated_after_the_other(client: QdrantClient) -> None:
    named(client)
    store = QdrantStore(client)
    text, image = (store.collection(Address("docs", vector=name)) for name in ("text", "image"))
    store.create_version(text, "k1", NEW_DIM, None)
    with pytest.raises(LightmigrateError, match=r"docs\.text is being migrated"):
        store.create_version(image, "k2", NEW_DIM, None)
    with pytest.raises(CollectionNotFoundError, match="image, text"):
        store.collection(DOCS)


def test_a_collection_behind_an_alias_is_named_by_it(client: QdrantClient) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    with pytest.raises(CollectionNotFoundError, match="by the alias docs"):
        QdrantStore(client).collection(Address("docs_v1"))


def test_a_start_is_given_the_client_and_not_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    client = QdrantClient(path=str(folder))
    client.create_collection("docs", vectors_config=models.VectorParams(size=OLD_DIM, distance=COSINE))
    client.close()
    report = auto_migrate(folder, shared_wordllama().embed, calibrate=0)
    assert (report.action, "give that client" in report.error) == ("failed", True)
    client = QdrantClient(path=str(folder))
    assert auto_migrate(client, shared_wordllama().embed, calibrate=0).action == "migrated"
    assert QdrantStore(client).collection(DOCS).facts().dimension == 256
    client.close()


def test_a_backup_of_a_received_collection_is_not_taken_for_one_that_is_being_filled(
    client: QdrantClient, projection: Projection
) -> None:
    store = QdrantStore(client)
    received = store.create_incoming(DOCS, OLD_DIM, "cosine", None)
    ids = [store.new_id(f"r{row}") for row in range(20)]
    received.add(Page(ids, make_vectors(20, OLD_DIM), ["text"] * 20, [None] * 20))
    store.publish(store.complete(received), DOCS)
    Migrator(client).migrate_collection("docs", projection, force=True)
    store.delete(DOCS)  # to receive it anew
    (backup,) = store.versions()
    assert store.incoming(DOCS, OLD_DIM, "cosine") is None
    store.create_incoming(DOCS, OLD_DIM, "cosine", None)
    assert store.versions() == [backup]
    assert sorted(store.collection(backup.address).ids()) == sorted(ids)
