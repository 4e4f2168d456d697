"""A database that is written to while it is migrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import DatabaseChangedError
from lightmigrate.migration.digest import digest_of
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.store import ChromaStore
from tests.databases import make_vectors
from tests.migration.shadow.rows import N, assert_migrated, handle, read


def writing(client: Any, do: Callable[[Any, int], None]) -> Any:
    """A progress callback that does something to the collection whenever it is called."""
    collection, calls = handle(client), 0

    def on_progress(progress: Any) -> None:
        nonlocal calls
        calls += 1
        do(collection, calls)

    return on_progress


def test_what_is_written_meanwhile_is_carried_over(client: Any, projection: Projection) -> None:
    ids = handle(client).get(include=[])["ids"]

    def write(collection: Any, call: int) -> None:
        if call == 1:
            collection.add(ids=["new"], embeddings=make_vectors(1, seed=9), documents=["while copying"])
            collection.update(ids=[ids[0]], embeddings=make_vectors(1, seed=8), documents=["another text"])
            collection.delete(ids=[ids[1], ids[-1]])
        elif call == 6:
            collection.update(ids=[ids[2]], metadatas=[{"n": 1}])
            collection.delete(ids=["new"])
            collection.add(ids=["newer"], embeddings=make_vectors(1, seed=7))

    migrator = ChromaMigrator(client, page_size=25, on_progress=writing(client, write))
    result = migrator.migrate_collection("memory", projection)
    old = read(client, migrator.backups()[0].name)
    assert {"newer"} < old.keys()
    assert not {"new", ids[1], ids[-1]} & old.keys()
    assert result.n_migrated == len(old) == N - 1
    assert_migrated(read(client), old, projection)
    digest = digest_of(ChromaCollection(client, handle(client)), 100)
    assert result.verification is not None
    assert result.verification.records == N - 1
    assert (result.verification.content_sha256, result.verification.vectors_sha256) == (digest.content, digest.vectors)


def test_another_vector_for_the_same_record_is_carried_over(client: Any, projection: Projection) -> None:
    """Vectors are not read again before the exchange: what is said of the record is what it was."""
    ids, other = handle(client).get(include=[])["ids"], make_vectors(1, seed=8)

    def write(collection: Any, call: int) -> None:
        if call == 1:
            collection.update(ids=[ids[0]], embeddings=other)

    migrator = ChromaMigrator(client, page_size=25, on_progress=writing(client, write))
    result = migrator.migrate_collection("memory", projection)
    assert result.written_late == 1
    old = read(client, migrator.backups()[0].name)
    np.testing.assert_allclose(old[ids[0]][3], other[0], atol=2e-6)
    assert_migrated(read(client), old, projection)


def test_records_are_read_once_each_while_others_are_deleted_and_added(client: Any) -> None:
    source = ChromaCollection(client, handle(client))
    pages, ids = source.scan(10), list(source.ids())
    found = list(next(pages).ids)
    handle(client).delete(ids=[*found, ids[40]])
    handle(client).add(ids=["new"], embeddings=make_vectors(1))
    found += [record for page in pages for record in page.ids]
    assert sorted(found) == sorted(set(ids) - {ids[40]})


def test_writes_that_never_pause_stop_it_and_it_goes_on_later(client: Any, projection: Projection) -> None:
    def write(collection: Any, call: int) -> None:
        collection.add(ids=[f"new-{call}"], embeddings=make_vectors(1, seed=call))

    migrator = ChromaMigrator(client, on_progress=writing(client, write))
    with pytest.raises(DatabaseChangedError, match=r"in every one of 10 passes, 1 records in the last one"):
        migrator.migrate_collection("memory", projection)
    assert handle(client).get(limit=1, include=["embeddings"])["embeddings"].shape == (1, 16)
    assert migrator.interrupted
    old, added = read(client), 0
    add = ChromaCollection.add

    def counted(self: ChromaCollection, page: Any) -> None:
        nonlocal added
        added += len(page)
        add(self, page)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChromaCollection, "add", counted)
        ChromaMigrator(client).migrate_collection("memory", projection)
    assert added <= 2, "what was written is not written again"
    assert_migrated(read(client), old, projection)


def test_a_record_written_to_the_old_rows_in_the_last_instant(
    client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's client goes by the old id and does not know yet."""
    move_handles, held = ChromaStore._move_handles, handle(client)

    def late(self: Any, *arguments: Any) -> int:
        held.add(ids=["late"], embeddings=make_vectors(1), documents=["in the last instant"])
        return move_handles(self, *arguments)

    monkeypatch.setattr(ChromaStore, "_move_handles", late)
    result = ChromaMigrator(client).migrate_collection("memory", projection)
    assert result.written_late == 1
    assert read(client)["late"][0] == "in the last instant"
    np.testing.assert_allclose(read(client)["late"][3], projection.apply(make_vectors(1))[0], atol=2e-6)


def test_an_invalid_vector_that_is_written_in_the_last_instant_does_not_stop_the_rest(
    client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is too late to refuse it: it becomes the centre of the new space, as with `invalid_vectors="centre"`."""
    move_handles, held = ChromaStore._move_handles, handle(client)

    def late(self: Any, *arguments: Any) -> int:
        held.add(ids=["invalid", "late"], embeddings=np.concatenate([np.zeros((1, 16)), make_vectors(1)]))
        return move_handles(self, *arguments)

    monkeypatch.setattr(ChromaStore, "_move_handles", late)
    assert ChromaMigrator(client).migrate_collection("memory", projection).written_late == 2
    found = read(client)
    np.testing.assert_allclose(found["late"][3], projection.apply(make_vectors(1))[0], atol=2e-6)
    np.testing.assert_allclose(found["invalid"][3], projection.apply(np.zeros((1, 16), np.float32))[0], atol=2e-6)
