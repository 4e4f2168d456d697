"""Lance: a LanceDB folder, or one dataset; a collection is a table and one of its vector columns."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import DatabaseError, MissingExtraError
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind, path_of
from lightmigrate.stores.units import UnitTable

_SUFFIX, _VERSIONS = ".lance", "_versions"

KIND = StoreKind(
    "lance",
    marks=(f"*{_SUFFIX}", _VERSIONS),
    schemes=("lance",),
    open_url="lightmigrate.stores.lance:open_url",
    recognises="lightmigrate.stores.lance:is_folder",
    open_path="lightmigrate.stores.lance:open_path",
    open_units="lightmigrate.stores.lance:open_units",
    framework_stores={
        "langchain_community.vectorstores.lancedb": "lightmigrate.stores.lance.frameworks:of_langchain",
        "llama_index.vector_stores.lancedb": "lightmigrate.stores.lance.frameworks:of_llamaindex",
    },
)


def is_folder(path: Path) -> bool:
    """Whether a folder holds Lance tables, or is one (`NAME.lance`). Only reads, and needs no pylance."""
    if path.suffix == _SUFFIX and (path / _VERSIONS).is_dir():
        return True
    return any((found / _VERSIONS).is_dir() for found in path.glob(f"*{_SUFFIX}"))


def open_path(path: Path) -> Store:
    """Open the Lance tables of a folder, or one `NAME.lance`. Only reads.

    Raises:
        MissingExtraError: pylance is not installed.
    """
    try:
        import lance  # noqa: F401
    except ImportError:
        raise MissingExtraError("pylance", "lance") from None
    from lightmigrate.stores.lance.store import LanceStore

    return LanceStore(path)


def open_units(address: str) -> UnitTable | None:
    """One table, `NAME.lance` by its path or `lance://` address, as parts that are converted one by one. Only reads.

    Raises:
        DatabaseError: the folder has several tables.
        RefusedError: the table has several vector columns, or none.
        MissingExtraError: pylance is not installed.
    """
    path = path_of(address) if "://" in address else Path(address).expanduser().resolve()
    if not path.is_dir() or not is_folder(path):
        return None
    tables = [path] if path.suffix == _SUFFIX else sorted(each.parent for each in path.glob(f"*{_SUFFIX}/{_VERSIONS}"))
    if len(tables) != 1:
        raise DatabaseError(f"{path} has {len(tables)} tables: give one of them, as {tables[0]}")
    try:
        from lightmigrate.stores.lance.fragments import LanceFragments
    except ImportError:
        raise MissingExtraError("pylance", "lance") from None
    return LanceFragments(tables[0])


def open_url(url: str) -> Store:
    """Open the folder at `lance:///PATH`, which need not exist yet. Only reads.

    Raises:
        DatabaseError: the address has another form.
        MissingExtraError: pylance is not installed.
    """
    return open_path(path_of(url))
