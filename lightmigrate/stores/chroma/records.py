"""Read some records of a Chroma folder with their vectors, without opening or locking it, also while others write.

Texts and metadata are rows of a table; a vector is in Chroma's log until its index is written, then in the index's
file, under the label that a third file gives the record. The formats are Chroma's own; what is in an unexpected format
is left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Mapping
from pathlib import Path

import numpy as np

from lightmigrate.stores.base import Address, Page, Payload
from lightmigrate.stores.chroma.contents import decoded
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.hnsw import HnswHeader
from lightmigrate.stores.chroma.labels import read_labels
from lightmigrate.stores.chroma.layout import LABELS_FILE
from lightmigrate.stores.chroma.log import logged_vectors
from lightmigrate.vectors import Vectors, evenly

_COLLECTIONS = """
    SELECT collections.id, collections.name, dimension, databases.name AS database, databases.tenant_id AS tenant,
           vectors.id AS vectors, records.id AS records
    FROM collections
    JOIN databases ON databases.id = collections.database_id
    JOIN segments AS vectors ON vectors.collection = collections.id AND vectors.scope = 'VECTOR'
    JOIN segments AS records ON records.collection = collections.id AND records.scope = 'METADATA'
    WHERE dimension IS NOT NULL
"""

_NUMBER = "SELECT id FROM embeddings WHERE segment_id = ? AND embedding_id = ?"

_VALUES = "SELECT id, key, string_value, int_value, float_value, bool_value FROM embedding_metadata WHERE id = ?"

# A file of labels of about a million records, which takes seconds to read.
_MOST_LABEL_BYTES = 100_000_000


def sample_records(folder: Path, most: int, only: Container[Address] | None = None) -> dict[Address, Page]:
    """Up to `most` records with readable vectors of each collection that has any. Only reads.

    Args:
        folder: of the database.
        most: records of each.
        only: the collections to look at; all by default.
    """
    pages: dict[Address, Page] = {}
    with reading(folder / DATABASE_FILE) as connection:
        collections = [
            row for row in connection.execute(_COLLECTIONS).fetchall() if only is None or _address(row) in only
        ]
        indexed = {row["id"]: _indexed(folder / row["vectors"], row["dimension"], most) for row in collections}
        logged = logged_vectors(connection, {each: most for each, known in indexed.items() if len(known) < most})
        for row in collections:
            vectors = {**indexed[row["id"]]}
            for record, blob in logged.get(row["id"], ()):  # the last one of each
                if len(blob) == 4 * row["dimension"]:
                    vectors[record] = np.frombuffer(blob, dtype="<f4")
            page = _page(connection, row, vectors, most)
            if len(page):
                pages[_address(row)] = page
    return pages


def _address(row: sqlite3.Row) -> Address:
    return Address(row["name"], row["tenant"], row["database"])


def _page(connection: sqlite3.Connection, collection: sqlite3.Row, vectors: Mapping[str, Vectors], most: int) -> Page:
    contents = []
    for record in list(vectors)[:most]:
        row = connection.execute(_NUMBER, (collection["records"], record)).fetchone()
        if row is not None:  # otherwise it was deleted
            contents.append((record, *_content(connection, row[0])))
    return Page(
        ids=[record for record, _, _ in contents],
        vectors=np.array([vectors[record] for record, _, _ in contents], np.float32).reshape(
            len(contents), collection["dimension"]
        ),
        texts=[text for _, text, _ in contents],
        payloads=[payload for _, _, payload in contents],
    )


def _content(connection: sqlite3.Connection, number: int) -> tuple[str | None, Payload | None]:
    """The document and the payload of a record, as a `Page` of an open collection has them; lists are left out."""
    return decoded(map(tuple, connection.execute(_VALUES, (number,))), ()).get(number, (None, None))


def _indexed(index: Path, dimension: int, most: int) -> Mapping[str, Vectors]:
    """The vectors of some records from all over the index's file."""
    try:
        header = HnswHeader.parse((index / "header.bin").read_bytes())
        if header.dimension != dimension or not header.elements or _too_large(index / LABELS_FILE):
            return {}
        content = np.memmap(index / "data_level0.bin", dtype=np.uint8, mode="r")
        elements = content[: header.elements * header.size].reshape(header.elements, header.size)
        chosen = np.ascontiguousarray(elements[evenly(header.elements, most)])
        stored = np.ascontiguousarray(chosen[:, header.label_at :]).view("<u8")[:, 0].tolist()
        labels = read_labels((index / LABELS_FILE).read_bytes(), frozenset(stored)).ids
    except (OSError, ValueError):
        return {}
    vectors = np.ascontiguousarray(chosen[:, header.vector_at : header.label_at]).view("<f4").astype(np.float32)
    return {labels[label]: vector for label, vector in zip(stored, vectors, strict=True) if label in labels}


def _too_large(labels: Path) -> bool:
    """Whether the ids of all records take too long to read for a sample of them."""
    return labels.stat().st_size > _MOST_LABEL_BYTES
