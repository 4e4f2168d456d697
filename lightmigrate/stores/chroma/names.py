"""Names of the versions of a collection. In Chroma only the name shows the role of a version.

Besides a collection NAME there can be

    NAME.lightmigrate-new-KEY     a version that is being built; KEY identifies its source
    NAME.lightmigrate-ready-KEY   a complete version that is about to become NAME; KEY also says which collection it
                                  replaces
    NAME.lightmigrate-late-KEY    what an application created as NAME in the instant of an exchange
    NAME.lightmigrate-old-STAMP   a backup
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from lightmigrate.stores.base import Role
from lightmigrate.stores.timestamp import is_timestamp


class State(enum.Enum):
    """The state of a collection: the application's own, being built, about to take its place, a backup, or too late."""

    OWN = ""
    NEW = "new"
    READY = "ready"
    OLD = "old"
    LATE = "late"


ROLES = {State.NEW: Role.BUILDING, State.OLD: Role.BACKUP}

# In the key of a `READY` version, before the id of the collection that it replaces.
_REPLACES = "__"

_PATTERN = re.compile(r"(?P<own>.+)\.lightmigrate-(?P<state>new|ready|old|late)-(?P<key>[0-9A-Za-z_]+)")


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

    def ready(self, live: str) -> VersionName:
        """The same version about to take the place of its collection, which has this id."""
        return VersionName(self.own, State.READY, f"{self.key}{_REPLACES}{_letters(live)}")

    def replaces(self, live: str) -> bool:
        """Whether a `READY` version replaces the collection of this id; earlier versions say of none what they do."""
        _, _, stated = self.key.partition(_REPLACES)
        return stated in ("", _letters(live))

    def undone(self) -> VersionName:
        """The name before the exchange of a `READY` version: a backup if the key is a timestamp, else `NEW`."""
        key, _, _ = self.key.partition(_REPLACES)
        return VersionName(self.own, State.OLD if is_timestamp(key) else State.NEW, key)


def _letters(live: str) -> str:
    """An id of Chroma without what a key cannot hold."""
    return live.replace("-", "")
