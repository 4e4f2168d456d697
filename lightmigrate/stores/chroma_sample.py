"""Some stored vectors of a Chroma folder, read from outside: neither opened nor locked, also while others write.

A vector is in Chroma's log until its index is written, then in the index's file. Both are Chroma's own; what does not
look as expected is left out.
"""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma_folder import DATABASE_FILE, reading

# The beginning of header.bin: version, offset of the first level, room, elements, bytes of an element, where its
# label and where its vector begins.
_HEADER = struct.Struct("<i6Q")

_COLLECTIONS = """
    SELECT collections.id, collections.name, dimension, databases.name, databases.tenant_id, segments.id
    FROM collections
    JOIN databases ON databases.id = collections.database_id
    JOIN segments ON segments.collection = collections.id AND segments.scope = 'VECTOR'
    WHERE dimension IS NOT NULL
"""


def sample_vectors(folder: Path, most: int = 200) -> dict[Address, Vectors]:
    """Up to `most` vectors `(n, d)` of each collection that has any to be found. Only reads."""
    found: dict[Address, Vectors] = {}
    with reading(folder / DATABASE_FILE) as connection:
        for collection, name, dimension, database, tenant, segment in connection.execute(_COLLECTIONS).fetchall():
            vectors = [*_indexed(folder / segment, dimension, most), *_logged(connection, collection, dimension, most)]
            if vectors:
                found[Address(name, tenant, database)] = np.array(vectors[:most], dtype=np.float32)
    return found


def _indexed(index: Path, dimension: int, most: int) -> list[Any]:
    """From the index's file; those that were deleted since included."""
    try:
        header = (index / "header.bin").read_bytes()
        version, start, _, elements, size, label, data = _HEADER.unpack(header[: _HEADER.size])
        if version != 1 or start or label - data != 4 * dimension or not elements:
            return []
        rows = np.memmap(index / "data_level0.bin", dtype=np.uint8, mode="r")[: elements * size].reshape(elements, size)
    except (OSError, ValueError, struct.error):
        return []
    chosen = np.linspace(0, elements - 1, min(most, elements)).astype(int)
    return list(np.ascontiguousarray(rows[chosen, data:label]).view(np.float32))


def _logged(connection: sqlite3.Connection, collection: str, dimension: int, most: int) -> list[Any]:
    query = "SELECT vector FROM embeddings_queue WHERE topic LIKE ? AND vector IS NOT NULL LIMIT ?"
    blobs = [row[0] for row in connection.execute(query, (f"%/{collection}", most))]
    return [np.frombuffer(blob, dtype="<f4") for blob in blobs if len(blob) == 4 * dimension]
