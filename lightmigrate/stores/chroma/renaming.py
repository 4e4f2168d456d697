"""Gives collections of a closed Chroma folder other names."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.foreign import DATABASE_FILE

_RENAME = """
    UPDATE collections SET name = ?
    WHERE name = ? AND database_id = (SELECT id FROM databases WHERE name = ? AND tenant_id = ?)
"""


def rename_collections(folder: Path, names: Mapping[Address, str]) -> None:
    """Give collections other names, all in one step, so that two can change theirs. Writes.

    Args:
        folder: a closed copy.
        names: the new name at each address.
    """
    between = {address: str(uuid.uuid4()) for address in names}
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        for address, name in between.items():
            connection.execute(_RENAME, (name, address.name, address.database, address.tenant))
        for address, name in names.items():
            connection.execute(_RENAME, (name, between[address], address.database, address.tenant))
