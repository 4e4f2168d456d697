"""Real databases whose indexes are on the disk, with a tail in Chroma's log: what the fast routes work on."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.stores.chroma.client import open_client
from tests.databases import make_vectors, records

ROWS = 130
# Records after which Chroma writes an index to the disk, and at which it takes them into it.
SYNC, BATCH = 40, 20

# More than there are records, so that a search of a graph looks at all that it can reach.
EF = 177

INDEXED = (
    ("default_tenant", "default_database", "thought_nodes"),
    ("default_tenant", "default_database", "notes"),
    ("second_tenant", "archive", "thought_nodes"),
)


def make_indexed(folder: Path) -> Path:
    """Three distances, two tenants; records deleted and updated, some in the index, some only in the log."""
    hnsw = {"sync_threshold": SYNC, "batch_size": BATCH}
    with open_client(folder) as client:
        for seed, (name, space) in enumerate([("thought_nodes", "cosine"), ("notes", "ip")]):
            collection = client.create_collection(
                name, embedding_function=None, metadata={"owner": "raa"},
                configuration={"hnsw": {"space": space, "ef_search": EF, "max_neighbors": 12, **hnsw}},
            )  # fmt: skip
            given = records(ROWS, seed=seed)
            collection.add(**given)
            ids = given["ids"]
            collection.update(ids=ids[10:20], embeddings=make_vectors(10, seed=7))
            collection.delete(ids=[*ids[30:40], *ids[-5:]])
            collection.update(ids=ids[40:42], documents=["written again", "and again"], embeddings=make_vectors(2))
            collection.add(ids=["late"], embeddings=make_vectors(1, seed=9), documents=["late"])
        client._admin_client.create_tenant("second_tenant")
        client._admin_client.create_database("archive", tenant="second_tenant")
    with open_client(folder, "second_tenant", "archive") as client:
        collection = client.create_collection(
            "thought_nodes", embedding_function=None, configuration={"hnsw": {"space": "l2", "ef_search": EF, **hnsw}}
        )
        collection.add(**records(ROWS, seed=3))
    return folder
