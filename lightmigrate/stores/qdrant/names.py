"""Names of the collections and aliases that lightmigrate keeps beside a collection NAME.

A collection of Qdrant cannot be renamed, an alias can be changed, and one request changes several aliases at once. So
aliases show the role of a version:

    NAME.lightmigrate-new-KEY-RUN     collection: a version; being built until an alias leads to it
    NAME.lightmigrate-copy-KEY-RUN    collection: a copy of a collection that its application opens by its own name
    NAME.lightmigrate-old-KEY         alias: the backup
    NAME.lightmigrate-ready-KEY       alias: the version that is about to become NAME, when KEY becomes its backup
    NAME.lightmigrate-moving-KEY      alias: the version whose points are being copied to a new collection NAME

Where the records have several vectors, `.VECTOR` follows.
"""

from __future__ import annotations

from lightmigrate.stores.aliased.names import Naming, State

NAMES = Naming(
    "Qdrant",
    mark=".lightmigrate-",
    joint="-",
    before_run="-",
    before_vector=".",
    states=(State.NEW, State.COPY, State.OLD, State.READY, State.MOVING),
    longest=255,
)
