"""Which Chroma wrote a folder, by the version of its tables, and whether that one can use it after a migration."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading

# Who wrote a folder: the newest version of the tables of groups that these versions of Chroma leave, the newest first.
# Measured on folders of 0.4.24, 0.5.5, 0.5.23, 0.6.3, 1.0.4, 1.0.20, 1.1.1, 1.2.2 and 1.3.5. All up to 1.1.1 failed to
# open a folder that 1.5.9 had migrated, 1.2.2 and 1.3.5 could use it; every one could use the backup.
_WRITERS = (
    (("sysdb", 10), None),
    (("metadb", 5), "1.0, 1.1 or 1.2"),
    (("sysdb", 8), "0.5 or 0.6"),
    (("sysdb", 5), "0.5"),
    (("sysdb", 0), "0.4"),
)


def upgrade_notice(folder: Path) -> str | None:
    """That an older Chroma wrote the folder, which cannot use it once it is migrated; `None` otherwise. Only reads."""
    with reading(folder / DATABASE_FILE) as connection:
        try:
            versions = dict(connection.execute("SELECT dir, max(version) FROM migrations GROUP BY dir").fetchall())
        except sqlite3.Error:  # reading its catalog says what is wrong
            return None
    writer = next((writer for (group, version), writer in _WRITERS if versions.get(group, 0) >= version), None)
    if writer is None:
        return None
    return (
        f"Chroma {writer} wrote this folder, and Chroma 1.1 or older cannot open it once it is migrated: update Chroma "
        "wherever the folder is used; the backup stays as the older Chroma wrote it"
    )
