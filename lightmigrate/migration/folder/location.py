"""Where a database stands, and where a migration may therefore work: beside it, or inside its own folder.

Beside is simpler: a new folder takes the old one's name. A container volume cannot be renamed and what is around it
is another file system, and some servers may write nowhere but in the database's own folder: then everything happens
inside, and the new `chroma.sqlite3` takes the old one's name.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import LocationError
from lightmigrate.migration.folder.record import RECORD_FILE
from lightmigrate.stores.chroma_folder import DATABASE_FILE

BACKUP_PREFIX = "chroma_backup_"

# What `startup` remembers of a database; it changes places with it.
MODELS_FILE = "lightmigrate-models.json"

# Where its vectors come from, which `dial` keeps; it changes places with it, too.
PROVENANCE_FILE = "lightmigrate-provenance.sqlite3"

# All that lies beside a database and changes places with it.
COMPANIONS = (MODELS_FILE, PROVENANCE_FILE, RECORD_FILE)


@dataclass(frozen=True)
class Location:
    """A database and the place for its migrations.

    Attributes:
        database: its folder, a real path.
        inside: whether migrations work, and backups stand, inside that folder.
    """

    database: Path
    inside: bool

    @classmethod
    def of(cls, database: Path) -> Location:
        """Inside when the folder is a mount point, when its parent may not be written to, or when it was so before."""
        beside, inside = cls(database, inside=False), cls(database, inside=True)
        for location in (beside, inside):
            if (location.workspace / "journal.json").exists():
                return location
        earlier = any(database.glob(f"{BACKUP_PREFIX}*/{DATABASE_FILE}"))
        return inside if earlier or is_mount_point(database) or not _writable(database.parent) else beside

    @property
    def home(self) -> Path:
        """The folder that holds the workspace and the backups."""
        return self.database if self.inside else self.database.parent

    @property
    def workspace(self) -> Path:
        """The hidden folder a migration works in."""
        return self.home / (".lightmigrate" if self.inside else f".{self.database.name}.lightmigrate")

    def belongs(self, entry: Path) -> bool:
        """Whether an entry of a database folder changes places with it: all do, but inside only Chroma's and ours."""
        return not self.inside or is_database_entry(entry)

    def require_exchangeable(self) -> None:
        """Raise `LocationError` when no new database can take this one's place."""
        if not _writable(self.database):
            raise LocationError(
                f"the database, {self.database}, is read-only for this user: give it write permission first"
            )
        links = [entry.name for entry in self.database.iterdir() if is_database_entry(entry) and entry.is_symlink()]
        if links:
            raise LocationError(
                f"{self.database / links[0]} is a symbolic link: a copy of it would still be the same file; "
                "put the file itself there"
            )


def is_database_entry(entry: Path) -> bool:
    """Whether a file or folder of a database folder is Chroma's own or this database's record."""
    if entry.name in COMPANIONS or entry.name.startswith(DATABASE_FILE):
        return True
    try:
        return str(uuid.UUID(entry.name)) == entry.name and entry.is_dir()
    except ValueError:
        return False


def is_mount_point(folder: Path) -> bool:
    """Whether something is mounted there, a folder of the same file system included, which only Linux tells."""
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
