"""Names of the collections and aliases that lightmigrate keeps beside a collection NAME.

Milvus takes letters, digits and `_` in names. An alias is changed by one request, and a collection is renamed by one:

    NAME__lightmigrate_new_KEY__RUN    collection: a version; being built as long as it has its mark
    NAME__lightmigrate_old_KEY         collection, or alias that leads to it: the backup
    NAME__lightmigrate_ready_KEY       alias: the version that is about to become NAME, when KEY becomes its backup
    NAME__lightmigrate_unfinished_KEY__RUN    alias: the mark of a version that is not finished

Where the records have several vectors, `__vector_VECTOR` follows.
"""

from __future__ import annotations

from lightmigrate.stores.aliased.names import Naming, State

NAMES = Naming(
    "Milvus",
    mark="__lightmigrate_",
    joint="_",
    before_run="__",
    before_vector="__vector_",
    states=(State.NEW, State.OLD, State.READY, State.UNFINISHED),
    longest=255,
)
