"""The lock of an open database: one process at a time writes to it, of all machines where its store can tell."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lightmigrate.errors import AnotherRunError
from lightmigrate.files import is_locked, try_lock, user_folder, wait_for
from lightmigrate.stores.claim import Claimable


def lock_of(database: object) -> Path:
    """The lock file of a database, by its address or folder as text; need not exist."""
    return user_folder() / "locks" / hashlib.sha256(str(database).encode()).hexdigest()[:16]


class DatabaseLock:
    """The lock of an open database: a file of this machine, and the claim of a `Claimable` store.

    The operating system releases the file when the process ends for any reason; the claim expires soon after.

    Args:
        store: the open database, or whatever else states its address as its text, such as a `Claimable` alone.

    Attributes:
        file: the lock file; need not exist.
        claims: whether holding it writes a claim to the store.
    """

    def __init__(self, store: object) -> None:
        self._store = store
        self.file = lock_of(store)
        self.claims = isinstance(store, Claimable)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the length of a block. Writes.

        Raises:
            AnotherRunError: another process holds it.
        """
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = try_lock(self.file)
        if file is None:
            raise AnotherRunError(f"another lightmigrate is working on {self._store}; wait until it has ended")
        with file, contextlib.ExitStack() as claim:
            if isinstance(self._store, Claimable):
                self._require = claim.enter_context(self._store.claimed(_owner_of(file)))
            yield

    def require(self) -> None:
        """Raise `AnotherRunError` when another machine took the claim over; the lock is held. Only reads."""
        if isinstance(self._store, Claimable):
            self._require()

    def is_held(self) -> bool:
        """Whether a process holds it, or a machine died without giving its claim back. Only reads."""
        return is_locked(self.file) or (isinstance(self._store, Claimable) and self._store.is_claimed())

    def wait(self) -> None:
        """Wait until nobody holds it. Only reads."""
        wait_for(self.file)
        if isinstance(self._store, Claimable):
            self._store.wait_until_unclaimed()


def _owner_of(lock: IO[bytes]) -> str:
    """A name for all who share a lock file: text that is in it, written there first where there is none. Writes.

    Only one process with that name can hold the lock. So it tells machines apart, and containers that share no folder
    for their locks.

    Args:
        lock: the lock file, open to read and to append, and locked by this process.
    """
    lock.seek(0)
    if not (name := lock.read(64)):
        name = secrets.token_hex(8).encode()
        lock.write(name)
        lock.flush()
    return name.decode("ascii", "replace")
