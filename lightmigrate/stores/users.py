"""Who has the main file of a database open: two processes that write one Chroma folder corrupt it silently.

Linux shows the open files of processes, and whether a process may write to them: one that may is a user. One that may
only read can be a user, as an application that maps a file of vectors. It can also just be looking, as another server
does that starts at the same moment, or a job that asks for the status: a look ends, so that is waited for.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from lightmigrate import system
from lightmigrate.stores.processes import (
    all_processes,
    hidden_processes_naming,
    is_hidden,
    lock_holders,
    told_of,
    user_of,
)
from lightmigrate.stores.unseen import open_unseen, why_unknown

# In place of the id of a process that cannot be seen, as Linux itself has it.
UNSEEN = 0

# A look at a large database takes so long on a busy machine.
SECONDS_TO_LOOK = 5.0

_PAUSE = 0.05


def users_of(main: Path) -> list[int]:
    """Ids of the processes that have the main file of a database open, this one included. Only reads.

    It sees only Linux processes: without root those of the same user, and of others those that hold a lock on it.
    `UNSEEN` stands for others that have it open: in another container, or of another user. Where that cannot be known
    (see `may_be_open`), processes of other users count that were started with its path. Where the others have it open
    only for reading, it waits until they close it, for at most `SECONDS_TO_LOOK`.
    """
    deadline = time.monotonic() + SECONDS_TO_LOOK
    while _others_only_read(holders := _holders(main)) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    if holders:
        return sorted(holders)
    answer = open_unseen(main)
    return [UNSEEN] if answer == "open" else hidden_processes_naming(main) if answer == "unknown" else []


def may_be_open(main: Path) -> str | None:
    """Why somebody may have a file open whom `users_of` does not show, in a few words; `None` where it shows everybody.

    Only reads; `None` also where this process has it open, which is reason enough to leave it alone.
    """
    with contextlib.suppress(FileNotFoundError):
        if list(_openings(os.getpid(), _identity(main.stat()))):
            return None
    return why_unknown(main)


def can_see_users() -> bool:
    """Whether `users_of` can tell anything on this system."""
    return system.NAME == "linux"


def process_name(pid: int) -> str:
    """The command a process runs, or `?`."""
    if pid == UNSEEN:
        return "in another container, or of another user"
    try:
        name = told_of(pid, "comm").strip()
    except OSError:
        return "?"
    return f"{name}, of user {user_of(pid)}" if is_hidden(pid) else name


def _others_only_read(holders: Mapping[int, bool]) -> bool:
    others = [writes for pid, writes in holders.items() if pid != os.getpid()]
    return bool(others) and not any(others)


def _holders(main: Path) -> Mapping[int, bool]:
    """The processes that have a file open, and whether they may write to it, or do."""
    try:
        identity = _identity(main.stat())
    except FileNotFoundError:
        return {}
    holders = dict(lock_holders(main))
    for pid in all_processes():
        for writable in _openings(pid, identity):
            holders[pid] = holders.get(pid, False) or writable
    return holders


def _openings(pid: int, identity: tuple[int, int]) -> Iterator[bool]:
    """For each time that a process has a file open, whether it may write to it: so say the rights of the link to it.

    Skips what is closed meanwhile or may not be seen by this user.
    """
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                if _identity(descriptor.stat()) == identity:
                    yield bool(descriptor.stat(follow_symlinks=False).st_mode & stat.S_IWUSR)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
