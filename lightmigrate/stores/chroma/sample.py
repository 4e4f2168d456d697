"""Read some stored vectors of a Chroma folder without opening or locking it, also while others write.

A vector is in Chroma's log until its index is written, then in the index's file. Both formats are Chroma's own; data in
an unexpected format is skipped.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.hnsw import HnswHeader
from lightmigrate.vectors import Vectors, evenly

_COLLECTIONS = """
    SELECT collections.id, collections.name, dimension, databases.name, databases.tenant_id, segments.id
    FROM collections
    JOIN databases ON databases.id = collections.database_id
    JOIN segments ON segments.collection = collections.id AND segments.scope = 'VECTOR'
    WHERE dimension IS NOT NULL
"""


def sample_vectors(folder: Path, most: int = 200) -> dict[Address, Vectors]:
    """Up to `most` vectors, float32 `(n, d)`, of each collection that has readable vectors. Only reads."""
    samples: dict[Address, Vectors] = {}
    with reading(folder / DATABASE_FILE) as connection:
        for collection, name, dimension, database, tenant, segment in connection.execute(_COLLECTIONS).fetchall():
            vectors = [*_indexed(folder / segment, dimension, most), *_logged(connection, collection, dimension, most)]
            if vectors:
                samples[Address(name, tenant, database)] = np.array(vectors[:most], dtype=np.float32)
    return samples


def _indexed(index: Path, dimension: int, most: int) -> list[Any]:
    """Vectors from the index's file, including deleted ones."""
    try:
        header = HnswHeader.parse((index / "header.bin").read_bytes())
        if header.dimension != dimension or not header.elements:
            return []
        content = np.memmap(index / "data_level0.bin", dtype=np.uint8, mode="r")
        rows = content[: header.elements * header.size].reshape(header.elements, header.size)
    except (OSError, ValueError):
        return []
    chosen = evenly(header.elements, most)
    return list(np.ascontiguousarray(rows[chosen, header.vector_at : header.label_at]).view(np.float32))


def _logged(connection: sqlite3.Connection, collection: str, dimension: int, most: int) -> list[Any]:
    query = "SELECT vector FROM embeddings_queue WHERE topic LIKE ? AND vector IS NOT NULL LIMIT ?"
    blobs = [row[0] for row in connection.execute(query, (f"%/{collection}", most))]
    return [np.frombuffer(blob, dtype="<f4") for blob in blobs if len(blob) == 4 * dimension]
