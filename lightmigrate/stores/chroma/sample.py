"""Read some stored vectors of a Chroma folder without opening or locking it, also while others write.

A vector is in Chroma's log until its index is written, then in the index's file. Both formats are Chroma's own; data in
an unexpected format is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.hnsw import HnswHeader
from lightmigrate.stores.chroma.log import logged_vectors
from lightmigrate.vectors import Vectors, evenly

_COLLECTIONS = """
    SELECT collections.id, collections.name, dimension, databases.name AS database, databases.tenant_id AS tenant,
           segments.id AS segment
    FROM collections
    JOIN databases ON databases.id = collections.database_id
    JOIN segments ON segments.collection = collections.id AND segments.scope = 'VECTOR'
    WHERE dimension IS NOT NULL
"""


def sample_vectors(folder: Path, most: int = 200) -> dict[Address, Vectors]:
    """Up to `most` vectors, float32 `(n, d)`, of each collection that has readable vectors. Only reads."""
    samples: dict[Address, Vectors] = {}
    with reading(folder / DATABASE_FILE) as connection:
        collections = connection.execute(_COLLECTIONS).fetchall()
        indexed = {row["id"]: _indexed(folder / row["segment"], row["dimension"], most) for row in collections}
        logged = logged_vectors(connection, {each: most - len(vectors) for each, vectors in indexed.items()})
        for row in collections:
            blobs = (blob for _, blob in logged[row["id"]] if len(blob) == 4 * row["dimension"])
            vectors = [*indexed[row["id"]], *(np.frombuffer(blob, dtype="<f4") for blob in blobs)]
            if vectors:
                samples[Address(row["name"], row["tenant"], row["database"])] = np.array(vectors, dtype=np.float32)
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
