"""Takes damaged indexes out of a copy of a Chroma folder while Chroma has the copy open, and puts them back unchanged.

Chroma may load an index when it only reads documents, and some damaged files end its process.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path

from lightmigrate.errors import VerificationError
from lightmigrate.files import replacing
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.foreign import DATABASE_FILE
from lightmigrate.stores.chroma.log import topic_of
from lightmigrate.system import rename

_SEGMENTS = """
    SELECT segments.id, collections.id, collections.name, databases.tenant_id, databases.name, max_seq_id.seq_id
    FROM segments JOIN collections ON collections.id = segments.collection
    JOIN databases ON databases.id = collections.database_id
    LEFT JOIN max_seq_id ON max_seq_id.segment_id = segments.id
    WHERE segments.scope = 'VECTOR'
"""
_LOGGED = "SELECT count(*) FROM embeddings_queue WHERE topic = ?"

# Lists what was taken out.
_LIST = "set-aside.json"


def set_aside(folder: Path, damaged: Collection[Address], place: Path) -> None:
    """Move the index folders of some collections of a closed copy to a place; repeated after a crash. Writes."""
    if not damaged:
        return
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection:
        found = [
            {"segment": segment, "collection": collection, "indexed": _number(indexed)}
            | {"logged": _logged(connection, collection)}
            for segment, collection, name, tenant, database, indexed in connection.execute(_SEGMENTS).fetchall()
            if Address(name, tenant, database) in damaged
        ]
    if not (place / _LIST).exists():
        with replacing(place / _LIST) as stream:
            stream.write(json.dumps(found).encode())
    for entry in found:
        index = folder / entry["segment"]
        if index.is_dir() and not (place / entry["segment"]).exists():
            rename(index, place / entry["segment"])


def put_back(folder: Path, place: Path) -> None:
    """Move the indexes back that `set_aside` moved, of collections that are still there. The copy is closed. Writes.

    Raises:
        VerificationError: Chroma changed the log of one of these collections.
    """
    if not (place / _LIST).exists():
        return
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        for entry in json.loads((place / _LIST).read_bytes()):
            segment, moved = entry["segment"], place / entry["segment"]
            if not connection.execute("SELECT 1 FROM segments WHERE id = ?", (segment,)).fetchone():
                continue
            before, logged = entry["logged"], _logged(connection, entry["collection"])
            if logged != before:
                raise VerificationError(
                    f"the log of a damaged collection had {before} writes and has {logged}; the copy was deleted"
                )
            shutil.rmtree(folder / segment, ignore_errors=True)
            if moved.is_dir():
                rename(moved, folder / segment)
            connection.execute("DELETE FROM max_seq_id WHERE segment_id = ?", (segment,))
            if entry["indexed"] is not None:
                values = (segment, entry["indexed"])
                connection.execute("INSERT INTO max_seq_id (segment_id, seq_id) VALUES (?, ?)", values)


def _logged(connection: sqlite3.Connection, collection: str) -> int:
    """How many writes of a collection are in the log."""
    return int(connection.execute(_LOGGED, (topic_of(connection, collection),)).fetchone()[0])


def _number(indexed: int | bytes | None) -> int | None:
    """The number of a write; versions before 1.0 store eight bytes."""
    return int.from_bytes(indexed, "big") if isinstance(indexed, bytes) else indexed
