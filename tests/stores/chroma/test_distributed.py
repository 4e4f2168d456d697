"""What only distributed Chroma has: refused before anything is written, or migrated as local Chroma has it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
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
from chromadb.errors import ChromaError, InvalidArgumentError

from lightmigrate import CollectionJob, Migrator, Projection, auto_migrate
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.projection.model import Model
from lightmigrate.stores.base import Address, Store
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.stores.open import connect, open_database
from tests.databases import NEW_DIM, folder_hash, make_projection, make_vectors, records
from tests.migration.shadow.server import Server, shared_server
from tests.stores.chroma.distributed import Distributed, named_spann
from tests.stores.chroma.old_server import distributed, old_server
from tests.stores.chroma.proxy import proxy


def spann() -> Schema:
    schema = Schema()
    schema.create_index(config=VectorIndexConfig(space="cosine", spann=SpannIndexConfig()))
    return schema


def sparse() -> Schema:
    schema = Schema()
    schema.create_index(config=SparseVectorIndexConfig(), key="words")
    return schema


def test_an_index_of_sparse_vectors_is_refused_before_anything_is_written() -> None:
    with old_server("1.0.20", distributed(sparse())) as (port, writes):
        job = CollectionJob("docs", make_projection(source=Model("old", 4), target=Model("new", 8)))
        with pytest.raises(RefusedError, match=r"sparse vectors on 'words'.*, which only distributed Chroma has"):
            Migrator(connect("127.0.0.1", port)).migrate([job])
        report = auto_migrate(chromadb.HttpClient("127.0.0.1", port), expected_dim=8)
        assert report.action in ("refused", "failed", "warned")
        assert writes == []


@pytest.fixture
def server() -> Server:
    """A real server with a collection `docs`."""
    client = shared_server().client()
    client.reset()
    docs = client.create_collection("docs", embedding_function=None, configuration={"hnsw": {"space": "l2"}})
    docs.add(**records(40))
    return shared_server()


def vectors_in(collection: Any) -> dict[str, Any]:
    rows = collection.get(include=["embeddings"])
    return dict(zip(rows["ids"], rows["embeddings"], strict=True))


def test_a_spann_index_and_forks_of_it_are_refused_and_built_in_another_database(
    server: Server, projection: Projection, tmp_path: Path
) -> None:
    there = Distributed(server)
    with proxy(there) as port:
        client = chromadb.HttpClient("127.0.0.1", port)
        docs = client.get_collection("docs", embedding_function=None)
        docs.fork("forked").add(["only in the fork"], embeddings=make_vectors(1, seed=9))
        assert len(there.writes) == 2, "a fork, and an addition to it"
        there.writes.clear()
        jobs = {name: CollectionJob(name, projection) for name in ("docs", "forked")}
        for job in jobs.values():
            with pytest.raises(RefusedError, match=r"has a SPANN index, which only distributed Chroma has.*--to"):
                Migrator(connect("127.0.0.1", port)).migrate([job])
        assert auto_migrate(client, expected_dim=NEW_DIM).action in ("refused", "failed", "warned")
        Migrator(connect("127.0.0.1", port)).transfer(list(jobs.values()), f"sqlite-vec://{tmp_path}/there.db")
        assert there.writes == [], "it is only read"
    target = open_database(tmp_path / "there.db")
    assert isinstance(target, Store)
    with target:
        for name in jobs:
            old = vectors_in(server.client().get_collection(name, embedding_function=None))
            new = target.collection(Address(name)).records(list(old)).vectors
            np.testing.assert_allclose(new, projection.apply(np.array(list(old.values()), np.float32)), atol=1e-5)
    assert len(old) == 41, "the fork has its own row, too"


def test_a_fork_is_migrated_like_any_other_collection_and_its_source_stays(
    server: Server, projection: Projection
) -> None:
    with proxy(Distributed(server, index="hnsw")) as port:
        client = chromadb.HttpClient("127.0.0.1", port)
        docs = client.get_collection("docs", embedding_function=None)
        docs.fork("forked")
        before = vectors_in(docs)
        migrator = Migrator(connect("127.0.0.1", port))
        migrator.migrate_collection("forked", projection)
        forked = vectors_in(client.get_collection("forked", embedding_function=None))
        assert forked.keys() == before.keys()
        assert {len(vector) for vector in forked.values()} == {NEW_DIM}
        migrator.rollback()
        migrator.clean()
        for name in ("docs", "forked"):
            now = vectors_in(client.get_collection(name, embedding_function=None))
            assert {row: vector.tobytes() for row, vector in now.items()} == {
                row: vector.tobytes() for row, vector in before.items()
            }


def test_sparse_vectors_do_not_get_lost_on_the_way_to_another_store() -> None:
    store = LiveChromaStore(chromadb.EphemeralClient())
    with pytest.raises(LightmigrateError, match="a sparse vector, 'words'"):
        store.fields({"metadata": {"words": SparseVector(indices=[1], values=[0.5])}})


def test_local_chroma_has_none_of_it(tmp_path: Path, server: Server) -> None:
    """The day it does, this fails, and they are looked at again."""
    with pytest.raises(ChromaError, match=r"(?i)fork"):
        server.client().get_collection("docs", embedding_function=None).fork("forked")
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


def test_a_folder_that_names_a_spann_index_is_not_read_by_chroma_and_left_as_it_is(
    tmp_path: Path, projection: Projection
) -> None:
    folder = tmp_path / "db"
    with open_client(folder) as client:
        client.create_collection("docs", embedding_function=None).add(**records(40))
    with closing(sqlite3.connect(folder / "chroma.sqlite3")) as file, file:
        (schema,) = file.execute("SELECT schema_str FROM collections").fetchone()
        file.execute("UPDATE collections SET schema_str = ?", (json.dumps(named_spann(json.loads(schema))),))
    before = folder_hash(folder)
    with pytest.raises(LightmigrateError, match=r"the database is unchanged"):
        Migrator(folder).migrate_collection("docs", projection)
    assert folder_hash(folder) == before


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
