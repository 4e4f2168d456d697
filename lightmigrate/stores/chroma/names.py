"""Names of the versions of a collection. In Chroma only the name shows the role of a version.

Besides a collection NAME there can be

    NAME.lightmigrate-new-KEY     a version that is being built; KEY identifies its source
    NAME.lightmigrate-ready-KEY   a complete version that is about to become NAME
    NAME.lightmigrate-old-STAMP   a backup
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from lightmigrate.stores.base import Role
from lightmigrate.stores.timestamp import is_timestamp


class State(enum.Enum):
    """The state of a collection: the application's own, being built, about to take its place, or a backup."""

    OWN = ""
    NEW = "new"
    READY = "ready"
    OLD = "old"


ROLES = {State.NEW: Role.BUILDING, State.OLD: Role.BACKUP}

_PATTERN = re.compile(r"(?P<own>.+)\.lightmigrate-(?P<state>new|ready|old)-(?P<key>[0-9A-Za-z_]+)")


@dataclass(frozen=True)
class VersionName:
    """The parts of a collection's name.

    Attributes:
        own: the name of the application's collection.
        state: the state of this version of it.
        key: its source (`NEW`, `READY`), or when it was replaced (`OLD`, or `READY` during a rollback).
    """

    own: str
    state: State
    key: str

    @classmethod
    def parse(cls, name: str) -> VersionName:
        """Parse the name of any collection."""
        match = _PATTERN.fullmatch(name)
        if match is None:
            return cls(name, State.OWN, "")
        return cls(match["own"], State(match["state"]), match["key"])

    @property
    def name(self) -> str:
        """The full name."""
        return self.own if self.state is State.OWN else f"{self.own}.lightmigrate-{self.state.value}-{self.key}"

    def ready(self) -> VersionName:
        """The same version about to take its collection's place."""
        return VersionName(self.own, State.READY, self.key)

    def undone(self) -> VersionName:
        """The name before the exchange of a `READY` version: a backup if the key is a timestamp, else `NEW`."""
        return VersionName(self.own, State.OLD if is_timestamp(self.key) else State.NEW, self.key)
