"""Which migrator works on an address: of a folder of files, or of a table of parts."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import DatabaseError, RefusedError
from lightmigrate.objects.system import is_object_address
from lightmigrate.progress import OnProgress
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.migration import FolderMigrator
from lightmigrate.scale.table_migration import FOLDER, TableMigrator
from lightmigrate.stores.open import open_units
from lightmigrate.stores.units import UnitTable

# Where the stores of tables keep files of ours; most databases have none, and are not opened to know.
_WORK = ".lightmigrate"


def migrator_for(
    address: str, executor: Executor, on_progress: OnProgress | None = None
) -> FolderMigrator | TableMigrator:
    """The migrator of a folder or a table. Only reads.

    Raises:
        DatabaseError: the address is neither.
    """
    if is_object_address(address):
        return FolderMigrator(address, executor, on_progress)
    opened = open_units(address)
    if isinstance(opened, UnitTable):
        return TableMigrator(opened, str(opened.path), executor, on_progress)
    return FolderMigrator(address, executor, on_progress)


def migrated_table(address: str, executor: Executor, on_progress: OnProgress | None = None) -> TableMigrator | None:
    """The migrator of a table whose vectors were put in place by parts, or are to be; `None` otherwise. Only reads."""
    path = Path(address.partition("://")[2] or address).expanduser()
    if is_object_address(address):
        return None
    if not any(path.glob(f"{_WORK}/{FOLDER}")) and not any(path.glob(f"*/{_WORK}/{FOLDER}")):
        return None
    try:
        migrator = migrator_for(address, executor, on_progress)
    except (DatabaseError, RefusedError):  # several tables or columns, none of which is meant alone
        return None
    return migrator if isinstance(migrator, TableMigrator) and migrator.is_known() else None
