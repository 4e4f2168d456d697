"""The index folders of a Chroma folder: whose they are, and names of their own for those of a copy.

Chroma keeps a vector index in a folder named after its segment. Which segments a database has stands in its sqlite
file, so that two databases whose names differ can have their index folders in one place.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import uuid
from pathlib import Path

from lightmigrate.stores.chroma_folder import DATABASE_FILE, reading

# Where the sqlite file names a segment, besides in `segments` itself.
_REFERENCES = (("segment_metadata", "segment_id"), ("max_seq_id", "segment_id"))


def segments_of(file: Path) -> set[str]:
    """Ids of all segments that a sqlite file names; only reads."""
    with reading(file) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM segments")}


def remove_orphaned_indexes(folder: Path) -> None:
    """Delete the index folders that no segment of the database names any more. The database must be closed.

    Chroma's own deletion of a collection leaves them behind.
    """
    known = segments_of(folder / DATABASE_FILE)
    for path in folder.iterdir():
        if path.is_dir() and (path / "header.bin").is_file() and path.name not in known:
            shutil.rmtree(path)


def rename_indexes(folder: Path) -> None:
    """Give every vector index of a closed database a new name, in the sqlite file and on the disk.

    Afterwards none of its index folders is named like one of the database it was copied from. Writes to Chroma's own
    tables, so that what comes of it must be opened and compared.
    """
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        found = connection.execute("SELECT id FROM segments WHERE scope = 'VECTOR'").fetchall()
        renamed = {old: str(uuid.uuid4()) for (old,) in found}
        for old, new in renamed.items():
            rename_segment(connection, old, new)
    for old, new in renamed.items():
        if (folder / old).is_dir():
            (folder / old).rename(folder / new)


def rename_segment(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Give a segment another id wherever the sqlite file names it. Does not commit."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.execute("UPDATE segments SET id = ? WHERE id = ?", (new, old))
    for table, column in _REFERENCES:
        if table in tables:  # table and column are the fixed names above
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))  # noqa: S608
