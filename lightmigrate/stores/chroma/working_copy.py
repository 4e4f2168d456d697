"""What is different in a copy of a Chroma folder while it is worked on: two indexes more, and no WAL mode.

Whenever Chroma loads one collection it reads its whole log, which holds the writes of all collections, and the whole
list of segments. So a folder of a thousand small collections is read a thousand times, and the work grows with the
square of their number; two indexes that its tables lack make that linear.

Chroma and Python each have an SQLite of their own. Locks do not stand between two of them in one process: in WAL mode
the second one that opens a file takes itself for the first, and cuts off the memory that both share with other
processes, which ends the process that uses it. In the other modes they share no memory.
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

# Stands in a copy whose original is in WAL mode.
_WAS_WAL = "lightmigrate_was_wal"


def begin_work(folder: Path) -> None:
    """Make a closed copy of a folder one to work on; repeated after a crash. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            with connection:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {_WAS_WAL} (none)")
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        (collections,) = connection.execute("SELECT count(*) FROM collections").fetchone()
        with connection:
            for name, columns in _INDEXES.items() if collections >= _FEWEST_COLLECTIONS else ():
                connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")


def end_work(folder: Path) -> None:
    """Take back what `begin_work` did to a copy, which is closed; repeated after a crash. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection:
        with connection:
            for name in _INDEXES:
                connection.execute(f"DROP INDEX IF EXISTS {name}")
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_WAS_WAL,)).fetchone():
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            with connection:
                connection.execute(f"DROP TABLE {_WAS_WAL}")
