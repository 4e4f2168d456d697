"""Where a migration of a database works: beside its folder, or inside it.

Beside is simpler: the new folder takes the old one's name. A container volume cannot be renamed, its parent is on
another file system, and some servers may write only to the database's own folder. Then everything happens inside, and
the new main file takes the old one's name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import LocationError
from lightmigrate.migration.aside.record import RECORD_FILE
from lightmigrate.migration.history import HISTORY_FILE
from lightmigrate.scores.stored import SCORES_FILE
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.mounts import mounted_elsewhere, require_one_place

# The models that `startup` stores for a database; exchanged with it.
MODELS_FILE = "lightmigrate-models.json"

# The provenance of its vectors (exact or projected); exchanged with it.
PROVENANCE_FILE = "lightmigrate-provenance.sqlite3"

# What a rollback notes in the database that it puts aside; exchanged with it.
PUT_ASIDE_FILE = "lightmigrate-put-aside.json"

# How the name of a workspace beside a database ends.
WORKSPACE_SUFFIX = ".lightmigrate"

# All files of lightmigrate that are exchanged with the database.
COMPANIONS = (MODELS_FILE, PROVENANCE_FILE, SCORES_FILE, HISTORY_FILE, PUT_ASIDE_FILE, RECORD_FILE)


@dataclass(frozen=True)
class Location:
    """A database and the folder in which it is migrated.

    Attributes:
        files: the database; its folder is a real path, without symbolic links.
        inside: whether the workspace and the backups are inside the database's folder.
    """

    files: FileDatabase
    inside: bool

    @classmethod
    def of(cls, files: FileDatabase) -> Location:
        """Inside when the folder is a mount point, its parent is not writable, or an earlier migration was inside.

        Only reads.
        """
        beside, inside = cls(files, inside=False), cls(files, inside=True)
        for location in (beside, inside):
            if (location.workspace / "journal.json").exists():
                return location
        folder = files.folder
        earlier = any(folder.glob(f"{beside.backup_prefix}*/{files.main}"))
        return inside if earlier or is_mount_point(folder) or not _writable(folder.parent) else beside

    @property
    def database(self) -> Path:
        """The database's folder."""
        return self.files.folder

    @property
    def backup_prefix(self) -> str:
        """The prefix of the names of backups."""
        return f"{self.files.kind}_backup_"

    @property
    def home(self) -> Path:
        """The folder that holds the workspace and the backups."""
        return self.database if self.inside else self.database.parent

    @property
    def workspace(self) -> Path:
        """The hidden folder in which a migration works."""
        return self.home / (WORKSPACE_SUFFIX if self.inside else f".{self.database.name}{WORKSPACE_SUFFIX}")

    def belongs(self, entry: Path) -> bool:
        """Whether an entry of the folder is exchanged: beside all are, inside only those of `is_database_entry`."""
        return not self.inside or self.is_database_entry(entry)

    def is_database_entry(self, entry: Path) -> bool:
        """Whether a file or folder in the database's folder belongs to the store, or is one of `COMPANIONS`."""
        return entry.name in COMPANIONS or self.files.owns(entry)

    def require_exchangeable(self, *, renamed: bool = True) -> None:
        """Raise `LocationError` when this database cannot be exchanged. Only reads.

        Args:
            renamed: whether it is to be exchanged, and not only its backups deleted.
        """
        if not _writable(self.database):
            raise LocationError(
                f"the database, {self.database}, is read-only for this user: give it write permission first"
            )
        entries = filter(self.is_database_entry, self.database.iterdir())
        links = [entry.name for entry in entries if entry.is_symlink()]
        if links:
            raise LocationError(
                f"{self.database / links[0]} is a symbolic link: a copy of it would still be the same file; "
                "put the file itself there"
            )
        if renamed:
            self.require_one_place(self.database)

    @property
    def mounted_elsewhere(self) -> str | None:
        """Why the folder cannot be renamed, as a container has it mounted, and what helps. Only reads."""
        return None if self.inside else mounted_elsewhere(self.database, works_there=True)

    def require_one_place(self, folder: Path) -> None:
        """Raise `LocationError` when a container has the folder mounted that is to be renamed, or was. Only reads."""
        if not self.inside:
            require_one_place(folder, works_there=True)


def is_mount_point(folder: Path) -> bool:
    """Whether a folder is a mount point; a bind mount of the same file system is detected only on Linux."""
    if os.path.ismount(folder):
        return True
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return False
    mounted = {line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines}
    return os.fsencode(folder) in mounted


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
