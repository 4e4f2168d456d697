"""What a kind of store declares, so that databases of it are opened: schemes, files, clients. Loads nothing else.

A store of this package declares a `KIND` in the `__init__.py` of its folder, and `stores.open` lists it. A store of
another package names its `StoreKind` as an entry point of the group `lightmigrate.stores`; see
`docs/stores/add-a-store.md`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lightmigrate.errors import DatabaseError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Collection

GROUP = "lightmigrate.stores"


@dataclass(frozen=True)
class FrameworkStore:
    """What an object of a framework holds, such as a vector store of LangChain or LlamaIndex: one collection.

    Attributes:
        database: as `stores.open.open_database` takes it: a client, a path or a URL. `None` for an object that has
            read files into memory and does not know which.
        names: of the collection, as `str(Address)`; several where only the database knows which; the likeliest
            first. None where `holds` finds it.
        embedding: what the object embeds with; `None` where it does not know.
        holds: for an object that has read files: whether a collection of a folder is what it holds, to the bit.
        reload: has an object that has read files read the migrated collection. Raises `LightmigrateError` where that
            would lose what was written to the object meanwhile.
        reopen: has an object that knows its collection by more than the name, such as an id or the version of a table,
            hold the one that has the name now. Another process may have migrated it since the object was made.
    """

    database: object = field(repr=False)  # a URL may hold a password
    names: Sequence[str]
    embedding: object = field(default=None, repr=False)
    holds: Callable[[Collection], bool] = field(default=lambda collection: False, repr=False)
    reload: Callable[[Collection], None] | None = field(default=None, repr=False)
    reopen: Callable[[], None] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class StoreKind:
    """What a kind of store has. Functions are named as `module:function`, and imported when they are needed.

    Attributes:
        name: of the kind, in lower case, such as `chroma`.
        schemes: of its URLs, such as `postgresql`.
        open_url: function of a URL that returns a `Store`; must not put a password into a message.
        marks: patterns (`Path.glob`). A path may be a database of this kind if one of them matches something in the
            folder, or the name of the file.
        recognises: function of a path at which a mark matches: whether it is a database of this kind. It only reads.
            Left out where the marks suffice.
        open_path: function of a path that returns a `FileDatabase` or a `Store`. It may only read.
        open_units: function of a path or an address that returns a `UnitFolder` where its files together are one
            collection, or a `UnitTable` where its parts are, else `None`. It may only read.
        clients: by the package (or module) of the class of an object, such as `chromadb`: function of the object that
            returns a `Store`, which does not close what the caller opened.
        framework_stores: the same for objects that hold one collection of a database: function of the object that
            returns a `FrameworkStore`.
        served: function of a `FileDatabase` or `Store` that returns a `Served`, or `None`; see `stores.open.served`.
        client_packages: packages of which an application has imported one if it has such a database open; without
            one of them `served` is not imported.
    """

    name: str
    schemes: Sequence[str] = ()
    open_url: str = ""
    marks: Sequence[str] = ()
    recognises: str = ""
    open_path: str = ""
    open_units: str = ""
    clients: Mapping[str, str] = field(default_factory=dict)
    framework_stores: Mapping[str, str] = field(default_factory=dict)
    served: str = ""
    client_packages: Sequence[str] = ()

    def recognised(self, path: Path) -> bool:
        """Whether a file or folder is a database of this kind. Only reads."""
        if not any(_matches(path, mark) for mark in self.marks):
            return False
        return not self.recognises or bool(self.call(self.recognises, path))

    def client_opener(self, value: object) -> str | None:
        """The function in `clients` for an object; `None` if its class and their parents are of other packages."""
        return _of_package(self.clients, value)

    def unwrapper(self, value: object) -> str | None:
        """The function in `framework_stores` for an object; `None` if there is none."""
        return _of_package(self.framework_stores, value)

    def call(self, function: str, value: object) -> object:
        """Import a function of the store and call it."""
        module, _, name = function.partition(":")
        called: Callable[[object], object] = getattr(importlib.import_module(module), name)
        return called(value)


def path_of(url: str) -> Path:
    """The path in an address of a folder on this machine, `SCHEME:///PATH`; need not exist.

    Raises:
        DatabaseError: the address has another form.
    """
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.strip("/") or parts.query or parts.fragment:
        host = f", and no host {parts.hostname}" if parts.hostname else ""
        raise DatabaseError(
            f"a folder has the address {parts.scheme}:///PATH, with three slashes and a whole path{host}"
        )
    return Path(unquote(parts.path))


def outside_kinds() -> list[StoreKind]:
    """The kinds of stores that other packages declare. One that cannot be loaded is left out with a warning."""
    kinds = []
    for entry in entry_points(group=GROUP):
        try:
            kind = entry.load()
            if not isinstance(kind, StoreKind):
                raise LightmigrateError(f"it is a {type(kind).__name__}, and a StoreKind is needed")
        except Exception as error:  # noqa: BLE001  # a faulty package must not keep the other stores from their work
            logger.warning("the store %s (%s) cannot be loaded: %s", entry.name, entry.value, error)
        else:
            kinds.append(kind)
    return kinds


def _of_package(functions: Mapping[str, str], value: object) -> str | None:
    modules = [parent.__module__ for parent in type(value).__mro__]
    matching = (
        function
        for module in modules
        for package, function in functions.items()
        if module == package or module.startswith(f"{package}.")
    )
    return next(matching, None)


def _matches(path: Path, mark: str) -> bool:
    if path.is_dir():
        return any(True for _ in path.glob(mark))
    return path.match(mark) and path.is_file()
