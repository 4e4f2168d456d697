"""A folder that workers have migrated, or were interrupted at: how it is known, and how its exchange is ended."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lightmigrate.errors import DatabaseError
from lightmigrate.scale.workspace import Workspace


def migrated_path(address: str) -> Path | None:
    """The folder at a path or `file://` address, if it was migrated by workers or is being. Only reads."""
    scheme, _, _ = address.rpartition("://")
    if scheme not in ("", "file"):
        return None
    path = (Path(unquote(urlsplit(address).path)) if scheme else Path(address).expanduser()).resolve()
    return path if Workspace(path).is_used() else None


def require_whole(folder: Path) -> None:
    """Raise `DatabaseError` where a crash left an exchange of a folder half done. Only reads."""
    if Workspace(folder).interrupted():
        raise DatabaseError(f"an exchange was interrupted:  lightmigrate resume {shlex.quote(str(folder))}  ends it")


def recover(folder: Path) -> str | None:
    """End an exchange of a folder that a crash interrupted. Writes only where there is one.

    Returns:
        What was done, in a sentence; `None` when there was nothing to do.

    Raises:
        AnotherRunError: another run works on the folder.
    """
    workspace = Workspace(folder)
    if not workspace.interrupted():
        return None
    with workspace.locked():
        return workspace.recovered
