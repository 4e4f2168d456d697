"""`migrate --to`: collections of one database are built in another one; the first is only read."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import FOUND_TEXTS, TextsChoice
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import (
    DatabaseChoice,
    addresses_for,
    find_address,
    readable,
    require_one_for_texts,
)
from lightmigrate.commands.migrate import FunctionRecord, new_job
from lightmigrate.errors import NothingToMigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.stores.base import Metric


@dataclass(frozen=True)
class Transferred(Result):
    """The result of `migrate --to`.

    Attributes:
        source: the database that was read, as it is named.
        target: the database that has the collections now, without a password.
        collections: one result for each.
    """

    source: str
    target: str
    collections: Sequence[MigrationResult]


def transfer(
    database: DatabaseChoice,
    to: str,
    options: MigrationOptions,
    *,
    projection: Path | None = None,
    collections: Sequence[str] = (),
    function: FunctionRecord | None = None,
    texts: TextsChoice = FOUND_TEXTS,
    distance: Metric | None = None,
    conversation: Conversation,
) -> Transferred:
    """Build collections in another database. Asks, then writes to that one only.

    Args:
        database: the database that is read.
        to: the other one, a URL or a path.
        options: how; a backup is not made, because the source stays.
        projection: file of the projection; `None` for the same vectors.
        collections: their names; by default all whose vectors the projection takes, or all with records.
        function: what the target records as the embedding function.
        texts: where the embedded texts come from, for a projection that reads them.
        distance: that the collections get; `None` keeps theirs.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        LightmigrateError: as `Migrator.transfer`; both databases are as they were.
    """
    from lightmigrate.projection.projection import Projection
    from lightmigrate.stores.base import Store
    from lightmigrate.stores.open import open_database

    migrator = database.open(conversation)
    catalog = migrator.collections()
    loaded = None if projection is None else Projection.load(projection)
    if loaded is not None:
        addresses = addresses_for(migrator, loaded, collections, in_place=False)
    elif collections:
        addresses = [find_address(name, catalog) for name in collections]
    else:
        addresses = [facts.address for facts in readable(migrator, catalog) if facts.count]
    if not addresses:
        raise NothingToMigrateError(f"{migrator.path}: no collection has records")
    require_one_for_texts(addresses, texts.path)
    spaces = {facts.address: facts.space for facts in catalog}
    jobs = [
        new_job(
            address, loaded, function, texts.read(),
            distance=None if spaces.get(address) == distance else distance, rebuild_index=loaded is None,
        )
        for address in addresses
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        target = open_database(to)
        if isinstance(target, Store):
            stack.callback(target.close)
        conversation.show(migrator.plan_transfer(jobs, target))
        conversation.require(f"Build them in {target}? The source is only read.", "migrate")
        results = migrator.transfer(
            jobs, target, bool(options.verify), invalid_vectors=options.invalid_vectors, force=options.force
        )
        name = str(target)
    return Transferred(str(migrator.path), name, results)
