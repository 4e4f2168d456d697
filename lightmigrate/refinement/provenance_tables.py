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

# Beside the tables of format 3, which an older lightmigrate reads without them: which rows are not exact, found without
# reading all of them; and what embedding them has cost, day by day.
_BESIDE = """
    CREATE INDEX IF NOT EXISTS not_exact ON rows (collection, id) WHERE origin < 2;
    CREATE TABLE IF NOT EXISTS spending (day TEXT PRIMARY KEY, dollars REAL NOT NULL);
"""

_HAS_BESIDE = "SELECT count(*) FROM sqlite_master WHERE name IN ('not_exact', 'spending')"

# What version 0.1.0 called the same tables and columns; its addresses had no vector and no part.
_FROM_FORMAT_1 = """
    ALTER TABLE rows RENAME COLUMN kind TO origin;
    ALTER TABLE rows RENAME COLUMN taught TO fitted;
    ALTER TABLE rows RENAME COLUMN marks TO fingerprints;
    ALTER TABLE rows RENAME COLUMN source TO old_vector;
    ALTER TABLE maps RENAME TO projections;
    UPDATE collections SET address = substr(address, 1, length(address) - 1) || ', "", ""]';
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
        LightmigrateError: a newer lightmigrate wrote the file.
    """
    connection.create_function("sha256", 1, sha256, deterministic=True)
    ((version,),) = connection.execute("PRAGMA user_version")
    if version == FORMAT_VERSION:
        if connection.execute(_HAS_BESIDE).fetchone() != (2,):
            connection.executescript(_BESIDE)
        return
    scripts = {0: _TABLES, 1: f"{_FROM_FORMAT_1} {_FROM_FORMAT_2}", 2: _FROM_FORMAT_2}
    if version not in scripts:
        raise LightmigrateError(
            f"{path} is of format {version}, this lightmigrate reads {FORMAT_VERSION}: upgrade lightmigrate"
        )
    script = f"{scripts[version]} {_BESIDE} PRAGMA user_version = {FORMAT_VERSION};"
    connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
