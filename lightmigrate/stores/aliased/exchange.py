"""What an exchange of a database with aliases asks of it, and what one does that was interrupted."""

from __future__ import annotations

from typing import Protocol

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.stores.base import Address

FINISHED = "an interrupted exchange was finished: the new collection is in place"
UNDONE = "an interrupted exchange was undone: the old collection is in place"


class AliasCalls(Protocol):
    """The calls to a database with aliases that are the same for every one."""

    def collections(self) -> list[str]:
        """The names of all collections, without aliases."""

    def aliases(self) -> dict[str, str]:
        """The collection that each alias leads to."""

    def create_alias(self, alias: str, collection: str) -> None:
        """Make an alias lead to a collection. Writes."""

    def drop_alias(self, alias: str) -> None:
        """Drop an alias. Writes."""

    def count(self, name: str) -> int:
        """The number of records of a collection."""

    def delete(self, name: str) -> None:
        """Delete a collection. Writes."""


def remove_intruder(calls: AliasCalls, own: Address, backup: str) -> None:
    """Delete an empty collection that an application created when it missed its own one. Writes.

    Raises:
        DatabaseChangedError: it has records.
    """
    if number := calls.count(own.name):
        raise DatabaseChangedError(
            f"an application created a new collection {own.name} ({number} records) during the exchange; the old one "
            f"is complete as {backup}: move those records elsewhere, delete the collection {own.name}, and run  "
            "lightmigrate resume DATABASE"
        )
    calls.delete(own.name)
