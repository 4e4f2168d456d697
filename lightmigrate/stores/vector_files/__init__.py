"""Vectors in files that applications read as a whole: `.npy`, Parquet, FAISS and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from lightmigrate.errors import DatabaseError, RefusedError
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind

if TYPE_CHECKING:
    from lightmigrate.stores.vector_files.table import Options
    from lightmigrate.stores.vector_files.unit_folder import FolderOfUnits

# Files in folders below: partitions, as Hive has them, one or two deep at least.
_BELOW = ("*/*.parquet", "*/*/*.parquet", "*/*.npy", "*/*/*.npy")

KIND = StoreKind(
    "files",
    schemes=("file",),
    open_url="lightmigrate.stores.vector_files:open_url",
    marks=("*.npy", "*.parquet", "*.faiss", "*.json", *_BELOW),
    recognises="lightmigrate.stores.vector_files:holds_vectors",
    open_path="lightmigrate.stores.vector_files:open_path",
    open_units="lightmigrate.stores.vector_files:open_units",
    framework_stores={
        "langchain_community.vectorstores.faiss": "lightmigrate.stores.vector_files.frameworks:of_langchain_faiss",
        "llama_index.vector_stores.faiss": "lightmigrate.stores.vector_files.frameworks:of_llamaindex_faiss",
        "llama_index.core.vector_stores.simple": "lightmigrate.stores.vector_files.frameworks:of_llamaindex_simple",
    },
)


def holds_vectors(path: Path) -> bool:
    """Whether a path is a file of vectors, or a folder with some. Only reads."""
    from lightmigrate.stores.vector_files.formats import place_of, places_in
    from lightmigrate.stores.vector_files.unit_folder import is_one_collection

    if path.is_dir():
        return bool(places_in(path)) or is_one_collection(path)
    return path.is_file() and place_of(path) is not None


def open_path(path: Path) -> Store:
    """The files of vectors at a path: one file, or all of a folder, each a collection or all together one. Only reads.

    Raises:
        RefusedError: the files of a folder belong together, and are in both formats.
    """
    return _opened(path, str(path), None)


def _opened(path: Path, address: str, options: Options | None) -> Store:
    from lightmigrate.stores.vector_files.folder_store import FolderStore
    from lightmigrate.stores.vector_files.store import FileStore
    from lightmigrate.stores.vector_files.table import Options
    from lightmigrate.stores.vector_files.unit_folder import is_one_collection

    if path.is_dir() and is_one_collection(path) and (units := open_units(address)) is not None:
        return FolderStore(units, address)
    return FileStore(path, options or Options())


def open_units(address: str) -> FolderOfUnits | None:
    """A folder of Parquet or `.npy` files that are one collection, by its path or `file://` address. Only reads.

    Raises:
        DatabaseError: the address has another part, or names columns of files that have none.
        RefusedError: there are vectors in both formats.
    """
    from lightmigrate.stores.vector_files.npy_units import NpyUnits
    from lightmigrate.stores.vector_files.table import Options
    from lightmigrate.stores.vector_files.unit_folder import FolderOfUnits, UnitFormat, is_unit

    path, options = _parsed(address) if "://" in address else (Path(address).expanduser().resolve(), Options())
    if not path.is_dir():
        return None
    formats: list[UnitFormat] = []
    if any(path.rglob("*.parquet")):
        from lightmigrate.stores.vector_files.parquet_units import ParquetUnits

        formats.append(ParquetUnits(options))
    arrays = NpyUnits()
    if any(is_unit(file, arrays) for file in path.rglob("*.npy")):
        formats.append(arrays)
    if len(formats) > 1:
        raise RefusedError(f"{path} has vectors in Parquet and in .npy files: keep each format in a folder of its own")
    if formats == [arrays] and options != Options():
        raise DatabaseError(f"the .npy files in {path} have no columns: give the path alone")
    return FolderOfUnits(path, formats[0]) if formats else None


def open_url(url: str) -> Store:
    """Open `file:///PATH?vector=COLUMN&id=COLUMN&text=COLUMN&lossy=yes`, of which all but the path may be left out.

    Raises:
        DatabaseError: the address has another part, or there are no such files.
    """
    path, options = _parsed(url)
    if not holds_vectors(path):
        raise DatabaseError(f"{path} holds no file of vectors that is known: .npy, .parquet, .faiss")
    return _opened(path, url, options)


def _parsed(url: str) -> tuple[Path, Options]:
    """The path in a `file://` address, and how the files are read."""
    from lightmigrate.stores.vector_files.table import Options

    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - {"vector", "id", "text", "lossy", "numbers"})
    if unknown or parts.netloc not in ("", "localhost"):
        what = f"option {unknown[0]}" if unknown else f"host {parts.netloc}"
        raise DatabaseError(
            f"a file address has no {what}: file:///PATH?vector=COLUMN&id=COLUMN&text=COLUMN&numbers=float32&lossy=yes"
        )
    lossy = given.pop("lossy", "no")
    if lossy not in ("yes", "no"):
        raise DatabaseError(f"lossy is yes or no, not {lossy!r}")
    if given.get("numbers", "float32") not in ("float16", "float32", "float64"):
        raise DatabaseError(f"numbers are float16, float32 or float64, not {given['numbers']!r}")
    return Path(unquote(parts.path)).resolve(), Options(**given, lossy=lossy == "yes")
