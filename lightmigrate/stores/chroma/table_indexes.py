"""Two indexes that Chroma's tables lack, for the time of the work on a copy that has many collections.

Whenever Chroma loads one collection it reads its whole log, which holds the writes of all collections, and the whole
list of segments. So a folder of a thousand small collections is read a thousand times, and the work grows with the
square of their number.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from lightmigrate.stores.chroma.foreign import DATABASE_FILE

_INDEXES = {
    "lightmigrate_topics": "embeddings_queue (topic)",
    "lightmigrate_segments": "segments (collection)",
}

# With fewer collections it takes less time to read the tables for each than to make the indexes.
_FEWEST_COLLECTIONS = 16


def add_indexes(folder: Path) -> None:
    """Add the indexes to a closed copy that has many collections; repeated after a crash. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        (collections,) = connection.execute("SELECT count(*) FROM collections").fetchone()
        for name, columns in _INDEXES.items() if collections >= _FEWEST_COLLECTIONS else ():
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")


def drop_indexes(folder: Path) -> None:
    """Delete them from a closed copy, which then has Chroma's own tables and indexes only. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        for name in _INDEXES:
            connection.execute(f"DROP INDEX IF EXISTS {name}")
