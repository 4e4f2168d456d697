"""The index folders of a Chroma folder: list them, delete orphans, and rename those of a copy.

Chroma keeps a vector index in a folder named after its segment, and lists the segments in the sqlite file. So two
databases with different segment names can have their index folders in one place.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from pathlib import Path

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.system import delete_folder, rename

# Where the sqlite file refers to a segment, besides in `segments` itself.
_REFERENCES = (("segment_metadata", "segment_id"), ("max_seq_id", "segment_id"))


def segments_of(file: Path) -> set[str]:
    """Ids of all segments that a sqlite file lists; only reads."""
    with reading(file) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM segments")}


def segment_of(folder: Path, address: Address) -> str | None:
    """Id of the segment that holds a collection's vectors; `None` when there is no collection. Only reads."""
    query = (
        "SELECT segments.id FROM segments JOIN collections ON collections.id = segments.collection "
        "JOIN databases ON databases.id = collections.database_id WHERE segments.scope = 'VECTOR' "
        "AND collections.name = ? AND databases.name = ? AND databases.tenant_id = ?"
    )
    with reading(folder / DATABASE_FILE) as connection:
        row = connection.execute(query, (address.name, address.database, address.tenant)).fetchone()
    return None if row is None else str(row[0])


def remove_orphaned_indexes(folder: Path) -> None:
    """Delete the index folders of segments that the database no longer has. The database must be closed. Writes.

    Chroma leaves these folders behind when it deletes a collection.
    """
    known = segments_of(folder / DATABASE_FILE)
    for path in folder.iterdir():
        if path.is_dir() and (path / "header.bin").is_file() and path.name not in known:
            delete_folder(path)


def rename_indexes(folder: Path) -> None:
    """Rename every vector index of a closed database, in the sqlite file and on disk. Writes.

    Afterwards it shares no name of an index folder with the database it was copied from. This changes Chroma's own
    tables, so the caller must open the result and compare it with the original.
    """
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        segments = connection.execute("SELECT id FROM segments WHERE scope = 'VECTOR'").fetchall()
        renamed = {old: str(uuid.uuid4()) for (old,) in segments}
        for old, new in renamed.items():
            rename_segment(connection, old, new)
    for old, new in renamed.items():
        if (folder / old).is_dir():
            rename(folder / old, folder / new)


def rename_segment(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Change the id of a segment wherever the sqlite file refers to it. Writes, but does not commit."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.execute("UPDATE segments SET id = ? WHERE id = ?", (new, old))
    for table, column in _REFERENCES:
        if table in tables:  # table and column are the fixed names above
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))  # noqa: S608
