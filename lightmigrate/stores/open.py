"""Open a database from what a user gives: a folder, an address or an open client.

The only module outside a store's own folder that lists the stores. To add a store, write its folder with a `KIND` and
list it here; a store of another package has an entry point. See `stores.kind`.
"""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, cast

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Store
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.kind import FrameworkStore, StoreKind, outside_kinds, path_of
from lightmigrate.stores.serving import Served, Unobserved
from lightmigrate.stores.units import OfUnits, UnitFolder, UnitTable

# A database of local files, or an open database.
Database: TypeAlias = FileDatabase | Store

# The stores of this package, each with a `KIND`. If none recognises a path, the first one reports what is missing.
_STORES: tuple[str, ...] = (
    "lightmigrate.stores.chroma",
    "lightmigrate.stores.lance",
    "lightmigrate.stores.pgvector",
    "lightmigrate.stores.qdrant",
    "lightmigrate.stores.milvus",
    "lightmigrate.stores.vector_files",
    "lightmigrate.stores.sqlite_vec",  # asks SQLite about every file that no other knows
)


def open_database(database: object) -> Database:
    """The database that an argument stands for. Imports only the store that is needed; does not open files.

    Args:
        database: a path, a URL such as `postgresql://user@host/name`, an open client, an object of a framework that
            holds one of these (see `framework_store`), or what this function returns.

    Raises:
        DatabaseError: the argument is none of these.
    """
    if isinstance(database, str) and "://" in database:
        return _open_url(database)
    if isinstance(database, (str, Path)):
        return open_path(Path(database))
    if isinstance(database, (FileDatabase, Store)):
        return database
    if (held := framework_store(database)) is not None:
        return open_database(held.database)
    for kind in _kinds():
        if (opener := kind.client_opener(database)) is not None:
            return _opened(kind, opener, database)
    raise DatabaseError(
        f"{type(database).__name__} is not a database: give a folder, a URL such as postgresql://user@host/name, or "
        "an open client"
    )


def framework_store(value: object) -> FrameworkStore | None:
    """The collection that an object of a framework holds, such as a vector store of LangChain; `None` for any other.

    Only reads; some objects ask their database for it.
    """
    for kind in _kinds():
        if (unwrapper := kind.unwrapper(value)) is not None:
            held = kind.call(unwrapper, value)
            assert isinstance(held, FrameworkStore)  # noqa: S101  # as `StoreKind` says
            return held
    return None


def open_path(path: Path) -> Database:
    """The database at a path, which need not exist yet. Only reads."""
    place = path.expanduser().resolve()
    kind = _kind_of(place) or _built_in(_STORES[0])
    return _opened(kind, kind.open_path, place)


def open_units(address: str) -> UnitFolder | UnitTable:
    """The folder of files or the table at a path or an address, as units of one collection. Only reads.

    Raises:
        DatabaseError: no store knows it as that.
    """
    _, opened = _opened_units(address)
    if opened is not None:
        return opened
    raise DatabaseError(
        f"{address} is no folder of Parquet or .npy files, and no table of parts: leave out --workers or --cluster"
    )


def _opened_units(address: str) -> tuple[str | None, UnitFolder | UnitTable | None]:
    """The name of the kind that opens a path or an address as units, and what it opened."""
    for kind in _kinds():
        if kind.open_units and ("://" not in address or address.partition("://")[0] in kind.schemes):
            opened = cast(UnitFolder | UnitTable | None, kind.call(kind.open_units, address))
            if opened is not None:
                return kind.name, opened
    return None, None


def is_one_of_many_files(address: str) -> bool:
    """Whether a path or an address is a folder whose files are one collection. Only reads; opens no other store."""
    if "://" in address:
        kind = next((kind for kind in _kinds() if address.partition("://")[0] in kind.schemes), None)
    else:
        kind = _kind_of(Path(address).expanduser().resolve())
    return kind is not None and bool(kind.open_units) and isinstance(open_database(address), OfUnits)


def kind_at(path: Path) -> str | None:
    """The kind of store that a file or folder is a database of, such as `chroma`; `None` if it is none. Only reads."""
    kind = _kind_of(path)
    return None if kind is None else kind.name


def other_database_in(folder: Path, files: Iterable[str]) -> tuple[Path, str] | None:
    """A database of another kind in a folder that `open_units` opens, or below, and its kind; only reads.

    Args:
        folder: the folder.
        files: paths below it, with `/`, of the files that hold none of its vectors.
    """
    own, _ = _opened_units(str(folder))
    kinds = [kind for kind in _kinds() if kind.name != own]
    places = {folder / place for file in map(PurePosixPath, files) for place in (file, *file.parents)}
    found = ((place, kind.name) for place in sorted(places) for kind in kinds if kind.recognised(place))
    return next(found, None)


