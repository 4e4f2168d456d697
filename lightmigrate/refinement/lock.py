"""One `refine` or `migrate --plan` at a time for each database, and one background refinement, on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lightmigrate.errors import AnotherRunError
from lightmigrate.files import is_locked, try_lock, user_folder

CHECKED_EVERY = 0.005


@contextlib.contextmanager
def only_run(place: Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a database; the system releases it when the process ends, however it ends.

    This is not the lock that migrations hold, and that a starting server waits for.

    Args:
        place: the folder of the database's provenance file.
        seconds: how long a background refinement is waited for, which holds the lock for a batch of rows at a time.

    Raises:
        AnotherRunError: another run holds it.
    """
    deadline = time.monotonic() + (seconds if is_locked(_file("background", place)) else 0.0)
    while (lock := _locked("refinement", place)) is None and time.monotonic() < deadline:
        time.sleep(CHECKED_EVERY)
    if lock is None:
        raise AnotherRunError(f"another refine, or migrate --plan, is working on {place}; wait until it has ended")
    with lock:
        yield


def elected(place: Path) -> IO[bytes] | None:
    """Become the process whose background refines a database, until the returned file is closed or the process ends.

    Args:
        place: the folder of the database's provenance file.

    Returns:
        `None` if another process is the one.
    """
    return _locked("background", place)


def _locked(purpose: str, place: Path) -> IO[bytes] | None:
    file = _file(purpose, place)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return try_lock(file)


def _file(purpose: str, place: Path) -> Path:
    return user_folder() / "locks" / hashlib.sha256(f"{purpose}\0{place.resolve()}".encode()).hexdigest()[:16]
