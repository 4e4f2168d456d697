"""What a store may offer so that little is left to do in an exchange, while writers wait."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lightmigrate.stores.base import Collection


@runtime_checkable
class CatchingUp(Protocol):
    """A `settle` of `Store.exchange` that can also be prepared, so that little is left for which writers wait."""

    def ahead(self) -> None:
        """Bring the version nearly up to date while others write. Writes; not within a transaction."""


@runtime_checkable
class Stamped(Protocol):
    """A collection that keeps no log, but can tell that nobody has written ids, texts or payloads."""

    def stamp(self) -> str | None:
        """The same as before if nobody has written them since; `None` where that cannot be told. Only reads."""


@runtime_checkable
class Reconciling(Protocol):
    """A store that can tell, while others write, whether a version holds the same records as its collection.

    Elsewhere the records of both are counted within the exchange, while writers wait.
    """

    def unequal(self, live: Collection, incoming: Collection, since: str, *, written: bool) -> int:
        """Number of records that only one of the two holds; only reads.

        Args:
            live: the collection.
            incoming: a version of it.
            since: a mark of `Collection.changes`.
            written: counts the records that were written since then, otherwise all others.
        """