def _kind_of(place: Path) -> StoreKind | None:
    return next((kind for kind in _kinds() if kind.recognised(place)), None)


def open_folder(folder: Path) -> FileDatabase:
    """The database of files in a folder, which need not exist yet. Only reads.

    Raises:
        DatabaseError: the folder is of a store that is not exchanged as files.
    """
    database = open_path(folder)
    if not isinstance(database, FileDatabase):
        raise DatabaseError(f"{folder} is not a database that is copied as files: give an open client of it")
    return database


def connect(
    host: str,
    port: int,
    *,
    ssl: bool = False,
    headers: Mapping[str, str] | None = None,
    tenant: str = DEFAULT_TENANT,
    database: str = DEFAULT_DATABASE,
) -> Store:
    """An open database of a Chroma server.

    Raises:
        DatabaseError: no Chroma server answers at the address. The message contains no header.
    """
    server = _attribute("lightmigrate.stores.chroma.live", "connect_store")
    store: Store = server(host, port, ssl=ssl, headers=headers or {}, tenant=tenant, database=database)
    return store


def argument_of(database: Database) -> str:
    """The database as a command is given it, quoted for a shell: a folder, a URL, or the options of a server."""
    place = str(database.folder) if isinstance(database, FileDatabase) else str(database)
    if not isinstance(database, FileDatabase) and database.folder is None and "://" not in place:
        server, *path = place.split("/")
        host, _, port = server.rpartition(":")
        if host and port.isdecimal():
            names = zip(("--tenant", "--database"), path, strict=False)
            return shlex.join(["--host", host, "--port", port, *(word for pair in names for word in pair)])
    return shlex.quote(place)


def with_database(message: str, argument: str) -> str:
    """A message with the database in place of DATABASE, which commands say where it is not known.

    Args:
        message: the message.
        argument: the database; see `argument_of`.
    """
    return re.sub(r"(?<!/)\bDATABASE\b(?!/)", lambda _: argument, message)


def served(database: Database) -> Served | None:
    """A database as an application of this process has it open; `None` as long as it has not. Opens nothing.

    Args:
        database: as `open_database` returns it: a database of files that the application opens itself, or the
            application's own client.
    """
    for kind in _kinds():
        if kind.served and any(package in sys.modules for package in kind.client_packages):
            shared = cast(Served | None, kind.call(kind.served, database))
            if shared is not None:
                return shared
    return None if isinstance(database, FileDatabase) else Unobserved(database)


def open_chroma_client(folder: Path) -> Any:
    """Chroma's own client of a folder, for the demo, which acts as an application. Close it when done."""
    return _attribute("lightmigrate.stores.chroma.client", "open_client")(folder)


def _open_url(url: str) -> Database:
    scheme = url.partition("://")[0]
    known = []
    for kind in _kinds():
        if scheme in kind.schemes:
            if scheme == "file" and "?" not in url:  # another way to write a path, which may be of another kind
                place = path_of(url).resolve()
                if not kind.recognised(place) and (other := _kind_of(place)) is not None:
                    return _opened(other, other.open_path, place)
            return _opened(kind, kind.open_url, url)
        known += [f"{name}://" for name in kind.schemes]
    raise DatabaseError(
        f"no store is known for {scheme}:// addresses; there are: {', '.join(known)}, folders and clients"
    )


def _kinds() -> Iterator[StoreKind]:
    """Those of this package first: no other package can take their databases. Others are loaded when asked for."""
    yield from map(_built_in, _STORES)
    yield from outside_kinds()


def _built_in(module: str) -> StoreKind:
    kind = importlib.import_module(module).KIND
    assert isinstance(kind, StoreKind)  # noqa: S101  # what _STORES lists
    return kind


def _opened(kind: StoreKind, opener: str, argument: object) -> Database:
    opened = kind.call(opener, argument)
    if not isinstance(opened, (FileDatabase, Store)):
        raise DatabaseError(
            f"{opener} of the store {kind.name} returned a {type(opened).__name__}, which is neither a Store nor a "
            "FileDatabase: update the package of the store"
        )
    return opened


def _attribute(module: str, name: str) -> Callable[..., Any]:
    attribute: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return attribute
