"""What the names of collections say during a migration through an open client."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a collection is: somebody's own, a shadow being built, one about to take its place, or a backup."""

    OWN = ""
    NEW = "new"
    READY = "ready"
    OLD = "old"


_PATTERN = re.compile(r"(?P<own>.+)\.lightmigrate-(?P<kind>new|ready|old)-(?P<key>[0-9A-Za-z_]+)")


@dataclass(frozen=True)
class Names:
    """A collection's name taken apart.

    Attributes:
        own: the name of the collection it stands for.
        kind: what it is to that collection.
        key: what was asked for (`new`, `ready`), or when it was replaced (`old`).
    """

    own: str
    kind: Kind
    key: str

    @classmethod
    def parse(cls, name: str) -> Names:
        """Of any collection."""
        match = _PATTERN.fullmatch(name)
        if match is None:
            return cls(name, Kind.OWN, "")
        return cls(match["own"], Kind(match["kind"]), match["key"])

    @property
    def name(self) -> str:
        """Put together again."""
        return self.own if self.kind is Kind.OWN else f"{self.own}.lightmigrate-{self.kind.value}-{self.key}"
