"""Whether somebody has a file open whom `/proc` does not show: a process of another container, or of another user.

Linux grants a write lease on a file only while nobody else has it open, whoever that is; a container that shares the
file through a volume counts. The lease is given back at once, and nothing is written.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path

if sys.platform == "linux":
    import fcntl


# Whoever looks at a file, as this module does, has it open for less.
_SECONDS, _PAUSE = 0.2, 0.02


def open_unseen(path: Path) -> bool:
    """Whether another process has a file open that this one does not, and keeps it open. Only reads.

    `False` also where that cannot be known: the file belongs to another user, or its file system grants no leases, as a
    network one or one that a virtual machine shares.

    Args:
        path: the file. This process must not have it open: its locks on it would be gone.
    """
    if sys.platform != "linux":
        return False
    deadline = time.monotonic() + _SECONDS
    while not _lease(path):
        if time.monotonic() > deadline:
            return True
        time.sleep(_PAUSE)
    return False


def _lease(path: Path) -> bool:
    """Take a lease and give it back; `False` where somebody else has the file open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        # who opens the file meanwhile waits, and a signal says so; by default that one would end this process
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno != errno.EAGAIN
    finally:
        os.close(descriptor)
    return True
