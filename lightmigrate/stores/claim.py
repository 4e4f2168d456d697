"""What a store offers that several machines reach: only one of them migrates at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Claimable(Protocol):
    """A database that can be claimed: a lock that the database itself holds, besides the one of each machine."""

    def claimed(self, owner: str) -> AbstractContextManager[Callable[[], None]]:
        """Claim the database for the length of a block; yields a check that the claim still stands. Writes.

        Args:
            owner: tells machines apart. The caller holds the lock of its machine, so a claim of the same owner is one
                that a process left when it was killed.

        Raises:
            AnotherRunError: another machine has claimed it; or, from the check, another one took this claim over,
                because it was not renewed for too long.
        """

    def is_claimed(self) -> bool:
        """Whether a machine has claimed it, or died without giving it back; only reads."""

    def wait_until_unclaimed(self) -> None:
        """Wait until no machine claims it that still runs. Only reads."""
