"""`auto_migrate` for an object of a framework: the collection that it holds, the model that it embeds with."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.startup.hook import auto_migrate
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.base import Collection, Store
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.kind import FrameworkStore
from lightmigrate.stores.open import framework_store, open_database


def migrate_held(
    vector_store: object, embedding: object, folder: str | Path | None, options: dict[str, Any]
) -> StartReport:
    """Make sure that the collection of a vector store is of the application's model. Writes.

    Args:
        vector_store: an object that holds one collection; see `stores.open.framework_store`.
        embedding: the application's model; `None` for that of the object.
        folder: the folder that the object was read from, if it does not know it.
        options: see `startup.hook.auto_migrate`.

    Raises:
        LightmigrateError: the object holds no collection of a database that is supported, or no model is known; the
            folder holds something else, or the object was written to meanwhile.
    """
    held = framework_store(vector_store)
    if held is None:
        raise LightmigrateError(
            f"{type(vector_store).__name__} holds no collection of a database that is supported: give its client or "
            "folder to lightmigrate.auto_migrate"
        )
    model = held.embedding if embedding is None else embedding
    if model is None and "expected_dim" not in options:
        raise LightmigrateError(f"{type(vector_store).__name__} does not know its embedding model: give embedding=")
    held = _placed(held, vector_store, folder)
    name = _name(held)
    report = auto_migrate(held.database, model, **{"collections": [_pattern(name)], **options})
    if held.reload is not None and (report.action == "migrated" or report.recovered):
        with _opened(held.database) as store:
            held.reload(_collection(store, name))
    if held.reopen is not None:
        held.reopen()
    return report


def _placed(held: FrameworkStore, vector_store: object, folder: str | Path | None) -> FrameworkStore:
    """The same with the folder that an object was read from, and the collection there that it holds. Only reads."""
    of_type = type(vector_store).__name__
    if held.database is not None:
        if folder is not None:
            raise LightmigrateError(f"{of_type} knows its database: leave out folder=")
        return held
    if folder is None:
        raise LightmigrateError(f"{of_type} does not know the folder that it was read from: give folder=")
    place = Path(folder).expanduser()
    opened = open_database(place)
    if isinstance(opened, FileDatabase):
        filled = [str(facts.address) for facts in opened.catalog() if facts.count] if opened.exists() else []
        same: list[str] = []
    else:
        with opened:
            filled = [str(facts.address) for facts in opened.collections() if facts.count]
            same = [name for name in filled if held.holds(_collection(opened, name))]
    if filled and len(same) != 1:
        why = "it does not hold what any of them holds: save it there first, or load it again"
        if same:
            why = f"{len(same)} of them hold the same: give the folder and collections= to lightmigrate.auto_migrate"
        raise LightmigrateError(f"{place} has {len(filled)} collections, and {of_type} is to be one of them; {why}")
    return replace(held, database=place, names=same or [of_type])


@contextlib.contextmanager
def _opened(database: object) -> Iterator[Store]:
    """The database as an open store, closed at the end if it was opened here."""
    opened = open_database(database)
    assert isinstance(opened, Store)  # noqa: S101  # objects of files that are copied as a whole need no reading again
    try:
        yield opened
    finally:
        if isinstance(database, (str, Path)):
            opened.close()


def _collection(store: Store, name: str) -> Collection:
    """The collection of a name as `str(Address)` gives it."""
    (address,) = (facts.address for facts in store.collections() if str(facts.address) == name)
    return store.collection(address)


def _pattern(name: str) -> str:
    """A pattern of `Policy.collections` for one name: what is special in a pattern stands for any one character."""
    return re.sub(r"[*?]|^!", "?", name)


def _name(held: FrameworkStore) -> str:
    """The name by which the database knows the collection; the first one while it has none. Only reads."""
    first, *others = held.names
    if not others:
        return first
    with contextlib.ExitStack() as stack:
        database = open_database(held.database)
        if isinstance(database, FileDatabase):
            catalog = database.catalog()
        else:
            if isinstance(held.database, (str, Path)):
                stack.callback(database.close)
            catalog = database.collections()
        known = {str(facts.address) for facts in catalog}
    return next((name for name in held.names if name in known), first)
