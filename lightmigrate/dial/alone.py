"""One `refine` or planned migration at a time for each database, on this machine."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from lightmigrate.errors import AnotherRunError
from lightmigrate.files import try_lock, user_folder


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Keep other runs away while the block lasts; a crash lets go. Not the lock that a server's start waits for.

    Args:
        place: where the provenance of the database is kept.

    Raises:
        AnotherRunError: another one is at work.
    """
    locks = user_folder() / "locks"
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = try_lock(locks / hashlib.sha256(f"dial\0{place.resolve()}".encode()).hexdigest()[:16])
    if lock is None:
        raise AnotherRunError(f"another refine, or migrate --plan, is working on {place}; wait until it has ended")
    with lock:
        yield
