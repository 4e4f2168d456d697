"""SQLite files with sqlite-vec: a collection is a vec0 table, perhaps with the rows of a table that has its texts."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind, path_of

KIND = StoreKind(
    "sqlite-vec",
    schemes=("sqlite", "sqlite-vec"),
    open_url="lightmigrate.stores.sqlite_vec:open_url",
    marks=("*",),
    recognises="lightmigrate.stores.sqlite_vec.session:has_vec0_tables",
    open_path="lightmigrate.stores.sqlite_vec:open_path",
    framework_stores={
        "langchain_community.vectorstores.sqlitevec": "lightmigrate.stores.sqlite_vec.frameworks:of_langchain",
    },
)


def open_path(path: Path) -> Store:
    """Open a file. Only reads.

    Raises:
        DatabaseError: SQLite cannot open the file.
        MissingExtraError: sqlite-vec, or an SQLite that loads extensions, is missing.
    """
    from lightmigrate.stores.sqlite_vec.store import SqliteVecStore

    return SqliteVecStore(path.expanduser().resolve())


def open_url(url: str) -> Store:
    """Open `sqlite:///relative/path`, `sqlite:////absolute/path`, with `?rows=TABLE.COLUMN&text=COLUMN`.

    Only reads. `sqlite-vec:///absolute/path` need not have vec0 tables, nor exist: it is to receive collections.

    Raises:
        DatabaseError: there is no such file, it has no vec0 tables, or the URL has other options.
        MissingExtraError: see `open_path`.
    """
    from lightmigrate.stores.sqlite_vec.session import has_vec0_tables
    from lightmigrate.stores.sqlite_vec.store import SqliteVecStore

    if url.startswith("sqlite-vec:"):
        place = path_of(url).resolve()
        if not place.parent.is_dir():
            raise DatabaseError(f"there is no folder {place.parent}: make it first")
        return SqliteVecStore(place, may_be_new=True)
    parts = urllib.parse.urlsplit(url)
    options = dict(urllib.parse.parse_qsl(parts.query))
    if parts.netloc or not set(options) <= {"rows", "text"}:
        raise DatabaseError("the address is not one of an SQLite file: sqlite:///PATH, perhaps with ?rows=TABLE.COLUMN")
    path = Path(urllib.parse.unquote(parts.path.removeprefix("/"))).expanduser()
    if not path.exists() and Path("/", path).exists():
        path = Path("/", path)
    if not path.is_file():
        raise DatabaseError(f"there is no file {path}: give its path, with four slashes when it begins at the root")
    if not has_vec0_tables(path.resolve()):
        raise DatabaseError(f"{path} has no vec0 tables, which sqlite-vec makes: 0 found, 1 or more needed")
    return SqliteVecStore(path.resolve(), rows=options.get("rows", ""), text=options.get("text", ""))
