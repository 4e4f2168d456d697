"""Some records of a folder, read from outside, are those that Chroma gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.records import sample_records
from lightmigrate.vectors import Vectors
from tests.databases import records

PLACE = Address("notes")


def vectors(n: int) -> Vectors:
    return np.random.default_rng(n).standard_normal((n, 8)).astype(np.float32)


@pytest.mark.parametrize("rows", [30, 1500])  # all in the log; most in the index
def test_records_are_those_that_chroma_gives(tmp_path: Path, rows: int) -> None:
    metadatas: list[Any] = [
        {"page": row, "title": f"t{row}", "share": row / 4, "good": row % 2 == 0} for row in range(rows)
    ]
    with open_client(tmp_path) as client:
        client.create_collection("empty", embedding_function=None)
        collection = client.create_collection("notes", embedding_function=None)
        collection.add(
            ids=[str(row) for row in range(rows)],
            embeddings=vectors(rows),
            documents=[f"text {row}" if row % 3 else None for row in range(rows)],
            metadatas=[metadata if row % 5 else None for row, metadata in enumerate(metadatas)],
            uris=[f"file:///{row}.png" if row % 7 == 0 else None for row in range(rows)],
        )
        collection.delete(ids=["4", "5"])
    sampled = sample_records(tmp_path, 25)
    assert list(sampled) == [PLACE]
    page = sampled[PLACE]
    assert 20 <= len(page) <= 25
    with ChromaFolderStore(tmp_path) as store:
        stored = store.collection(PLACE).records(page.ids)
    assert (stored.ids, stored.texts, stored.payloads) == (list(page.ids), list(page.texts), list(page.payloads))
    np.testing.assert_array_equal(stored.vectors, page.vectors)


def test_only_the_named_collections_are_sampled(database: Path) -> None:
    everything = sample_records(database, 10)
    assert len(everything) == 4
    for address in (Address("thought_nodes"), Address("thought_nodes", "second_tenant", "archive")):
        (page,) = sample_records(database, 10, (address,)).values()
        assert (page.ids, page.texts) == (everything[address].ids, everything[address].texts)
    assert sample_records(database, 10, (Address("empty"), Address("nothing"))) == {}
    assert sample_records(database, 10, ()) == {}


def test_an_index_in_an_unknown_format_is_left_out(tmp_path: Path) -> None:
    with open_client(tmp_path) as client:
        collection = client.create_collection("notes", embedding_function=None)
        collection.add(ids=[str(row) for row in range(1500)], embeddings=vectors(1500))
    (labels,) = tmp_path.glob("*/index_metadata.pickle")
    labels.write_bytes(b"\x80\x03c__builtin__\neval\n.")  # would run code if it were unpickled
    assert all(len(page) <= 25 for page in sample_records(tmp_path, 25).values())


def test_a_collection_whose_vectors_all_belong_to_deleted_records_is_left_out(tmp_path: Path) -> None:
    with open_client(tmp_path) as client:
        emptied = client.create_collection("emptied", embedding_function=None)
        emptied.add(**records(30))
        emptied.delete(ids=emptied.get(include=[])["ids"])
    assert sample_records(tmp_path, 100) == {}
    assert Migrator(tmp_path).diagnose().collections[0].count == 0
