"""Chroma's log: every write that Chroma has not deleted yet, in one table for all collections of a folder.

A topic of the log is a collection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

# The topic of a collection, before its id, in every folder that was written with Chroma's own settings.
_TOPICS = "persistent://default/default/"

_VECTORS = "SELECT topic, id, vector FROM embeddings_queue WHERE vector IS NOT NULL ORDER BY seq_id"


def topic_of(connection: sqlite3.Connection, collection: str) -> str:
    """The topic of a collection; only reads.

    Args:
        connection: to the sqlite file.
        collection: Chroma's id of the collection.
    """
    usual = _TOPICS + collection
    if connection.execute("SELECT 1 FROM embeddings_queue WHERE topic = ? LIMIT 1", (usual,)).fetchone():
        return usual
    other = "SELECT topic FROM embeddings_queue WHERE topic LIKE '%/' || ? LIMIT 1"
    row = connection.execute(other, (collection,)).fetchone()
    return usual if row is None else str(row[0])


def logged_vectors(connection: sqlite3.Connection, wanted: Mapping[str, int]) -> dict[str, list[tuple[str, bytes]]]:
    """Ids and vectors of the first so many writes of each collection that have a vector; only reads.

    Reads the log once for all collections, and no farther than needed.

    Args:
        connection: to the sqlite file.
        wanted: how many, by Chroma's id of the collection.
    """
    found: dict[str, list[tuple[str, bytes]]] = {collection: [] for collection in wanted}
    left = {collection: most for collection, most in wanted.items() if most > 0}
    if left:
        for topic, record, vector in connection.execute(_VECTORS):
            collection = topic.rpartition("/")[2]
            if collection in left:
                found[collection].append((record, vector))
                left[collection] -= 1
                if not left[collection]:
                    del left[collection]
                if not left:
                    break
    return found
