"""What only distributed Chroma has: refused before anything is written, or migrated as local Chroma has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api.types import (
    HnswIndexConfig,
    Schema,
    SpannIndexConfig,
    SparseVector,
    SparseVectorIndexConfig,
    StringInvertedIndexConfig,
    VectorIndexConfig,
)
from chromadb.errors import InvalidArgumentError

from lightmigrate import CollectionJob, Migrator, auto_migrate
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.projection.model import Model
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.stores.open import connect
from tests.databases import NEW_DIM, make_projection, make_vectors
from tests.stores.chroma.old_server import distributed, old_server


def spann() -> Schema:
    schema = Schema()
    schema.create_index(config=VectorIndexConfig(space="cosine", spann=SpannIndexConfig()))
    return schema


def sparse() -> Schema:
    schema = Schema()
    schema.create_index(config=SparseVectorIndexConfig(), key="words")
    return schema


@pytest.mark.parametrize(("schema", "named"), [(spann(), "a SPANN index"), (sparse(), "sparse vectors on 'words'")])
def test_its_indexes_are_refused_before_anything_is_written(schema: Schema, named: str) -> None:
    with old_server("1.0.20", distributed(schema)) as (port, writes):
        job = CollectionJob("docs", make_projection(source=Model("old", 4), target=Model("new", 8)))
        with pytest.raises(RefusedError, match=f"{named}.*, which only distributed Chroma has"):
            Migrator(connect("127.0.0.1", port)).migrate([job])
        report = auto_migrate(chromadb.HttpClient("127.0.0.1", port), expected_dim=8)
        assert report.action in ("refused", "failed", "warned")
        assert writes == []


def test_sparse_vectors_do_not_get_lost_on_the_way_to_another_store() -> None:
    store = LiveChromaStore(chromadb.EphemeralClient())
    with pytest.raises(LightmigrateError, match="a sparse vector, 'words'"):
        store.fields({"metadata": {"words": SparseVector(indices=[1], values=[0.5])}})


def test_local_chroma_has_none_of_it(tmp_path: Path) -> None:
    """The day it does, this fails, and they are looked at again."""
    with open_client(tmp_path) as client:
        with pytest.raises(InvalidArgumentError, match="Sparse vector indexing is not enabled in local"):
            client.create_collection("sparse", schema=sparse(), embedding_function=None)
        collection = client.create_collection("docs", schema=spann(), embedding_function=None)
        assert collection.configuration_json["spann"] is None
        with pytest.raises(TypeError):
            collection.add(["a"], embeddings=[[1.0]], metadatas=[{"words": SparseVector(indices=[1], values=[0.5])}])
        collection.add(["a"], embeddings=[[1.0]])
        with pytest.raises(NotImplementedError, match="forking is not implemented"):
            collection.fork("docs-fork")


def special() -> Schema:
    schema = Schema()
    schema.delete_index(config=StringInvertedIndexConfig(), key="private")
    schema.create_index(config=VectorIndexConfig(space="ip", hnsw=HnswIndexConfig(max_neighbors=24)))
    return schema


@pytest.mark.parametrize("client", [True, False], ids=["client", "folder"])
@pytest.mark.parametrize("schema", [spann, special])
def test_collections_made_with_a_schema_keep_it(tmp_path: Path, schema: Callable[[], Schema], client: bool) -> None:
    old = make_vectors(40)
    with open_client(tmp_path / "db") as opened:
        made = opened.create_collection("docs", schema=schema(), embedding_function=None)
        metadatas: Any = [{"private": f"p{row}", "public": f"q{row}"} for row in range(40)]
        made.add([f"id{row}" for row in range(40)], embeddings=old, metadatas=metadatas)
        before = LiveChromaStore(opened).collection(Address("docs")).settings()
        if client:
            Migrator(opened).migrate_collection("docs", make_projection())
    if not client:
        Migrator(tmp_path / "db").migrate_collection("docs", make_projection())
    with open_client(tmp_path / "db") as opened:
        collection = LiveChromaStore(opened).collection(Address("docs"))
        assert collection.settings() == before
        assert collection.facts().dimension == NEW_DIM
        handle = opened.get_collection("docs", embedding_function=None)
        assert handle.get(where={"public": "q7"})["ids"] == ["id7"]
        if schema is special:
            with pytest.raises(InvalidArgumentError, match="private"):
                handle.get(where={"private": "p7"})
        wanted = make_projection().apply(old[7:8])[0]
        found: Any = handle.get(["id7"], include=["embeddings"])["embeddings"]
        if schema is spann:  # by cosine
            wanted, found = wanted / np.linalg.norm(wanted), found / np.linalg.norm(found)
        np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-5)
