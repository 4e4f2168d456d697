"""Put a new vector column in the place of the old one, and a kept version of a table in the place of the newest."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lance

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address
from lightmigrate.stores.lance.building import BuildingCollection
from lightmigrate.stores.lance.collection import LanceCollection
from lightmigrate.stores.lance.flushing import BRANCHES, Descriptions
from lightmigrate.stores.lance.history import (
    Exchanged,
    before_name,
    exchanges_of,
    forget,
    keep_after,
    message_of,
    restored_token,
)
from lightmigrate.stores.lance.indexes import IndexSpec, indexes_of
from lightmigrate.stores.lance.new_column import NewColumn
from lightmigrate.stores.lance.table import Dataset, Table
from lightmigrate.stores.lance.vector_cache import VectorCache
from lightmigrate.system import delete

# How often an exchange is tried again because somebody wrote to the table meanwhile.
_TRIES = 100

# The folder for unfinished files, within lightmigrate's own beside the tables.
SCRATCH = "scratch"


def exchange(
    incoming: BuildingCollection,
    live: LanceCollection,
    key: str,
    settle: Callable[[], None],
    scratch: Path,
    cache: VectorCache,
) -> None:
    """See `Store.exchange`. Writes.

    Args:
        incoming: the version.
        live: the collection, as it was opened.
        key: of the backup.
        settle: brings `incoming` up to date.
        scratch: a folder for unfinished files.
        cache: of an application, beside the tables.
    """
    table, column, token = live.table, live.column, str(incoming.staged.settings["token"])
    _require_free(table, key, column)
    new, written = NewColumn(table, column, incoming.staged, scratch), Descriptions(table.path)
    new.prepare(table.latest())
    cached = cache.before(key)
    for _ in range(_TRIES):
        DatabaseChangedError.require_same(live.address, live.opened_id, live.id)
        begun = table.latest().version
        settle()
        dataset = table.latest()
        if dataset.version != begun:
            continue
        new.prepare(dataset)
        specs = [spec.by(incoming.staged.settings["distance"]) for spec in indexes_of(dataset, column)]
        operation = new.operation(dataset, incoming.model)
        made = commit_exchange(table, column, operation, dataset.version, token, key)
        if made is None:
            continue
        cache.after(cached)
        keep_after(table, token, made.version)
        build_indexes(table, column, specs)
        written.flush()
        incoming.staged.discard()  # until then `recover` builds the indexes
        return
    raise DatabaseChangedError(
        f"table {table.name} was written to in every one of {_TRIES} tries to exchange it: nothing was changed; pause "
        "the writers, and run this again to go on"
    )


def commit_exchange(table: Table, column: str, operation: Any, version: int, token: str, key: str) -> Dataset | None:
    """Commit an exchange; `None` when somebody wrote to the table since the version it was made for. Writes.

    Args:
        table: the table.
        column: the vector column.
        operation: that replaces it; see `new_column.replacing`.
        version: of the table, that the operation is for.
        token: of the exchange.
        key: of the backup.
    """
    before = before_name(key, token, column)
    table.keep(before, version)
    Descriptions(table.path, known=False).flush(BRANCHES)  # after the commit this alone is the backup
    try:
        return table.commit(operation, version, message_of(token))
    except OSError:
        if table.committed(message_of(token), version) is not None:
            raise
        table.release(before)
        if table.latest().version == version:
            raise
        return None


def restore(backup: Exchanged, live: LanceCollection, key: str, cache: VectorCache) -> None:
    """Put a kept version of a table back in place; what it replaces becomes backup `key`. Writes.

    Args:
        backup: the version.
        live: the collection.
        key: of the new backup.
        cache: of an application, beside the tables.
    """
    table, column = live.table, live.column
    _require_free(table, key, column)
    token, written = restored_token(backup.before, secrets.token_hex(4)), Descriptions(table.path)
    cached = cache.before(key)
    version = table.latest().version
    table.keep(before_name(key, token, column), version)
    made = table.commit(lance.LanceOperation.Restore(backup.before), version, message_of(token))
    cache.after(cached)
    if made.version != version + 1:  # Lance lets a restoration pass whatever was written meanwhile
        table.release(before_name(key, token, column))
        table.keep(before_name(key, token, column), made.version - 1)
        logger.warning(
            "%s: %d commits came while the old version was restored; the backup %s holds what they wrote",
            table.name, made.version - 1 - version, key,
        )  # fmt: skip
    keep_after(table, token, made.version)
    written.flush()  # before nothing else keeps the old version
    forget(table, backup.key, backup.token, column)


def require_others_unchanged(table: Table, backup: Exchanged, later: Sequence[Address]) -> None:
    """Raise `LightmigrateError` when another column was exchanged since: a version of a table holds all columns.

    Args:
        table: the table.
        backup: the version.
        later: backups of other columns that were exchanged since, the oldest first.
    """
    then, now = table.at(backup.before), table.latest()
    for column in table.layout(then).vectors:
        fields = [dataset.lance_schema.field(column) for dataset in (then, now)]
        if column != backup.column and all(fields) and fields[0].id() != fields[1].id():
            help_ = f"its backup is gone, and  table.restore({backup.before})  of LanceDB puts all columns back"
            if later:
                help_ = f"roll that one back first:  lightmigrate rollback DATABASE --backup {later[-1]}"
            raise LightmigrateError(
                f"column {column} of table {table.name} was exchanged later, and a version of the table holds all "
                f"columns: {help_}"
            )


def _require_free(table: Table, key: str, column: str) -> None:
    if any((each.key, each.column) == (key, column) for each in exchanges_of(table)):
        raise LightmigrateError(f"table {table.name} has a backup {key} already: give another key")


def build_indexes(table: Table, column: str, specs: list[IndexSpec]) -> int:
    """Build those indexes that a column has not got; searches are exact and slower until then. Writes.

    Returns:
        Number of indexes built.
    """
    names = {spec.name for spec in indexes_of(table.latest(), column)}
    missing = [spec for spec in specs if spec.name not in names]
    for spec in missing:
        try:
            table.index(column, spec)
        except (ValueError, OSError, RuntimeError) as error:
            logger.warning(
                "%s: its index %s could not be built (%s); searches read all vectors until the application builds one",
                table.name, spec.name, " ".join(str(error).split())[:200],
            )  # fmt: skip
    return len(missing)


def missing_indexes(table: Table, each: Exchanged) -> list[IndexSpec]:
    """The indexes of the version before an exchange that the newest version lacks; only reads."""
    latest = table.latest()
    names = {spec.name for spec in indexes_of(latest, each.column)}
    return [spec for spec in indexes_of(table.at(each.before), each.column) if spec.name not in names]


def clear_scratch(work: Path) -> None:
    """Delete what a crash left unfinished. Writes."""
    shutil.rmtree(work / SCRATCH, ignore_errors=True)
    for begun in work.glob("*.begun*"):
        delete(begun)
