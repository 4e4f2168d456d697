"""`auto_migrate` for an object of a framework: the collection that it holds, the model that it embeds with."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.startup.hook import auto_migrate
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.kind import FrameworkStore
from lightmigrate.stores.open import framework_store, open_database


def migrate_held(vector_store: object, embedding: object, options: dict[str, Any]) -> StartReport:
    """Make sure that the collection of a vector store is of the application's model. Writes.

    Args:
        vector_store: an object that holds one collection; see `stores.open.framework_store`.
        embedding: the application's model; `None` for that of the object.
        options: see `startup.hook.auto_migrate`.

    Raises:
        LightmigrateError: the object holds no collection of a database that is supported, or no model is known.
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
    return auto_migrate(held.database, model, **{"collections": [_pattern(_name(held))], **options})


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
            if isinstance(held.database, str):
                stack.callback(database.close)
            catalog = database.collections()
        known = {str(facts.address) for facts in catalog}
    return next((name for name in held.names if name in known), first)
