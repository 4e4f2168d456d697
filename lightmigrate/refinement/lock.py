"""One `refine` or `migrate --plan` at a time for each database, on this machine."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from lightmigrate.errors import AnotherRunError
from lightmigrate.files import try_lock, user_folder


@contextlib.contextmanager
def only_run(place: Path) -> Iterator[None]:
    """Hold the lock of a database; the system releases it when the process ends, however it ends.

    This is not the lock that migrations hold, and that a starting server waits for.

    Args:
        place: the folder of the database's provenance file.

    Raises:
        AnotherRunError: another run holds it.
    """
    locks = user_folder() / "locks"
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = try_lock(locks / hashlib.sha256(f"refinement\0{place.resolve()}".encode()).hexdigest()[:16])
    if lock is None:
        raise AnotherRunError(f"another refine, or migrate --plan, is working on {place}; wait until it has ended")
    with lock:
        yield
