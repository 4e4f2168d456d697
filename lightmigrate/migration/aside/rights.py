"""Who may use a new database: whoever might use the entry of the same name in the one that it replaces."""

from __future__ import annotations

import os
from pathlib import Path

from lightmigrate.migration.aside.location import Location
from lightmigrate.rights import Rights
from lightmigrate.system import give_rights


def keep_rights(location: Location, incoming: Path) -> None:
    """Give a complete copy the owner, the group and the modes of the database that it is going to replace. Writes.

    Each entry gets those of the entry of the same name. One that is new gets them from what is like it: what is in an
    index folder from the entry of that name in another one, a folder from another folder, a file from the main file.
    A line warns where this process may not give them, and somebody would be locked out.
    """
    old, rights = location.database, Rights(location.database)
    folders = sorted(entry for entry in old.iterdir() if entry.is_dir() and location.is_database_entry(entry))
    if location.inside:  # then the folder itself is not exchanged: it becomes that of the backup
        give_rights(incoming, old.stat())
    for path in (*([] if location.inside else [incoming]), *sorted(incoming.rglob("*"))):
        relative = path.relative_to(incoming)
        rights.give(path, _example(path, relative, old, old / location.files.main, folders), old / relative)
    rights.warn()


def _example(path: Path, relative: Path, old: Path, main: Path, folders: list[Path]) -> Path:
    inner = Path(*relative.parts[1:])
    like = [old / relative, *(folder / inner for folder in folders if path.is_dir() or inner.parts), old]
    return next((entry for entry in like if os.path.lexists(entry) and entry.is_dir() == path.is_dir()), main)
