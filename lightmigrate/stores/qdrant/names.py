"""Names of the collections and aliases that lightmigrate keeps beside a collection NAME.

A collection of Qdrant cannot be renamed, an alias can be changed, and one request changes several aliases at once. So
aliases show the role of a version:

    NAME.lightmigrate-new-KEY-RUN     collection: a version; being built as long as it has its mark
    NAME.lightmigrate-copy-KEY-RUN    collection: a copy of a collection that its application opens by its own name
    NAME.lightmigrate-old-KEY         alias: the backup
    NAME.lightmigrate-ready-KEY       alias: the version that is about to become NAME, when KEY becomes its backup
    NAME.lightmigrate-moving-KEY      alias: the version whose points are being copied to a new collection NAME
    NAME.lightmigrate-leaving-KEY     alias: the collection NAME that is about to be deleted; is deleted with it
    NAME.lightmigrate-unfinished-KEY-RUN    alias: the mark of a version or a copy that is not finished

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
    states=(State.NEW, State.COPY, State.OLD, State.READY, State.MOVING, State.LEAVING, State.UNFINISHED),
    longest=255,
)
