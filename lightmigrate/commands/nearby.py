"""`lightmigrate` alone: the databases in a folder and below, and what to do next with each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result
from lightmigrate.stores.open import kind_at

if TYPE_CHECKING:
    from lightmigrate.migrator import Migrator

# How far it looks: folders within folders, files and folders in all, databases in all.
DEEPEST, MOST_LOOKED_AT, MOST_FOUND = 2, 1000, 10

# Folders that hold packages, not data.
SKIPPED = {"node_modules", "site-packages", "venv", "__pycache__"}


@dataclass(frozen=True)
class NearbyDatabase(Result):
    """A database that was found.

    Attributes:
        path: of it.
        kind: of store.
        state: `new`, `migrated` (`status` tells how), `with backup` (it was rolled back, or nothing was measured when
            it was migrated), `interrupted` (`resume` goes on), `half built` (the command that was interrupted goes on),
            or `unreadable` (its package is missing, or it is damaged: `doctor` says why).
    """

    path: Path
    kind: str
    state: str


def nearby(folder: Path) -> list[NearbyDatabase]:
    """The databases in a folder and up to two folders below it; backups of migrations are left out. Only reads."""
    found: list[NearbyDatabase] = []
    backups: set[Path] = set()
    for path, kind in _databases(folder):
        if len(found) == MOST_FOUND:
            break
        state, kept = _state(path)
        backups |= kept
        found.append(NearbyDatabase(path, kind, state))
    return [database for database in found if database.path.resolve() not in backups]


def _databases(folder: Path) -> Iterator[tuple[Path, str]]:
    """Paths and kinds, those that are nearest first, nothing within a database; the folder itself if it holds none.

    A folder with one file of vectors is a database, and may be the folder in which somebody keeps several.
    """
    waiting, looked_at, inside = [(path, 1) for path in _entries(folder)], 0, False
    while waiting and looked_at < MOST_LOOKED_AT:
        path, depth = waiting.pop(0)
        looked_at += 1
        if (kind := _kind(path)) is not None:
            inside = True
            yield path, kind
        elif depth <= DEEPEST:
            waiting += [(each, depth + 1) for each in _entries(path)]
    if not inside and (kind := _kind(folder)) is not None:
        yield folder, kind


def _kind(path: Path) -> str | None:
    try:
        return kind_at(path)
    except (OSError, LightmigrateError):  # not for this user
        return None


def _entries(folder: Path) -> list[Path]:
    """What is looked into in a folder; nothing in a file."""
    try:
        return sorted(filter(_is_looked_into, folder.iterdir())) if folder.is_dir() else []
    except OSError:
        return []


def _is_looked_into(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in SKIPPED and not path.is_symlink()


def _state(path: Path) -> tuple[str, set[Path]]:
    """What is to be done next with a database, and where its backups are."""
    from lightmigrate.migrator import Migrator

    try:
        migrator = Migrator(path)
        backups = {path.resolve().parent / backup.name for backup in migrator.backups()}
        if migrator.unfinished is not None:
            return ("half built" if migrator.interrupted and not migrator.resumable else "interrupted"), backups
    except (OSError, LightmigrateError):
        return "unreadable", set()
    if not backups:
        return "new", backups
    return ("migrated" if _has_status(migrator) else "with backup"), backups


def _has_status(migrator: Migrator) -> bool:
    """Whether `lightmigrate status` has something to say of a database."""
    for known in (migrator.scores, migrator.status):
        with contextlib.suppress(OSError, LightmigrateError):
            return bool(known())
    return False
