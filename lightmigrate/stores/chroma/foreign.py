"""What a folder without a readable Chroma database holds: an older or newer Chroma's, another file, a folder of it."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from pathlib import Path
from urllib.parse import quote

DATABASE_FILE = "chroma.sqlite3"

# The first bytes of every sqlite file.
_SQLITE = b"SQLite format 3\0"

# The newest version of each group of Chroma's tables that Chroma 1.5 makes.
_NEWEST = {"embeddings_queue": 2, "metadb": 6, "sysdb": 10}

# Files by which Chroma 0.3 kept a database, with DuckDB and Parquet.
_PARQUET = ("chroma-collections.parquet", "chroma-embeddings.parquet")


def what_is_there(folder: Path) -> str | None:
    """What is in the place of a database, in one line with the way out; `None` where nothing of Chroma is. Only reads.

    Args:
        folder: a path that holds no database file, or one that cannot be read.
    """
    if folder.is_file():
        whole = folder.name == DATABASE_FILE
        return (
            f"{folder} is a file: give its folder, {shlex.quote(str(folder.parent))}"
            if whole
            else f"{folder} is a file of no kind that is known: files of vectors are called NAME.npy, NAME.parquet or "
            "NAME.faiss; of a database give the folder"
        )
    if not folder.is_dir():
        return None
    if any((folder / name).is_file() for name in _PARQUET):
        return (
            f"{folder} is a database of Chroma 0.3 (DuckDB and Parquet): bring it to today's format first, with Python "
            "3.11 or older:  pip install chroma-migrate && chroma-migrate  (from DuckDB, to files in a new folder)"
        )
    if (folder / DATABASE_FILE).is_file():
        return None
    if (folder / "header.bin").is_file() and (folder.parent / DATABASE_FILE).is_file():
        return f"{folder} is an index folder of a Chroma database: give {shlex.quote(str(folder.parent))}"
    return None


def what_was_meant(folder: Path) -> str | None:
    """Which folder below may have been meant, in one line; `None` where there is none. Only reads."""
    below = sorted(path.parent for path in folder.glob(f"*/{DATABASE_FILE}") if "_backup_" not in path.parent.name)
    if below:
        others = "" if len(below) == 1 else f" (or another of {len(below)})"
        return f"{folder} is not a Chroma folder: it has no {DATABASE_FILE}; did you mean {below[0]}{others}?"
    old = next((path.parent for path in sorted(folder.glob(f"*/{_PARQUET[0]}"))), None)
    return None if old is None else f"{folder} is not a Chroma folder; did you mean {old}? {what_is_there(old)}"


def what_is_wrong(file: Path) -> str | None:
    """Why a file called `chroma.sqlite3` is no database that can be read, with the way out; `None` if unknown."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(200)
    except OSError as error:
        return f"cannot read {file}: {error.strerror}; make it readable"
    if not size:
        return f"{file} is empty (0 bytes): copy it again, or delete it to begin with a new database"
    if start.startswith(b"version https://git-lfs"):
        return f"{file} is a Git LFS pointer and not the file itself: run  git lfs pull"
    if not start.startswith(_SQLITE):
        return f"{file} is not an SQLite file ({size:,} bytes): copy the database again"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"collections", "segments", "embeddings", "migrations"} <= tables:
                what = "lacks tables of Chroma's" if "segments" in tables else "is an SQLite file, but not Chroma's"
                return f"{file} {what}: give the folder that Chroma was opened with, or copy the database again"
            newest = connection.execute("SELECT dir, max(version) FROM migrations GROUP BY dir").fetchall()
    except sqlite3.Error as error:
        return f"cannot read {file}: {error}; copy the database again, or open it once with Chroma to repair it"
    newer = [f"{name} {version}" for name, version in newest if version > _NEWEST.get(name, version)]
    return f"{file} was written by a newer Chroma ({', '.join(newer)}): update lightmigrate" if newer else None
