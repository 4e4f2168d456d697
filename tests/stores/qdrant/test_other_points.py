"""Points without the vector that is migrated are no records, and are carried all the same, until the exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator, Projection
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.names import NAMES
from lightmigrate.stores.qdrant.store import QdrantStore
from tests.databases import NEW_DIM, make_projection, make_vectors
from tests.stores.qdrant.points import assert_same, everything, named, use_alias

TEXT = Address("docs", vector="text")
IMAGE = [float(number) for number in range(24)]

# Of `named`: every seventh point has no text. Odd rows have other ids than their number.
WITHOUT, WITH = (0, 14, 28), (2, 4)


def write(client: QdrantClient) -> None:
    """All that can happen to points that have no text, or lose it, or get it."""
    client.upsert("docs", [models.PointStruct(id=1000, vector={"image": IMAGE}, payload={"text": "inserted"})])
    client.set_payload("docs", {"changed": True}, points=[WITHOUT[0]])
    client.delete("docs", models.PointIdsList(points=[WITHOUT[1]]))
    vector = make_vectors(1, seed=3)[0].tolist()
    client.update_vectors("docs", [models.PointVectors(id=WITHOUT[2], vector={"text": vector})])
    client.delete_vectors("docs", ["text"], models.PointIdsList(points=list(WITH)))


def before_the_switch(client: QdrantClient) -> tuple[str, Callable[..., None]]:
    """Writes right before the request that moves the alias."""
    original = QdrantCalls.change_aliases

    def written(calls: QdrantCalls, *, remove: Sequence[str] = (), add: Mapping[str, str]) -> None:
        if "docs" in add:
            write(client)
        original(calls, remove=remove, add=add)

    return "change_aliases", written


def before_the_copy(client: QdrantClient) -> tuple[str, Callable[..., None]]:
    """Writes right before the old collection is copied."""
    original = QdrantCalls.create

    def written(calls: QdrantCalls, name: str, *arguments: Any) -> None:
        if NAMES.state(name) is State.COPY:
            write(client)
        original(calls, name, *arguments)

    return "create", written


@pytest.mark.parametrize("moment", [before_the_switch, before_the_copy])
def test_what_is_written_after_they_were_copied_is_carried(
    monkeypatch: pytest.MonkeyPatch, moment: Callable[[QdrantClient], tuple[str, Callable[..., None]]]
) -> None:
    client, projection = QdrantClient(":memory:"), make_projection()
    aliased = moment is before_the_switch
    named(client, "docs_v1" if aliased else "docs")
    if aliased:
        use_alias(client, "docs_v1", "docs")
    with monkeypatch.context() as patch:
        patch.setattr(QdrantCalls, *moment(client))
        Migrator(client, page_size=11).migrate([CollectionJob(TEXT, projection)])
    (backup,) = QdrantStore(client).versions()
    assert_carried(everything(client), everything(client, backup.address.name), projection)


def assert_carried(after: dict[str, Any], old: dict[str, Any], projection: Projection) -> None:
    """The new collection has the points of the old one, and their other vectors; the text of those that have it."""
    assert after.keys() == old.keys()
    assert after["1000"][0] == {"text": "inserted"}
    for record, (payload, vectors) in old.items():
        new_payload, new = after[record]
        assert new_payload == payload
        assert new.keys() == vectors.keys()
        np.testing.assert_allclose(new["image"], vectors["image"], rtol=3e-7, atol=1e-8)
        if "text" in vectors:
            expected = projection.apply(np.array([vectors["text"]], np.float32))[0]
            np.testing.assert_allclose(new["text"], expected / np.linalg.norm(expected), atol=1e-5)
            assert len(new["text"]) == NEW_DIM
    assert after[str(WITHOUT[0])][0]["changed"]
    assert str(WITHOUT[1]) not in after
    assert "text" in after[str(WITHOUT[2])][1]
    assert all("text" not in after[str(row)][1] for row in WITH)


def test_what_an_application_writes_to_the_new_collection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    client = QdrantClient(":memory:")
    named(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    original = QdrantCalls.change_aliases

    def switched(calls: QdrantCalls, *, remove: Sequence[str] = (), add: Mapping[str, str]) -> None:
        original(calls, remove=remove, add=add)
        if "docs" in add:
            client.upsert("docs", [models.PointStruct(id=2000, vector={"image": IMAGE}, payload={"new": True})])
            client.set_payload("docs", {"new": True}, points=[WITHOUT[0]])
            client.delete("docs", models.PointIdsList(points=[WITHOUT[1]]))

    with monkeypatch.context() as patch:
        patch.setattr(QdrantCalls, "change_aliases", switched)
        Migrator(client).migrate([CollectionJob(TEXT, make_projection())])
    after = everything(client)
    assert after["2000"][0] == {"new": True}
    assert after[str(WITHOUT[0])][0]["new"]
    assert str(WITHOUT[1]) not in after


def test_a_point_without_the_vector_is_not_removed_as_a_record() -> None:
    client = QdrantClient(":memory:")
    named(client)
    before = everything(client)
    collection = QdrantStore(client).collection(TEXT)
    collection.remove([str(WITHOUT[0]), str(WITH[0]), "123456"])
    after = everything(client)
    assert before.keys() - after.keys() == {str(WITH[0])}
    del before[str(WITH[0])]
    assert_same(after, before)
