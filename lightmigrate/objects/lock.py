"""One run at a time works on a dataset in an object store, which has no locks: whoever begins puts an object and looks.

Each run puts an object of its own name, and then lists: it holds the lock if there is no other. Of two that begin at
once, whichever lists later sees the other one, so never both hold it; it may be that neither does, and both try again.
This needs no conditional request, which not every store has, but a listing with all that was put before it. And as
no two runs ever write the same object, what a dead run has left can be deleted without ever deleting what a living one
has put meanwhile: an object that all of them create by a conditional request would have to be deleted, and created
anew, in two steps.

A holder puts its object again and again, with a count. One whose count stands still is dead; whoever waits measures
that by its own clock.
"""

from __future__ import annotations

import contextlib
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lightmigrate.errors import AnotherRunError
from lightmigrate.objects.folder import ObjectFolder, State
from lightmigrate.progress import logger

# How often the holder counts on, and how long it may fail to.
SECONDS_PER_BEAT, SECONDS_TO_EXPIRE = 3.0, 30.0

# How often the lock is looked at.
_PAUSE = 0.5

_PREFIX = "lock"


class ObjectLock:
    """The lock of one dataset. See `stores.claim.Claimable`.

    Args:
        home: the prefix of what is ours.
    """

    def __init__(self, home: ObjectFolder) -> None:
        self._home = home

    def __str__(self) -> str:
        return self._home.address

    @contextlib.contextmanager
    def claimed(self, owner: str) -> Iterator[Callable[[], None]]:
        """See `Claimable`. Writes."""
        held = self._taken(owner)
        ended = threading.Event()
        beating = threading.Thread(target=self._count_on, args=(held, owner, ended), daemon=True)
        beating.start()
        try:
            yield lambda: self._require(held)
        finally:
            ended.set()
            beating.join()
            with contextlib.suppress(Exception):  # the store cannot be reached; the lock expires
                self._home.delete([held.name])

    def is_claimed(self) -> bool:
        """See `Claimable`."""
        return bool(self._others(None))

    def wait_until_unclaimed(self) -> None:
        """See `Claimable`."""
        seen = _Seen()
        while others := self._others(None):
            if all(seen.is_dead(name, state) for name, state in others.items()):
                return
            time.sleep(_PAUSE)

    def _taken(self, owner: str) -> _Held:
        seen = _Seen()
        while True:
            if not (others := self._others(None)):
                held = _Held(f"{_PREFIX}/{secrets.token_hex(8)}.json", time.monotonic())
                self._put(held.name, owner, 0)
                if not self._others(held.name):
                    return held
                self._home.delete([held.name])
            dead = [name for name, state in others.items() if seen.is_dead(name, state) or self._is_of(name, owner)]
            if dead:
                logger.info("a run that was killed, or whose machine is gone, held the dataset; it is taken over")
                self._home.delete(dead)
            elif any(seen.counts(name) for name in others):
                raise AnotherRunError(
                    f"another run of lightmigrate works on {self._home.address}: wait until it has ended, then run "
                    "this again"
                )
            else:
                time.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311  # no secret

    def _others(self, own: str | None) -> dict[str, State]:
        return {name: state for name, state in self._home.states(_PREFIX).items() if name != own}

    def _is_of(self, name: str, owner: str) -> bool:
        """Whether an object is of a process of this machine; that is dead, as this one holds the machine's lock."""
        return self._home.read_json(name).get("owner") == owner

    def _put(self, name: str, owner: str, count: int) -> None:
        self._home.write(name, json.dumps({"owner": owner, "count": count}).encode())

    def _count_on(self, held: _Held, owner: str, ended: threading.Event) -> None:
        count = 0
        while not ended.wait(SECONDS_PER_BEAT):
            with contextlib.suppress(Exception):  # a store that does not answer now may answer in time
                began = time.monotonic()
                if self._home.state(held.name) is None:
                    return  # it was taken over
                count += 1
                self._put(held.name, owner, count)
                held.counted = began

    def _require(self, held: _Held) -> None:
        late = time.monotonic() - held.counted > SECONDS_TO_EXPIRE
        # one that only looks withdraws at once; one that took this over stays
        others = set() if late else set(self._others(held.name))
        if others:
            time.sleep(_PAUSE)
            others &= set(self._others(held.name))
        if late or others or self._home.state(held.name) is None:
            raise AnotherRunError(
                f"another run took {self._home.address} over, as this one could not reach it for "
                f"{SECONDS_TO_EXPIRE:.0f} s: nothing was exchanged, run this again when that one has ended"
            )


@dataclass
class _Held:
    """The object of a holder.

    Attributes:
        name: of the object.
        counted: when it was last put, by the clock of this process.
    """

    name: str
    counted: float


@dataclass
class _Seen:
    """What whoever waits has seen of the objects of others."""

    _states: dict[str, tuple[State, float]] = field(default_factory=dict)
    _counting: set[str] = field(default_factory=set)

    def is_dead(self, name: str, state: State) -> bool:
        """Note the state of an object; whether it has stood still for too long."""
        before, since = self._states.get(name, (state, time.monotonic()))
        if before != state:
            self._counting.add(name)
            since = time.monotonic()
        self._states[name] = state, since
        return time.monotonic() - since > SECONDS_TO_EXPIRE

    def counts(self, name: str) -> bool:
        """Whether an object was seen to be put again."""
        return name in self._counting
