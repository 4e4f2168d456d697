"""The tables of a provenance file, and how those of an older format become those of today."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from lightmigrate.errors import LightmigrateError

FORMAT_VERSION = 3

_TABLES = """
    CREATE TABLE collections (number INTEGER PRIMARY KEY, address TEXT UNIQUE, facts TEXT NOT NULL);
    CREATE TABLE rows (
        collection INTEGER NOT NULL, id TEXT NOT NULL, origin INTEGER NOT NULL, fitted INTEGER NOT NULL DEFAULT 0,
        fingerprints BLOB NOT NULL, old_vector BLOB NOT NULL, PRIMARY KEY (collection, id)
    ) WITHOUT ROWID;
    CREATE TABLE projections (
        collection INTEGER NOT NULL, version INTEGER NOT NULL, file BLOB NOT NULL, PRIMARY KEY (collection, version)
    );
    CREATE TABLE files (sha256 BLOB PRIMARY KEY, content BLOB NOT NULL);
"""

# Format 2 held a file for each collection. Collections of one model share one, and `projections.file` is its digest.
_FROM_FORMAT_2 = """
    CREATE TABLE files (sha256 BLOB PRIMARY KEY, content BLOB NOT NULL);
    INSERT OR IGNORE INTO files SELECT sha256(file), file FROM projections;
    UPDATE projections SET file = sha256(file);
"""


def sha256(content: bytes) -> bytes:
    """The key of a file."""
    return hashlib.sha256(content).digest()


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, or bring those of an older format up to date. Writes only then.

    Raises:
        LightmigrateError: a newer lightmigrate wrote the file, or one that is too old.
    """
    connection.create_function("sha256", 1, sha256, deterministic=True)
    ((version,),) = connection.execute("PRAGMA user_version")
    if version == FORMAT_VERSION:
        return
    scripts = {0: _TABLES, 2: _FROM_FORMAT_2}
    if version not in scripts:
        way = "upgrade lightmigrate" if version > FORMAT_VERSION else "roll back, and migrate by a new plan"
        raise LightmigrateError(f"{path} is of format {version}, this lightmigrate reads {FORMAT_VERSION}: {way}")
    connection.executescript(f"BEGIN IMMEDIATE; {scripts[version]} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")
