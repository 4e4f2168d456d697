"""A folder of files that are one collection, migrated by several workers; and the commands that look at one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.migrate import read_plan, require_consent
from lightmigrate.errors import LightmigrateError

if TYPE_CHECKING:
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.plan import Plan
    from lightmigrate.progress import OnProgress
    from lightmigrate.scale.executor import Executor
    from lightmigrate.scale.migration import FolderMigrator
    from lightmigrate.scale.results import FolderMigration, TableMigration
    from lightmigrate.scale.table_migration import TableMigrator


def migrate_folder(
    database: DatabaseChoice,
    projection: Path,
    options: MigrationOptions,
    executor: Executor,
    *,
    conversation: Conversation,
) -> FolderMigration | TableMigration:
    """Migrate a folder of files, or a table of parts, which is one collection, by several workers. Asks, then writes.

    Args:
        database: the folder or the table.
        projection: file of the projection.
        options: how to migrate; the files are always compared.
        executor: what converts the files or parts.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        LightmigrateError: as `FolderMigrator.migrate` and `TableMigrator.migrate`; nothing was changed.
    """
    from lightmigrate.projection.projection import Projection
    from lightmigrate.scale.convert import convert
    from lightmigrate.scale.migrators import migrator_for

    address = _address_of(database)
    end_exchange(database)
    migrator = migrator_for(address, executor, conversation.on_progress)
    with executor.prepared(convert):  # workers start while the sample is read
        plan = migrator.plan(Projection.load(projection), options)
        conversation.show(plan)
        require_consent(conversation, options)
        return migrator.migrate(projection, options, plan)


def migrate_folder_by_plan(
    database: DatabaseChoice,
    plan_file: Path,
    options: MigrationOptions,
    executor: Executor,
    *,
    queries: Path | None = None,
    cache: Path | None = None,
    max_cost: float | None = None,
    conversation: Conversation,
) -> FolderMigration | TableMigration:
    """Migrate a folder of files, or a table of parts, exactly as a budget plan says, by several workers.

    Calls the model, in every worker; asks, then writes.

    Args:
        database: the folder or the table.
        plan_file: what `plan --output` wrote.
        options: how to migrate; the files are always compared.
        executor: what converts the files or parts.
        queries: where the file of queries is now, if it was moved.
        cache: file that keeps embeddings; that of the plan, which pays for nothing twice.
        max_cost: dollars that all workers together may spend in this run.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        CostError: it would cost more; what was embedded is kept, and the next run goes on.
        PlanOutdatedError: the files, or the queries, changed since the plan was made.
        LightmigrateError: as `FolderMigrator.migrate` and `TableMigrator.migrate`; nothing was changed.
    """
    from lightmigrate.budget.planned_units import PlannedUnits
    from lightmigrate.files import file_sha256
    from lightmigrate.providers.cache import default_cache
    from lightmigrate.scale.embedding import NewModel
    from lightmigrate.scale.migrators import migrator_for

    address = _address_of(database)
    plan, asked = read_plan(database, plan_file, queries)
    target = ModelChoice.from_json(plan.provider)
    target.require_installed()
    end_exchange(database)
    migrator = migrator_for(address, executor, conversation.on_progress)
    conversation.show(plan)
    require_consent(conversation, options)
    model = NewModel({**plan.provider, **target.limited(max_cost)}, cache or default_cache())
    job = PlannedUnits(
        plan,
        file_sha256(plan_file),
        address,
        model,
        queries=asked,
        force=options.force,
        on_progress=conversation.on_progress,
    )
    try:
        return migrator.migrate(job, options)
    finally:
        model.forget()


def _address_of(database: DatabaseChoice) -> str:
    """The path or address of what workers convert.

    Raises:
        LightmigrateError: it is a server or a client.
    """
    if not isinstance(database.named, (str, Path)):
        raise LightmigrateError("--workers and --cluster are for a folder of files or a table: leave them out")
    return str(database.named)


def is_folder_of_units(database: DatabaseChoice) -> bool:
    """Whether a database is a folder whose files are one collection. Only reads, and calls no server."""
    from lightmigrate.stores.open import is_one_of_many_files

    named = database.named
    return isinstance(named, (str, Path)) and is_one_of_many_files(str(named))


def plan_folder(
    database: DatabaseChoice, projection: Path, unheeded: Sequence[str] = (), *, conversation: Conversation
) -> Plan:
    """What migrating a folder whose files are one collection would do, and whether it can. Only reads.

    Args:
        database: the folder.
        projection: file of the projection.
        unheeded: options that were given and are not for such a folder.
        conversation: with the caller.

    Raises:
        LightmigrateError: as `FolderMigrator.plan`; or an option was given that is not for a folder.
    """
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.projection.projection import Projection
    from lightmigrate.scale.migration import FolderMigrator
    from lightmigrate.scale.processes import Processes
    from lightmigrate.scale.recovery import require_whole
    from lightmigrate.system import cores

    if unheeded:
        raise LightmigrateError(
            f"a folder whose files are one collection is planned with --projection alone: leave out "
            f"{', '.join(unheeded)}"
        )
    if (path := _migrated_path(database)) is not None:
        require_whole(path)
    migrator = FolderMigrator(str(database.named), Processes(cores()), conversation.on_progress)
    return migrator.plan(Projection.load(projection), MigrationOptions())


def migrated_folder(
    database: DatabaseChoice, conversation: Conversation, *, writing: bool = False
) -> FolderMigrator | None:
    """The migrator of a folder that was migrated by workers, or would be; `None` for every other database.

    Args:
        database: what the caller named.
        conversation: with the caller.
        writing: whether the command writes, and so ends an interrupted exchange before it does anything else.

    Raises:
        DatabaseError: an exchange was interrupted, and the command only reads.
    """
    from lightmigrate.scale.migration import FolderMigrator
    from lightmigrate.scale.processes import Processes
    from lightmigrate.scale.recovery import recover, require_whole
    from lightmigrate.system import cores

    if (path := _migrated_path(database)) is not None:
        if writing:
            recover(path)
        require_whole(path)
    elif not is_folder_of_units(database):
        return None
    return FolderMigrator(str(database.named), Processes(cores()), conversation.on_progress)


def checked_by(database: DatabaseChoice, conversation: Conversation) -> FolderMigrator | TableMigrator | None:
    """What knows how a database was migrated by workers; `None` for one that was not. Only reads.

    Raises:
        DatabaseError: an exchange was interrupted.
    """
    return _migrated_table(database, conversation.on_progress) or migrated_folder(database, conversation)


def end_exchange(database: DatabaseChoice) -> str | None:
    """End what a crash interrupted of a folder or table that is migrated by workers. Writes only where there is one.

    Returns:
        What was done, in a sentence; `None` when there was nothing to do, and for every other database.
    """
    from lightmigrate.scale.recovery import recover

    if (path := _migrated_path(database)) is not None:
        return recover(path)
    table = _migrated_table(database)
    return None if table is None else table.recover()


def _migrated_table(database: DatabaseChoice, on_progress: OnProgress | None = None) -> TableMigrator | None:
    """The migrator of a table, if it was migrated by workers or is being. Only reads."""
    from lightmigrate.scale.migrators import migrated_table
    from lightmigrate.scale.processes import Processes
    from lightmigrate.system import cores

    named = database.named
    return migrated_table(str(named), Processes(cores()), on_progress) if isinstance(named, (str, Path)) else None


def _migrated_path(database: DatabaseChoice) -> Path | None:
    """The folder, if it was migrated by workers or is being. Only reads."""
    from lightmigrate.scale.recovery import migrated_path

    named = database.named
    return migrated_path(str(named)) if isinstance(named, (str, Path)) else None
