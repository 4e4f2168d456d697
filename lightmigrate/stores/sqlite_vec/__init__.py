"""SQLite files with sqlite-vec: a collection is a vec0 table, perhaps with the rows of a table that has its texts."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Store


def open_path(path: Path, options: Mapping[str, str] | None = None) -> Store | None:
    """The database in a file; `None` when it is no SQLite database with vec0 tables. Only reads.

    Args:
        path: the file.
        options: what a URL gives; see `store.SqliteVecStore`.

    Raises:
        MissingExtraError: the file has vec0 tables, and sqlite-vec or an SQLite that loads extensions is missing.
    """
    from lightmigrate.stores.sqlite_vec.session import has_vec0_tables

    path = path.expanduser().resolve()
    if not path.is_file() or not has_vec0_tables(path):
        return None
    from lightmigrate.stores.sqlite_vec.store import SqliteVecStore

    return SqliteVecStore(path, **(options or {}))


def open_url(url: str) -> Store:
    """Open `sqlite:///relative/path`, `sqlite:////absolute/path`, with `?rows=TABLE.COLUMN&text=COLUMN`. Only reads.

    Raises:
        DatabaseError: there is no such file, it has no vec0 tables, or the URL has other options.
        MissingExtraError: see `open_path`.
    """
    parts = urllib.parse.urlsplit(url)
    named = dict(urllib.parse.parse_qsl(parts.query))
    if parts.netloc or not set(named) <= {"rows", "text"}:
        raise DatabaseError("the address is not one of an SQLite file: sqlite:///PATH, perhaps with ?rows=TABLE.COLUMN")
    path = Path(urllib.parse.unquote(parts.path.removeprefix("/"))).expanduser()
    if not path.exists() and Path("/", path).exists():
        path = Path("/", path)
    if not path.is_file():
        raise DatabaseError(f"there is no file {path}: give its path, with four slashes when it begins at the root")
    store = open_path(path, named)
    if store is None:
        raise DatabaseError(f"{path} has no vec0 tables, which sqlite-vec makes: 0 found, 1 or more needed")
    return store
