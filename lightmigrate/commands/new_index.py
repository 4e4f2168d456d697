"""`migrate --distance` or `--index rebuild` alone: the index is built anew, and the vectors stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.commands.database import DatabaseChoice, changeable, find_address, possible, readable
from lightmigrate.commands.migrate import new_job, require_consent, run_migration
from lightmigrate.errors import NothingToMigrateError

if TYPE_CHECKING:
    from lightmigrate.migration.collection_job import CollectionJob
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.plan import Plan
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.migrator import Migrator
    from lightmigrate.stores.base import Address, Metric

# Collections whose metadata state another distance that are named; of more their number.
_SHOWN = 3


def rebuild_indexes(
    database: DatabaseChoice,
    distance: Metric | None,
    options: MigrationOptions,
    *,
    collections: Sequence[str] = (),
    function: object = None,
    conversation: Conversation,
) -> list[MigrationResult]:
    """Build new indexes, of another distance or not. Exact: nothing is learned or embedded. Asks, then writes.

    Args:
        database: the database.
        distance: that they get; `None` keeps theirs.
        options: how to migrate.
        collections: their names; by default all that have another distance, or all with records.
        function: what to record as the embedding function of the collections; `None` keeps the record.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        NothingToMigrateError: they have this distance already, or no records.
        RefusedError: none of them can have it; one that cannot, and that was not named, is left as it is.
        LightmigrateError: as `Migrator.plan` and `Migrator.migrate`; the database is unchanged.
    """
    migrator = database.open_to_migrate(conversation)
    jobs = _jobs(migrator, distance, collections, function)
    conversation.show(migrator.plan(jobs))
    require_consent(conversation, options)
    return run_migration(migrator, jobs, options)


def plan_indexes(
    database: DatabaseChoice, distance: Metric | None, *, collections: Sequence[str] = (), conversation: Conversation
) -> Plan:
    """What `rebuild_indexes` would do, and whether it can. Only reads; raises the same errors."""
    migrator = database.open_to_migrate(conversation, writing=False)
    return migrator.plan(_jobs(migrator, distance, collections, None))


def show_stated_distances(migrator: Migrator, addresses: Sequence[Address], conversation: Conversation) -> None:
    """Show which of some collections have metadata that state another distance than their index has. Only reads."""
    chosen = [facts for facts in migrator.collections() if facts.address in addresses]
    wrong = migrator.stated_distances(chosen)
    for address, line in list(wrong.items())[:_SHOWN]:
        conversation.show(Notice(f"{address}: {line}"))
    if len(wrong) > _SHOWN:
        conversation.show(Notice(f"and {len(wrong) - _SHOWN} more whose metadata state another distance; see doctor"))


def _jobs(migrator: Migrator, distance: Metric | None, names: Sequence[str], function: object) -> list[CollectionJob]:
    catalog = migrator.collections()
    if names:
        addresses = [find_address(name, catalog) for name in names]
    elif distance is None:
        filled = [facts for facts in readable(migrator, catalog) if facts.count]
        addresses = [facts.address for facts in possible(migrator, filled, None)]
    else:
        other = [facts for facts in readable(migrator, catalog) if facts.space != distance or facts.stated_space]
        addresses = [facts.address for facts in changeable(migrator, possible(migrator, other, None), distance)]
    if not addresses:
        reason = (
            "no collection has records"
            if distance is None
            else f"the distance of every collection is {distance} already"
        )
        raise NothingToMigrateError(f"{migrator.path}: {reason}")
    return [new_job(address, None, function, distance=distance, rebuild_index=True) for address in addresses]
