"""Vectors in files that applications read as a whole: `.npy`, Parquet, FAISS and JSON."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Store


def open_path(path: Path) -> Store | None:
    """The files of vectors at a path: one file, or all of a folder; `None` where there are none. Only reads."""
    from lightmigrate.stores.vector_files.formats import place_of, places_in
    from lightmigrate.stores.vector_files.store import FileStore

    path = path.expanduser().resolve()
    known = bool(places_in(path)) if path.is_dir() else path.is_file() and place_of(path) is not None
    return FileStore(path) if known else None


def open_url(url: str) -> Store:
    """Open `file:///PATH?vector=COLUMN&id=COLUMN&text=COLUMN&lossy=yes`, of which all but the path may be left out.

    Raises:
        DatabaseError: the address has another part, or there are no such files.
    """
    from lightmigrate.stores.vector_files.store import FileStore
    from lightmigrate.stores.vector_files.table import Options

    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - {"vector", "id", "text", "lossy"})
    if unknown or parts.netloc not in ("", "localhost"):
        what = f"option {unknown[0]}" if unknown else f"host {parts.netloc}"
        raise DatabaseError(f"a file address has no {what}: file:///PATH?vector=COLUMN&id=COLUMN&text=COLUMN&lossy=yes")
    if given.get("lossy", "no") not in ("yes", "no"):
        raise DatabaseError(f"lossy is yes or no, not {given['lossy']!r}")
    path = Path(unquote(parts.path))
    if open_path(path) is None:
        raise DatabaseError(f"{path} holds no file of vectors that is known: .npy, .parquet, .faiss")
    lossy = given.pop("lossy", "no") == "yes"
    return FileStore(path, Options(**given, lossy=lossy))
