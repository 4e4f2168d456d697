"""Open a database from what a user gives: a folder, an address or an open client.

The only module outside a store's own folder that lists the stores. To add a store, write its file or folder and
register it here.
"""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Store
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.serving import Served, Unobserved

# A database of local files, or an open database.
Database: TypeAlias = FileDatabase | Store

# By URL scheme: a module, and its function that opens a URL as a `Store`.
_URLS: Mapping[str, tuple[str, str]] = {
    "postgresql": ("lightmigrate.stores.pgvector", "open_url"),
    "postgres": ("lightmigrate.stores.pgvector", "open_url"),
    "file": ("lightmigrate.stores.vector_files", "open_url"),
}

# Databases of files: a module, and its `FileDatabase`. If no kind recognises a folder, the first one reports what is
# missing.
_FOLDERS: tuple[tuple[str, str], ...] = (("lightmigrate.stores.chroma.files", "ChromaFiles"),)

# Databases in local files that are opened at once: a module, and its function that opens a path, or returns `None`.
_PATHS: tuple[tuple[str, str], ...] = (("lightmigrate.stores.vector_files", "open_path"),)

# How a database that an application of this process has open is shared and observed: a module, and its function.
_SERVED: tuple[tuple[str, str], ...] = (("lightmigrate.stores.chroma.serving", "served"),)

# By the package of a client's class: a module, and its `Store` for such a client.
_CLIENTS: Mapping[str, tuple[str, str]] = {"chromadb": ("lightmigrate.stores.chroma.live", "LiveChromaStore")}


def open_database(database: object) -> Database:
    """The database that an argument stands for. Imports only the store that is needed; does not open a folder.

    Args:
        database: a folder, a URL such as `postgresql://user@host/name`, an open client, or what this function returns.

    Raises:
        DatabaseError: the argument is none of these.
    """
    if isinstance(database, str) and "://" in database:
        return _open_url(database)
    if isinstance(database, (str, Path)):
        return _open_path(Path(database))
    if isinstance(database, (FileDatabase, Store)):
        return database
    for parent in type(database).__mro__:
        package = parent.__module__.partition(".")[0]
        if package in _CLIENTS:
            store: Store = _attribute(*_CLIENTS[package])(database)
            return store
    raise DatabaseError(
        f"{type(database).__name__} is not a database: give a folder, a URL such as postgresql://user@host/name, or "
        "an open client"
    )


def _open_path(path: Path) -> Database:
    folder = open_folder(path)
    if not folder.exists() and (folder.folder.is_file() or folder.instead() is None):
        for module, name in _PATHS:
            store: Store | None = _attribute(module, name)(path)
            if store is not None:
                return store
    return folder


def open_folder(folder: Path) -> FileDatabase:
    """The database of files in a folder, which need not exist yet. Only reads."""
    path = folder.expanduser().resolve()
    candidates: list[FileDatabase] = [_attribute(module, name)(path) for module, name in _FOLDERS]
    return next((database for database in candidates if database.exists()), candidates[0])


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
    for module, name in _SERVED:
        found: Served | None = _attribute(module, name)(database)
        if found is not None:
            return found
    return None if isinstance(database, FileDatabase) else Unobserved(database)


def open_chroma_client(folder: Path) -> Any:
    """Chroma's own client of a folder, for the demo, which acts as an application. Close it when done."""
    return _attribute("lightmigrate.stores.chroma.client", "open_client")(folder)


def _open_url(url: str) -> Store:
    scheme = url.partition("://")[0]
    if scheme not in _URLS:
        known = ", ".join(f"{name}://" for name in _URLS)
        raise DatabaseError(f"no store is known for {scheme}:// addresses; there are: {known}, folders and clients")
    store: Store = _attribute(*_URLS[scheme])(url)
    return store


def _attribute(module: str, name: str) -> Callable[..., Any]:
    attribute: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return attribute
