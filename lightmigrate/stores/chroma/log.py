"""Chroma's log: every write that Chroma has not deleted yet, in one table for all collections of a folder.

A topic of the log is a collection. Chroma reads the whole log whenever it loads one collection's index, because it
keeps no index by topic: a folder of a thousand small collections is read a thousand times. So a copy that many
collections are read from gets such an index for the time of the work.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from lightmigrate.stores.chroma.foreign import DATABASE_FILE

# The topic of a collection, before its id, in every folder that was written with Chroma's own settings.
_TOPICS = "persistent://default/default/"

_VECTORS = "SELECT topic, id, vector FROM embeddings_queue WHERE vector IS NOT NULL ORDER BY seq_id"

_INDEX = "lightmigrate_topics"

# With fewer collections it takes less time to read the log for each than to make an index.
_FEWEST_COLLECTIONS = 16


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


def index_topics(folder: Path) -> None:
    """Add an index by topic to the log of a closed copy that has many collections. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        (collections,) = connection.execute("SELECT count(*) FROM collections").fetchone()
        if collections >= _FEWEST_COLLECTIONS:
            connection.execute(f"CREATE INDEX IF NOT EXISTS {_INDEX} ON embeddings_queue (topic)")


def drop_topics(folder: Path) -> None:
    """Delete that index from a closed copy, which then has Chroma's own tables and indexes only. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        connection.execute(f"DROP INDEX IF EXISTS {_INDEX}")
