"""Vectors in files that applications read as a whole: `.npy`, Parquet, FAISS and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from lightmigrate.errors import DatabaseError, LightmigrateError, RefusedError
from lightmigrate.objects.system import PACKAGES as OBJECT_SCHEMES
from lightmigrate.objects.system import is_object_address
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind

if TYPE_CHECKING:
    from lightmigrate.stores.vector_files.table import Options
    from lightmigrate.stores.vector_files.unit_folder import FolderOfUnits

# Files in folders below: partitions, as Hive has them, one or two deep at least.
_BELOW = ("*/*.parquet", "*/*/*.parquet", "*/*.npy", "*/*/*.npy")

KIND = StoreKind(
    "files",
    schemes=("file", *OBJECT_SCHEMES),
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

    if is_object_address(address):
        return _open_objects(address)
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


def _open_objects(address: str) -> FolderOfUnits | None:
    """The objects below the prefix that is the dataset at an address now; `None` where none holds vectors."""
    from lightmigrate.objects.folder import ObjectFolder
    from lightmigrate.objects.path import ObjectPath
    from lightmigrate.objects.pointer import dataset_path
    from lightmigrate.stores.vector_files.npy_units import NpyUnits
    from lightmigrate.stores.vector_files.table import Options
    from lightmigrate.stores.vector_files.unit_folder import UnitFormat
    from lightmigrate.stores.vector_files.unit_objects import ObjectsOfUnits

    prefix, _, query = address.partition("?")
    options = _options(query, address)
    objects = ObjectFolder(dataset_path(prefix))
    name = prefix.rstrip("/").rpartition("/")[2]
    suffixes = {Path(each).suffix for each in objects.states()} & {".parquet", ".npy"}
    unit_format: UnitFormat
    if len(suffixes) > 1:
        raise RefusedError(f"{prefix} has vectors in Parquet and in .npy: keep each format in a prefix of its own")
    if suffixes == {".parquet"}:
        from lightmigrate.stores.vector_files.parquet_units import ParquetUnits

        unit_format = ParquetUnits(options)
    elif suffixes:
        if options != Options():
            raise DatabaseError(f"the .npy objects in {prefix} have no columns: give the address alone")
        unit_format = NpyUnits()
    else:
        return None
    return ObjectsOfUnits(ObjectPath.at(objects), name, unit_format)


def open_url(url: str) -> Store:
    """Open `file:///PATH?vector=COLUMN&id=COLUMN&text=COLUMN&lossy=yes`, of which all but the path may be left out.

    In place of `file:///PATH` it may be a prefix of an object store, such as `s3://bucket/vectors`.

    Raises:
        DatabaseError: the address has another part, or there are no such files.
        RefusedError: the objects below a prefix are a table of another store.
    """
    if is_object_address(url):
        from lightmigrate.stores.vector_files.folder_store import FolderStore

        if (units := _open_objects(url)) is None:
            raise _no_objects(url.partition("?")[0].rstrip("/"))
        return FolderStore(units, url)
    path, options = _parsed(url)
    if not holds_vectors(path):
        raise DatabaseError(f"{path} holds no file of vectors that is known: .npy, .parquet, .faiss")
    return _opened(path, url, options)


def _no_objects(prefix: str) -> LightmigrateError:
    """The error for a prefix without objects of vectors that are known."""
    from lightmigrate.objects.folder import ObjectFolder

    if any(part.endswith(".lance") for name in (prefix, *ObjectFolder(prefix).states()) for part in name.split("/")):
        return RefusedError(
            f"{prefix} is a Lance table, or holds some: these are migrated in a folder of this machine alone; in an "
            "object store .parquet and .npy objects are"
        )
    return DatabaseError(f"there are no .parquet or .npy objects below {prefix}/: give the prefix that holds them")


def _parsed(url: str) -> tuple[Path, Options]:
    """The path in a `file://` address, and how the files are read."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise DatabaseError(f"a file address has no host {parts.netloc}: {_FORM}")
    return Path(unquote(parts.path)).resolve(), _options(parts.query, url)


_FORM = "file:///PATH?vector=COLUMN&id=COLUMN&text=COLUMN&numbers=float32&lossy=yes"


def _options(query: str, url: str) -> Options:
    """How files are read, by the options of an address."""
    from lightmigrate.stores.vector_files.table import Options

    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(given.keys() - {"vector", "id", "text", "lossy", "numbers"}):
        raise DatabaseError(f"a {url.partition(':')[0]} address has no option {unknown[0]}: {_FORM}")
    lossy = given.pop("lossy", "no")
    if lossy not in ("yes", "no"):
        raise DatabaseError(f"lossy is yes or no, not {lossy!r}")
    if given.get("numbers", "float32") not in ("float16", "float32", "float64"):
        raise DatabaseError(f"numbers are float16, float32 or float64, not {given['numbers']!r}")
    return Options(**given, lossy=lossy == "yes")
