"""Names of the collections and aliases that lightmigrate keeps beside a collection: their parts and spelling.

A name says the role of what has it: a version that is being built, a backup, or a version on its way into place. How
the parts are joined depends on the characters that a database takes, which its `Naming` says.

An alias can be dropped by anybody, even for a moment, so a missing one proves nothing. That a collection is unfinished,
and can be deleted, is therefore said by an alias, its mark: set when lightmigrate creates the collection, and dropped
before applications can open it. A collection without a mark is never deleted unless somebody names it.
"""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address


class State(enum.Enum):
    """What a name says. A database that exchanges by aliases and renames alone has neither copies nor moves."""

    OWN = ""
    NEW = "new"
    COPY = "copy"
    OLD = "old"
    READY = "ready"
    MOVING = "moving"
    LEAVING = "leaving"
    UNFINISHED = "unfinished"


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

    @property
    def address(self) -> Address:
        """Where the application's collection is."""
        return Address(self.own, vector=self.vector)


@dataclass(frozen=True)
class Naming:
    """How one database spells these names.

    Attributes:
        database: its name, for messages.
        mark: what follows the own name.
        joint: what stands between state and key.
        before_run: what stands before the run.
        before_vector: what stands before the vector.
        states: those that its names can have, beside `OWN`.
        longest: number of characters that a name may have.
    """

    database: str
    mark: str
    joint: str
    before_run: str
    before_vector: str
    states: tuple[State, ...]
    longest: int

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        mark, joint, run, vector = map(re.escape, (self.mark, self.joint, self.before_run, self.before_vector))
        states = "|".join(state.value for state in self.states)
        return re.compile(
            rf"(?P<own>.+){mark}(?P<state>{states}){joint}(?P<key>[0-9A-Za-z_]+?)(?:{run}(?P<run>[0-9a-f]{{8}}))?"
            rf"(?:{vector}(?P<vector>.+))?"
        )

    def parse(self, name: str) -> VersionName:
        """The parts of any name."""
        match = self._pattern.fullmatch(name)
        if match is None:
            return VersionName(name, State.OWN)
        return VersionName(match["own"], State(match["state"]), match["key"], match["vector"] or "", match["run"] or "")

    def spell(self, name: VersionName) -> str:
        """The name that has these parts."""
        if name.state is State.OWN:
            return name.own
        run = name.run and f"{self.before_run}{name.run}"
        vector = name.vector and f"{self.before_vector}{name.vector}"
        return f"{name.own}{self.mark}{name.state.value}{self.joint}{name.key}{run}{vector}"

    def of(self, own: Address, state: State, key: str) -> str:
        """The name that a version of a collection has in a state: one alias, or one collection."""
        return self.spell(VersionName(own.name, state, key, own.vector))

    def unused(self, own: Address, state: State, key: str) -> str:
        """A name for a new collection; no other one has it.

        Raises:
            LightmigrateError: it would be longer than the database allows.
        """
        name = self.spell(VersionName(own.name, state, key, own.vector, secrets.token_hex(4)))
        length = max(len(name), len(self.mark_of(name)))
        if length > self.longest:
            raise LightmigrateError(
                f"the name of collection {own} has {len(own.name)} characters, and beside it a name of {length} is "
                f"needed, where {self.database} allows {self.longest}: give the application a shorter alias"
            )
        return name

    def mark_of(self, name: str) -> str:
        """The alias that leads to a new collection as long as it is not finished."""
        return self.spell(replace(self.parse(name), state=State.UNFINISHED))

    def state(self, name: str) -> State:
        """What a name says."""
        return self.parse(name).state

    def application_aliases(self, aliases: Mapping[str, str], physical: str) -> list[str]:
        """The aliases by which applications open a collection, of those that lead to each collection."""
        return sorted(alias for alias, to in aliases.items() if to == physical and self.state(alias) is State.OWN)

    def in_use(self, aliases: Mapping[str, str]) -> set[str]:
        """The collections that applications open by an alias, of those that lead to each collection."""
        return {to for alias, to in aliases.items() if self.state(alias) is State.OWN}

    def unfinished(self, aliases: Mapping[str, str]) -> set[str]:
        """The collections that have their mark, and are neither in use nor a backup: these alone may be deleted."""
        marked = {to for alias, to in self.saying(aliases, State.UNFINISHED).items() if alias == self.mark_of(to)}
        return marked - self.in_use(aliases) - set(self.saying(aliases, State.OLD).values())

    def saying(self, aliases: Mapping[str, str], *states: State) -> dict[str, str]:
        """The aliases that say one of some things, with the collection that each leads to."""
        return {alias: to for alias, to in aliases.items() if self.state(alias) in states}
