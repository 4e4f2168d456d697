"""A new database with any fault is deleted: each test plants one fault and wants it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import VerificationError
from lightmigrate.migration.verify import compare_contents
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.replacement import ChromaReplacement
from lightmigrate.vectors import Vectors
from tests.databases import NEW_DIM, folder_hash, make_vectors

Tamper = Callable[[Page], Page]


def change_first(column: str, value: Any) -> Tamper:
    def tamper(page: Page) -> Page:
        changed: dict[str, Any] = {column: [value, *getattr(page, column)[1:]]}
        return replace(page, **changed)

    return tamper


def swap_first_two_vectors(page: Page) -> Page:
    return page.with_vectors(np.ascontiguousarray(page.vectors[[1, 0, *range(2, len(page))]]))


def nudge_one_number(page: Page) -> Page:
    vectors = page.vectors.copy()
    vectors[3, 3] += 1e-3
    return page.with_vectors(vectors)


def drop_last(page: Page) -> Page:
    return page.part(0, len(page) - 1)


def reverse(page: Page) -> Page:
    return page.rows(range(len(page))[::-1])


FAULTS: dict[str, tuple[Tamper, str]] = {
    "id": (change_first("ids", "another"), "record 0 .* another id"),
    "text": (change_first("texts", "another"), "record 0 .* another text"),
    "text lost": (change_first("texts", None), "record 0 .* another text"),
    "metadata": (
        change_first("payloads", {"uri": "file:///0", "metadata": {"int": 1}}),
        "record 0 .* another metadata",
    ),
    "uri": (change_first("payloads", {"uri": "another"}), "record 0 .* another uri"),
    "payload lost": (change_first("payloads", None), "record 0 .* another uri"),
    "vectors swapped": (swap_first_two_vectors, "record 0 .* another vector"),
    "vector nudged": (nudge_one_number, "record 3 .* another vector"),
    "record lost": (drop_last, r"number of records: 60 before, 59 after"),
    "order": (reverse, "record 0 .* another id"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_records(
    fault: str, database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(database)
    tamper, message = FAULTS[fault]
    add = ChromaCollection.add
    monkeypatch.setattr(ChromaCollection, "add", lambda self, page: add(self, tamper(page)))
    with pytest.raises(VerificationError, match=message):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection, index="rewrite")
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


@pytest.mark.parametrize("metadata", [{"float": 0.1 + 1e-12}, {"int": 1}, {"yes": 1}, {"text": "naive"}, {}])
def test_metadata_may_round_but_not_change(metadata: dict[str, Any], tmp_path: Path, projection: Projection) -> None:
    """Chroma's log may change the last bit of a float; 1e-12 is not the last bit, and 1 is not True."""
    original: dict[str, Any] = {"float": 0.1, "int": 2, "yes": True, "text": "naïve"}
    vectors = make_vectors(1)
    old = Page(["a"], vectors, [None], [{"metadata": original}])
    rounded = Page(["a"], vectors, [None], [{"metadata": {**original, "float": float(np.nextafter(0.1, 1))}}])
    assert compare_contents(old, rounded, 0) == 1
    changed = {"metadata": {**original, **metadata}} if metadata else None
    with pytest.raises(VerificationError, match=r"record 0 .* another metadata"):
        compare_contents(old, Page(["a"], vectors, [None], [changed]), 0)


def forgetful(self: ChromaFolderStore, address: Address, *settings: object) -> ChromaCollection:
    """Creates a collection without the settings that it was given."""
    client = self._client(address)
    return ChromaCollection(client, client.create_collection(address.name, embedding_function=None), [])


def test_settings_that_were_not_cloned(database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChromaFolderStore, "create", forgetful)
    with pytest.raises(VerificationError, match="settings"):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection, index="rewrite")


def test_another_distance_function_under_the_same_settings(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a database says of its index is not always true, so the distances themselves are measured."""

    monkeypatch.setattr(ChromaFolderStore, "create", forgetful)
    monkeypatch.setattr(ChromaCollection, "settings", lambda self, distance=None: {})
    with pytest.raises(VerificationError, match="distance function: cosine before, l2 after"):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection, index="rewrite")


def miss_every_third(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Searches for at most so many neighbours miss the nearest of every third query, in the new collection."""
    nearest = ChromaCollection.nearest

    def missing(self: ChromaCollection, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        ids, distances = nearest(self, vectors, k)
        if vectors.shape[1] == NEW_DIM and k <= most:
            distances = [[1.0, *row[1:]] if query % 3 == 0 else row for query, row in enumerate(distances)]
        return ids, distances

    monkeypatch.setattr(ChromaCollection, "nearest", missing)


def test_an_index_that_lacks_vectors(database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    before = folder_hash(database)
    miss_every_third(monkeypatch, 10**6)
    with pytest.raises(VerificationError, match="searches find 67% of the stored vectors in the new index, 100% in"):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection, index="rewrite")
    assert folder_hash(database) == before


def test_an_index_whose_settings_make_short_searches_miss_some_is_no_fault(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    miss_every_third(monkeypatch, 1)
    result = ChromaMigrator(database).migrate_collection("thought_nodes", projection, index="rewrite")
    assert result.verification is not None
    assert result.verification.found == pytest.approx(2 / 3)
    assert "thought_nodes: searches find 67% of the stored vectors, 100% before" in caplog.text


def test_a_change_in_a_collection_that_was_not_to_be_touched(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(database)

    put = ChromaReplacement.put

    def put_and_spoil(self: ChromaReplacement, *arguments: Any) -> Any:
        route = put(self, *arguments)
        with open_client(database.parent / ".chroma_data.lightmigrate" / "new") as client:
            notes = client.get_collection("notes", embedding_function=None)
            notes.update(ids=notes.get(limit=1)["ids"], metadatas=[{"spoiled": True}])
        return route

    monkeypatch.setattr(ChromaReplacement, "put", put_and_spoil)
    with pytest.raises(VerificationError, match="a collection that was not to be migrated changed"):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection, index="rewrite")
    assert folder_hash(database) == before


def test_verify_says_whether_the_database_is_as_the_migration_left_it(database: Path, projection: Projection) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    (check,) = migrator.verify()
    assert check.unchanged
    with open_client(database) as client:
        collection = client.get_collection("thought_nodes", embedding_function=None)
        collection.add(ids=["late"], embeddings=make_vectors(1, 24))
    (check,) = migrator.verify()
    assert (check.records, check.records_migrated) == (61, 60)
    assert not check.unchanged
    assert check.settings_equal


def test_verify_sees_a_single_changed_vector(database: Path, projection: Projection) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    with open_client(database) as client:
        collection = client.get_collection("thought_nodes", embedding_function=None)
        collection.update(ids=collection.get(limit=1)["ids"], embeddings=make_vectors(1, 24))
    (check,) = migrator.verify()
    assert check.contents_equal
    assert not check.vectors_equal
