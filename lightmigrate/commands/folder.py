"""A folder of files that are one collection, migrated by several workers; and the commands that look at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import LightmigrateError

if TYPE_CHECKING:
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.scale.migration import FolderMigrator
    from lightmigrate.scale.results import FolderMigration


def migrate_folder(
    database: DatabaseChoice,
    projection: Path,
    options: MigrationOptions,
    workers: int,
    *,
    conversation: Conversation,
) -> FolderMigration:
    """Migrate a folder of Parquet files, which are one collection, by several processes. Asks, then writes.

    Args:
        database: the folder.
        projection: file of the projection.
        options: how to migrate; the files are always compared.
        workers: how many processes.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        LightmigrateError: as `FolderMigrator.migrate`; the folder is unchanged.
    """
    from lightmigrate.projection.projection import Projection
    from lightmigrate.scale.migration import FolderMigrator, migrated_path, recover

    if not isinstance(database.database, (str, Path)):
        raise LightmigrateError("--workers is for a folder of Parquet files: leave it out")
    address = str(database.database)
    if (path := migrated_path(address)) is not None:
        recover(path)
    migrator = FolderMigrator(address, workers, conversation.on_progress)
    conversation.show(migrator.plan(Projection.load(projection), options))
    question = "Migrate?" if options.auto_backup else "Migrate without a backup? There will be no way back."
    conversation.require(question, "migrate")
    return migrator.migrate(projection, options)


def migrated_folder(
    database: DatabaseChoice, conversation: Conversation, *, writing: bool = False
) -> FolderMigrator | None:
    """The migrator of a folder that was migrated by workers; `None` for every other database. Only reads.

    Args:
        database: what the caller named.
        conversation: with the caller.
        writing: whether the command writes, and so ends an interrupted exchange before it does anything else.
    """
    if not isinstance(database.database, (str, Path)):
        return None
    from lightmigrate.scale.migration import FolderMigrator, migrated_path, recover
    from lightmigrate.system import cores

    address = str(database.database)
    if (path := migrated_path(address)) is None:
        return None
    if writing:
        recover(path)
    return FolderMigrator(address, cores(), conversation.on_progress)
