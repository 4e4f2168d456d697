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

import enum
import re
import secrets
from dataclasses import dataclass

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address

# Key of a version that is filled with records of another store; it stands for no collection yet.
INCOMING = "incoming"

# Qdrant's limit.
_LONGEST = 255

_PATTERN = re.compile(
    r"(?P<own>.+)\.lightmigrate-(?P<state>new|copy|old|ready|moving)-(?P<key>[0-9A-Za-z_]+)(?:-(?P<run>[0-9a-f]{8}))?"
    r"(?:\.(?P<vector>.+))?"
)


class State(enum.Enum):
    """What a name says."""

    OWN = ""
    NEW = "new"
    COPY = "copy"
    OLD = "old"
    READY = "ready"
    MOVING = "moving"


@dataclass(frozen=True)
class VersionName:
    """The parts of the name of a collection or an alias.

    Attributes:
        own: the name of the application's collection.
        state: what the name says.
        key: of the version; see `stores.base.Version`.
        vector: which vector of the records, where they have several.
        run: makes the names of collections unique; empty for aliases.
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
    def unused(cls, own: Address, state: State, key: str) -> VersionName:
        """A name for a new collection; no other collection has it.

        Raises:
            LightmigrateError: it would be longer than Qdrant allows.
        """
        name = cls(own.name, state, key, own.vector, secrets.token_hex(4))
        if len(str(name)) > _LONGEST:
            raise LightmigrateError(
                f"the name of collection {own} has {len(own.name)} characters, and beside it a name of "
                f"{len(str(name))} is needed, where Qdrant allows {_LONGEST}: let the application use an alias"
            )
        return name

    @property
    def address(self) -> Address:
        """Where the application's collection is."""
        return Address(self.own, vector=self.vector)

    def __str__(self) -> str:
        if self.state is State.OWN:
            return self.own
        run, vector = self.run and f"-{self.run}", self.vector and f".{self.vector}"
        return f"{self.own}.lightmigrate-{self.state.value}-{self.key}{run}{vector}"


def backup_alias(own: Address, key: str) -> str:
    """The alias that leads to a backup."""
    return str(VersionName(own.name, State.OLD, key, own.vector))


def moving_alias(own: Address, key: str) -> str:
    """The alias that leads to a version whose points are being copied to a new collection of the own name."""
    return str(VersionName(own.name, State.MOVING, key, own.vector))


def ready_alias(own: Address, key: str) -> str:
    """The alias that leads to a version that is about to take the place of its collection."""
    return str(VersionName(own.name, State.READY, key, own.vector))
