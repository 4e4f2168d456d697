"""A database for the tests of open clients, and what can be read out of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightmigrate import Projection
from tests.databases import records, same_rows

N = 60


def fill(client: Any) -> None:
    client.create_collection(
        "memory",
        embedding_function=None,
        metadata={"owner": "raa"},
        configuration={"hnsw": {"space": "cosine", "ef_search": 321}},
    ).add(**records(N))
    client.create_collection("bystander", embedding_function=None).add(**records(9, 8))


def handle(client: Any, name: str = "memory") -> Any:
    return client.get_collection(name, embedding_function=None)


def read(client: Any, name: str = "memory") -> dict[str, Any]:
    """Every record by id: document, metadata, uri, vector."""
    rows = handle(client, name).get(include=["documents", "metadatas", "uris", "embeddings"])
    columns = zip(
        rows["ids"], rows["documents"], rows["metadatas"], rows["uris"], np.float32(rows["embeddings"]), strict=True
    )
    return {one: (document, metadata or None, uri, vector) for one, document, metadata, uri, vector in columns}


def assert_migrated(found: dict[str, Any], old: dict[str, Any], projection: Projection) -> None:
    assert found.keys() == old.keys()
    sides = [[(one, *side[one][:3]) for one in old] for side in (old, found)]
    assert same_rows(*sides)
    expected = projection.apply(np.array([row[3] for row in old.values()]), [row[0] for row in old.values()])
    stored = np.array([found[one][3] for one in old])
    np.testing.assert_allclose(stored, expected, atol=2e-6)


def names(client: Any) -> set[str]:
    return {collection.name for collection in client.list_collections()}
