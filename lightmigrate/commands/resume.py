"""`resume`: continue, end or discard what was interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.folder import end_exchange
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.stores.files import IndexRoute


@dataclass(frozen=True)
class Resumed(Result):
    """What `resume` did.

    Attributes:
        results: of the migration that was continued; empty when there was none.
        undone: whether an interrupted migration was discarded.
        recovered: what was done about an interrupted exchange, in a sentence; `None` when there was none.
    """

    results: tuple[MigrationResult, ...]
    undone: bool
    recovered: str | None


def resume(
    database: DatabaseChoice,
    *,
    undo: bool = False,
    auto_backup: bool = True,
    index: IndexRoute = "keep",
    conversation: Conversation,
) -> Resumed:
    """Continue a migration that was interrupted, or discard it; end an exchange that was interrupted. Writes.

    Args:
        database: the database.
        undo: discard what an interrupted migration has built.
        auto_backup: see `MigrationOptions`, here and below.
        index: how the new vectors get into the index.
        conversation: with the caller.

    Raises:
        LightmigrateError: as `Migrator.migrate`.
    """
    if (ended := end_exchange(database)) is not None:
        return Resumed((), False, ended)
    migrator = database.open(conversation, writing=True)
    if undo and migrator.undo():
        return Resumed((), True, None)
    if undo or not migrator.interrupted:
        return Resumed((), False, migrator.recovered)
    return Resumed(tuple(migrator.resume(auto_backup, index=index)), False, None)
