"""`overview`: what can be said of a database at once, without reading vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migration.history import HistoryEntry
    from lightmigrate.migration.results import Backup
    from lightmigrate.migrator import Migrator
    from lightmigrate.stores.base import Address, CollectionFacts
    from lightmigrate.stores.promises import Promises


@dataclass(frozen=True)
class Overview(Result):
    """What a database says of itself at once; `doctor` also looks at vectors, texts and disks.

    Attributes:
        path: the folder, or the server's address.
        collections: all collections, by name.
        backups: oldest first.
        unfinished: what an interrupted run left, in a sentence; `None` when there is nothing.
        interrupted: whether that is a migration, which `resume --undo` discards.
        resumable: whether `resume` continues it; otherwise the same migration does.
        promises: what the database promises about migrations, and what not.
        notices: what has to be known before a migration, a sentence each.
        history: the migrations and rollbacks, the newest first.
    """

    path: Path
    collections: tuple[CollectionFacts, ...]
    backups: tuple[Backup, ...]
    unfinished: str | None
    interrupted: bool
    resumable: bool
    promises: Promises
    notices: tuple[str, ...]
    history: tuple[HistoryEntry, ...]


def overview(database: DatabaseChoice, *, conversation: Conversation) -> Overview:
    """Look at a database for a moment. Only reads, also while others write.

    Args:
        database: the database.
        conversation: with the caller.

    Raises:
        DatabaseError: there is no database.
    """
    from lightmigrate.commands.folder import migrated_folder

    migrator = database.open(conversation, notices=False)
    folder = migrated_folder(database, conversation)
    entries, failure = history_of(migrator)
    return Overview(
        path=migrator.path,
        collections=tuple(migrator.collections()),
        backups=tuple((folder or migrator).backups()),
        unfinished=migrator.unfinished,
        interrupted=migrator.interrupted,
        resumable=migrator.resumable,
        promises=migrator.promises,
        notices=tuple(filter(None, (migrator.upgrade_notice, migrator.exchange_notice, failure))),
        history=entries,
    )


def history_of(migrator: Migrator, collection: Address | None = None) -> tuple[tuple[HistoryEntry, ...], str]:
    """The history of a database or a collection, the newest first, and why it cannot be read. Only reads.

    All else is shown although the file of the history is damaged.
    """
    try:
        return tuple(reversed(migrator.history(collection))), ""
    except LightmigrateError as error:
        return (), str(error)
