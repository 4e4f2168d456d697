"""Another distance for a collection of an open database: a shadow with it is built, kept up, verified and exchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import InvalidVectorsError, NothingToMigrateError, RefusedError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.distance import measured_space
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.databases import make_vectors
from tests.migration.shadow.rows import N, assert_migrated, handle, names, read
from tests.migration.test_resume import KilledError, dies

DOCS = Address("docs")


@pytest.fixture
def store() -> MemoryStore:
    database = MemoryDatabase()
    database.create_collection(DOCS, 16, "l2", {"owner": "team"})
    store = MemoryStore(database)
    ids = [f"id-{row}" for row in range(N)]
    store.collection(DOCS).add(Page(ids, make_vectors(N), [f"text {row}" for row in range(N)], [None] * N))
    return store


def opened(client: Any) -> ChromaCollection:
    return ChromaCollection(client, handle(client))


def test_only_the_index_changes_and_the_way_back_is_exact(client: Any) -> None:
    before, settings, wanted = read(client), opened(client).settings(), opened(client).settings("l2")
    application = handle(client)
    migrator = ChromaMigrator(client, page_size=25)
    (result,) = migrator.migrate([CollectionJob("memory", distance="l2")])
    assert (result.n_migrated, result.current_dim) == (N, 16)
    assert result.verification is not None
    assert (result.verification.space_before, result.verification.space) == ("cosine", "l2")
    assert opened(client).settings() == wanted
    assert measured_space(opened(client)) == "l2"
    after = read(client)
    assert [row[:3] for row in after.values()] == [row[:3] for row in before.values()]
    np.testing.assert_allclose([row[3] for row in after.values()], [row[3] for row in before.values()], atol=2e-6)
    own = after[next(iter(after))][3]
    assert application.query(query_embeddings=[2 * own], n_results=1)["distances"][0][0] > 1, "its handle was moved"
    assert migrator.verify()[0].unchanged
    migrator.rollback()
    assert (opened(client).settings(), measured_space(opened(client))) == (settings, "cosine")
    assert read(client).keys() == before.keys()


def test_with_a_projection(client: Any, projection: Projection) -> None:
    before = read(client)
    result = ChromaMigrator(client).migrate_collection("memory", projection, distance="ip")
    assert result.verification is not None
    assert (result.verification.space_before, result.verification.space) == ("cosine", "ip")
    assert_migrated(read(client), before, projection)
    assert measured_space(opened(client)) == "ip"


def test_a_run_that_was_killed_goes_on_only_for_the_same_distance(client: Any) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(client, page_size=10, on_progress=dies("project", 3)).migrate(
            [CollectionJob("memory", distance="ip")]
        )
    (built,) = names(client) - {"memory", "bystander"}
    assert measured_space(opened(client)) == "cosine"
    migrator = ChromaMigrator(client)
    assert migrator.interrupted
    kept = handle(client, built).id
    migrator.migrate([CollectionJob("memory", distance="ip")])
    assert handle(client).id == kept
    with pytest.raises(KilledError):
        ChromaMigrator(client, page_size=10, on_progress=dies("project", 3)).migrate(
            [CollectionJob("memory", distance="cosine")]
        )
    migrator.migrate([CollectionJob("memory", distance="l2")])
    assert (measured_space(opened(client)), migrator.interrupted) == ("l2", False)


def test_in_memory_the_vectors_are_the_same_to_the_bit(store: MemoryStore) -> None:
    before = Page.joined(list(store.collection(DOCS).scan(100)))
    migrator = ChromaMigrator(store, page_size=25)
    migrator.migrate([CollectionJob(DOCS, distance="cosine")])
    live = store.collection(DOCS)
    assert live.settings() == {"metric": "cosine", "settings": {"owner": "team"}}
    assert Page.joined(list(live.scan(100))).vectors.tobytes() == before.vectors.tobytes()
    assert migrator.verify()[0].unchanged
    with pytest.raises(NothingToMigrateError, match="cosine already"):
        migrator.migrate([CollectionJob(DOCS, distance="cosine")])
    migrator.rollback()
    assert measured_space(store.collection(DOCS)) == "l2"


def test_zeros_are_refused_by_cosine_or_become_the_mean(store: MemoryStore) -> None:
    zero = Page(["zero"], np.zeros((1, 16), np.float32), ["nothing"], [None])
    store.collection(DOCS).add(zero)
    with pytest.raises(InvalidVectorsError, match="1 of 61 vectors in docs cannot be compared by cosine"):
        ChromaMigrator(store).migrate([CollectionJob(DOCS, distance="cosine")])
    ChromaMigrator(store).migrate([CollectionJob(DOCS, distance="ip")])
    assert not store.collection(DOCS).records(["zero"]).vectors.any()
    ChromaMigrator(store).migrate([CollectionJob(DOCS, distance="cosine")], invalid_vectors="centre")
    centre = store.collection(DOCS).records(["zero"]).vectors[0]
    np.testing.assert_allclose(centre, make_vectors(N).mean(axis=0), atol=1e-6)


def test_a_store_that_cannot_change_it_says_why(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStore, "fixed_distance", lambda self, address: "its index cannot be built again")
    message = "the distance of docs cannot be changed to ip: its index cannot be built again"
    with pytest.raises(RefusedError, match=message):
        ChromaMigrator(store).migrate([CollectionJob(DOCS, distance="ip")])
    assert store.versions() == []
