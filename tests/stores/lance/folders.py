"""LanceDB folders as applications make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lancedb
import numpy as np

from lightmigrate.stores.base import Address
from lightmigrate.stores.lance.collection import LanceCollection
from lightmigrate.stores.lance.store import LanceStore
from lightmigrate.vectors import Vectors
from tests.databases import OLD_DIM, make_vectors

DOCS = Address("docs")


def rows(n: int, start: int = 0, dimension: int = OLD_DIM) -> list[dict[str, Any]]:
    """Rows of AnythingLLM, numbered from `start`."""
    vectors = make_vectors(start + n, dimension)[start:]
    return [
        {"id": f"id-{start + row}", "vector": vector.tolist(), "text": f"chunk {start + row}", "title": f"t{row % 3}"}
        for row, vector in enumerate(vectors)
    ]


def workspace(folder: Path, n: int = 60, name: str = "docs") -> Any:
    """A table of AnythingLLM: one for each of its workspaces, without an index."""
    return lancedb.connect(folder).create_table(name, rows(n))


def stored(table: Any, column: str = "vector") -> dict[str, Vectors]:
    """The vectors of the newest version of a table, by id; one that is missing has no numbers."""
    table.checkout_latest()
    read = table.to_arrow()
    vectors = (np.array(vector or [], np.float32) for vector in read[column].to_pylist())
    return dict(zip(read["id"].to_pylist(), vectors, strict=True))


def opened(store: LanceStore, address: Address = DOCS) -> LanceCollection:
    """A collection of the application's."""
    collection = store.collection(address)
    assert isinstance(collection, LanceCollection)
    return collection
