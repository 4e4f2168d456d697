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

from lightmigrate.errors import LightmigrateError
from lightmigrate.progress import logger

GROUP = "lightmigrate.stores"


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
        clients: by the package (or module) of the class of an object, such as `chromadb`: function of the object that
            returns a `Store`, which does not close what the caller opened.
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
    clients: Mapping[str, str] = field(default_factory=dict)
    served: str = ""
    client_packages: Sequence[str] = ()

    def recognised(self, path: Path) -> bool:
        """Whether a file or folder is a database of this kind. Only reads."""
        if not any(_matches(path, mark) for mark in self.marks):
            return False
        return not self.recognises or bool(self.call(self.recognises, path))

    def client_opener(self, value: object) -> str | None:
        """The function in `clients` for an object; `None` if its class and their parents are of other packages."""
        modules = [parent.__module__ for parent in type(value).__mro__]
        matching = (
            function
            for module in modules
            for package, function in self.clients.items()
            if module == package or module.startswith(f"{package}.")
        )
        return next(matching, None)

    def call(self, function: str, value: object) -> object:
        """Import a function of the store and call it."""
        module, _, name = function.partition(":")
        called: Callable[[object], object] = getattr(importlib.import_module(module), name)
        return called(value)


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


def _matches(path: Path, mark: str) -> bool:
    if path.is_dir():
        return any(True for _ in path.glob(mark))
    return path.match(mark) and path.is_file()
