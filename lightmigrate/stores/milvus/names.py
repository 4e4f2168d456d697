"""Names of the collections and aliases that lightmigrate keeps beside a collection NAME.

Milvus takes letters, digits and `_` in names. An alias is changed by one request, and a collection is renamed by one:

    NAME__lightmigrate_new_KEY__RUN    collection: a version; being built until an alias leads to it
    NAME__lightmigrate_old_KEY         collection, or alias that leads to it: the backup
    NAME__lightmigrate_ready_KEY       alias: the version that is about to become NAME, when KEY becomes its backup

Where the records have several vectors, `__vector_VECTOR` follows.
"""

from __future__ import annotations

import enum
import re
import secrets
from dataclasses import dataclass

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address

# Milvus's limit.
_LONGEST = 255

_PATTERN = re.compile(
    r"(?P<own>.+)__lightmigrate_(?P<state>new|old|ready)_(?P<key>[0-9A-Za-z_]+?)(?:__(?P<run>[0-9a-f]{8}))?"
    r"(?:__vector_(?P<vector>.+))?"
)


class State(enum.Enum):
    """What a name says."""

    OWN = ""
    NEW = "new"
    OLD = "old"
    READY = "ready"


@dataclass(frozen=True)
class VersionName:
    """The parts of the name of a collection or an alias.

    Attributes:
        own: the name of the application's collection.
        state: what the name says.
        key: of the version; see `stores.base.Version`.
        vector: which vector of the records, where they have several.
        run: makes the names of new collections unique; empty for others.
    """

    own: str
    state: State
    key: str = ""
    vector: str = ""
    run: str = ""

    @classmethod
    def parse(cls, name: str) -> VersionName:
        """The parts of any name."""
        match = _PATTERN.fullmatch(name)
        if match is None:
            return cls(name, State.OWN)
        return cls(match["own"], State(match["state"]), match["key"], match["vector"] or "", match["run"] or "")

    @classmethod
    def unused(cls, own: Address, key: str) -> VersionName:
        """A name for a new version; no other collection has it.

        Raises:
            LightmigrateError: it would be longer than Milvus allows.
        """
        name = cls(own.name, State.NEW, key, own.vector, secrets.token_hex(4))
        if (needed := len(str(name))) > _LONGEST:
            raise LightmigrateError(
                f"the name of collection {own} has {len(own.name)} characters, and beside it a name of {needed} is "
                f"needed, where Milvus allows {_LONGEST}: give the application a shorter alias"
            )
        return name

    @property
    def address(self) -> Address:
        """Where the application's collection is."""
        return Address(self.own, vector=self.vector)

    def __str__(self) -> str:
        if self.state is State.OWN:
            return self.own
        run, vector = self.run and f"__{self.run}", self.vector and f"__vector_{self.vector}"
        return f"{self.own}__lightmigrate_{self.state.value}_{self.key}{run}{vector}"


def backup_name(own: Address, key: str) -> str:
    """The name of a backup, or of the alias that leads to it."""
    return str(VersionName(own.name, State.OLD, key, own.vector))


def ready_alias(own: Address, key: str) -> str:
    """The alias that leads to a version that is about to take the place of its collection."""
    return str(VersionName(own.name, State.READY, key, own.vector))
