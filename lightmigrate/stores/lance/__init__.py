"""Lance: a LanceDB folder, or one dataset; a collection is a table and one of its vector columns."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import MissingExtraError
from lightmigrate.stores.base import Store

_SUFFIX, _VERSIONS = ".lance", "_versions"


def open_path(path: Path) -> Store | None:
    """Open the Lance tables of a folder, or one `NAME.lance`; `None` when there are none. Only reads.

    Raises:
        MissingExtraError: there are some, and pylance is not installed.
    """
    is_table = path.suffix == _SUFFIX and (path / _VERSIONS).is_dir()
    if not is_table and not any((found / _VERSIONS).is_dir() for found in path.glob(f"*{_SUFFIX}")):
        return None
    try:
        import lance  # noqa: F401
    except ImportError:
        raise MissingExtraError("pylance", "lance") from None
    from lightmigrate.stores.lance.store import LanceStore

    return LanceStore(path)
