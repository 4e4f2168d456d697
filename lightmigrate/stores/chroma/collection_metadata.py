"""The metadata of the collections of a Chroma folder, read and written without Chroma.

Without the distance, which an index has whatever they say, and which a migration may change.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.schema import SPACE_KEY

# The column of each kind of value; a bool is an int, too. The oldest folders have none for bools.
_COLUMNS: Mapping[type, str] = {bool: "bool_value", str: "str_value", int: "int_value", float: "float_value"}

_LISTED = """
    SELECT databases.tenant_id AS tenant, databases.name AS database, collections.name AS collection,
           collection_metadata.*
    FROM collection_metadata
    JOIN collections ON collections.id = collection_metadata.collection_id
    JOIN databases ON databases.id = collections.database_id
    WHERE key != ?
"""

_COLLECTION = """
    SELECT collections.id FROM collections JOIN databases ON databases.id = collections.database_id
    WHERE collections.name = ? AND databases.name = ? AND databases.tenant_id = ?
"""


def collection_metadata(folder: Path) -> dict[Address, dict[str, object]]:
    """The metadata of every collection that has some. Only reads."""
    found: dict[Address, dict[str, object]] = {}
    with reading(folder / DATABASE_FILE) as connection:
        for row in connection.execute(_LISTED, (SPACE_KEY,)):
            address = Address(row["collection"], row["tenant"], row["database"])
            found.setdefault(address, {})[row["key"]] = _value(row)
    return found


def set_collection_metadata(folder: Path, given: Mapping[Address, Mapping[str, object]]) -> None:
    """Give collections of a closed copy other metadata, all in one step. Writes."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        for address, metadata in given.items():
            place = (address.name, address.database, address.tenant)
            (collection,) = connection.execute(_COLLECTION, place).fetchone()
            connection.execute(
                "DELETE FROM collection_metadata WHERE collection_id = ? AND key != ?", (collection, SPACE_KEY)
            )
            for key, value in metadata.items():
                # only the fixed column names above are inserted
                column = _COLUMNS.get(type(value), "str_value")
                connection.execute(
                    f"INSERT INTO collection_metadata (collection_id, key, {column}) VALUES (?, ?, ?)",  # noqa: S608
                    (collection, key, value),
                )


def _value(row: sqlite3.Row) -> object:
    for kind, column in _COLUMNS.items():
        if column in row.keys() and row[column] is not None:  # noqa: SIM118  # a row has its values as items
            return kind(row[column])
    return None
