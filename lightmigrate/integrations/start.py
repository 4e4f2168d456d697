"""`auto_migrate` for an object of a framework: the collection that it holds, the model that it embeds with."""

from __future__ import annotations

import glob
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.startup.hook import auto_migrate
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.open import framework_store


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
    return auto_migrate(held.database, model, **{"collections": [glob.escape(name) for name in held.names], **options})
