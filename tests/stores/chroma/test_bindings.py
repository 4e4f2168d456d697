"""More collections than Chroma keeps indexes of: it drops some, and cannot read those again that it had not written."""

from __future__ import annotations

import resource
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.errors import InternalError

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore

# With so few open files Chroma keeps 12 indexes.
FILES, COLLECTIONS = 64, 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_client(tmp_path) as client:
        for number in range(COLLECTIONS):
            rows = np.eye(8, dtype=np.float32)[:3] + number
            client.create_collection(f"file-{number}", embedding_function=None).add(
                ids=["a", "b", "c"], embeddings=rows
            )
    return tmp_path


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Chroma reads as the number of files that this process may open."""
    limits = resource.getrlimit

    def few(which: int) -> tuple[int, int]:
        return (FILES, FILES) if which == resource.RLIMIT_NOFILE else limits(which)

    monkeypatch.setattr(resource, "getrlimit", few)


def test_more_collections_than_chroma_keeps_indexes_of_are_read_and_written_again_and_again(
    folder: Path, few_files: None
) -> None:
    with ChromaFolderStore(folder) as store:
        opened = [store.collection(Address(f"file-{number}")) for number in range(COLLECTIONS)]
        for _ in range(3):
            for number, collection in enumerate(opened):
                np.testing.assert_array_equal(
                    np.sort(collection.sample(10).vectors, axis=0), np.sort(np.eye(8)[:3] + number, axis=0)
                )
        opened[0].put(opened[1].records(["a"]))
        assert opened[0].nearest(np.eye(8, dtype=np.float32)[:1] + 1, 1)[0] == [["a"]]


def test_chroma_itself_still_fails_so_the_bound_is_still_needed(folder: Path, few_files: None) -> None:
    client = chromadb.PersistentClient(str(folder))
    opened = [client.get_collection(f"file-{number}", embedding_function=None) for number in range(COLLECTIONS)]

    def read_twice() -> None:
        for collection in (*opened, *opened):
            collection.get(include=["embeddings"])

    with pytest.raises(InternalError, match="Nothing found on disk"):
        read_twice()


def test_counting_loads_indexes_too_so_it_is_bounded(folder: Path, few_files: None) -> None:
    """Chroma loads the index of a collection whose records are counted."""
    with ChromaFolderStore(folder) as store:
        for _ in range(2):
            for number in range(COLLECTIONS):
                assert store.collection(Address(f"file-{number}")).handle.count() == 3
            assert store.collection(Address("file-0")).handle.get(include=["embeddings"])["ids"] == ["a", "b", "c"]
