"""What was read of small collections is kept until something is written, and is what Chroma has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma import remembered
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from tests.databases import make_vectors

NOTES, OTHER = Address("notes"), Address("other")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_client(tmp_path) as client:
        for name in ("notes", "other"):
            client.create_collection(name, embedding_function=None).add(
                ids=[str(row) for row in range(9)],
                documents=[f"{name} {row}" for row in range(9)],
                metadatas=[{"row": row} for row in range(9)],
                embeddings=make_vectors(9),
            )
    return tmp_path


def in_chroma(collection: ChromaCollection) -> list[str]:
    """The ids that Chroma itself lists."""
    return list(collection.handle.get(include=[])["ids"])


def ids(collection: ChromaCollection, size: int = 4) -> list[str]:
    return [record for page in collection.scan(size) for record in page.ids]


def test_a_small_collection_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChromaFolderStore(folder) as store:
        collection = store.collection(NOTES)
        first = Page.joined(list(collection.scan(4)))
        monkeypatch.setattr(type(collection.handle), "get", None)  # whoever reads again fails
        monkeypatch.setattr(type(collection.handle), "count", None)
        assert store.collection(NOTES) is collection
        assert collection.count() == 9
        again = Page.joined(list(collection.scan(4)))
        np.testing.assert_array_equal(again.vectors, first.vectors)
        assert (again.ids, again.texts, again.payloads) == (first.ids, first.texts, first.payloads)
        assert [page.vectors.shape for page in collection.scan(5, vectors=False)] == [(5, 0), (4, 0)]
        assert list(collection.records(["7", "none", "2"]).ids) == ["7", "2"]
        assert len(collection.sample(9)) == 9
        with pytest.raises(ValueError, match="read-only"):
            next(iter(collection.scan(9))).vectors[0] = 0


def test_whatever_is_written_is_read_again(folder: Path) -> None:
    with ChromaFolderStore(folder) as store:
        collection, handle_of_another = store.collection(NOTES), store.collection(NOTES)
        vectors = make_vectors(9)
        assert ids(collection) == in_chroma(collection)
        collection.remove(["3"])
        assert handle_of_another.count() == 8
        assert ids(handle_of_another) == in_chroma(collection)
        collection.put(Page(["4"], vectors[:1], ["new"], [{"metadata": {"row": 40}}]))
        assert store.collection(NOTES).records(["4"]).texts == ["new"]
        collection.add(Page(["10"], vectors[:1], ["ten"], [None]))
        assert ids(store.collection(NOTES)) == in_chroma(collection)
        collection.replace_vectors(["10"], vectors[5:6])
        np.testing.assert_allclose(collection.records(["10"]).vectors, vectors[5:6], atol=1e-6)
        assert len(collection.sample(20)) == collection.count() == 9


def test_a_name_leads_to_what_has_it_now(folder: Path) -> None:
    with ChromaFolderStore(folder) as store:
        notes, other = store.collection(NOTES), store.collection(OTHER)
        assert [len(ids(each)) for each in (notes, other)] == [9, 9]
        other.remove(["0"])
        notes.rename("kept")
        with pytest.raises(CollectionNotFoundError):
            store.collection(NOTES)
        other.rename("notes")
        assert ids(store.collection(NOTES)) == [str(row) for row in range(1, 9)]
        store.delete(NOTES)
        with pytest.raises(CollectionNotFoundError):
            store.collection(NOTES)


def test_a_scan_gives_each_record_once_while_records_are_removed(folder: Path) -> None:
    with ChromaFolderStore(folder) as store:
        collection = store.collection(NOTES)
        read = []
        for page in collection.scan(2):
            read += list(page.ids)
            collection.remove(page.ids[:1])
        assert sorted(read) == [str(row) for row in range(9)]


def test_what_is_read_while_somebody_writes_is_not_kept() -> None:
    known = remembered.Remembered()

    def read() -> int:
        with known.writing("notes"):
            return 3

    assert known.count("notes", read) == 3
    assert known.count("notes", lambda: 4) == 4
    assert known.count("notes", lambda: 5) == 4


def test_no_more_is_kept_than_fits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_BYTES", 15_000)
    with ChromaFolderStore(folder) as store:
        for _ in range(2):
            for address in (NOTES, OTHER):
                assert ids(store.collection(address)) == [str(row) for row in range(9)]
        assert store._remembered.known(store.collection(NOTES).id) is not None
        assert store._remembered.known(store.collection(OTHER).id) is None
        monkeypatch.setattr(remembered, "MOST_RECORDS", 5)
        store.collection(NOTES).remove(["8"])
        assert ids(store.collection(NOTES)) == [str(row) for row in range(8)]
        assert store._remembered.known(store.collection(NOTES).id) is None
