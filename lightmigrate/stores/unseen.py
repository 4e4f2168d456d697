"""Whether somebody has a file open whom `/proc` does not show: a process of another container, or of another user.

Linux grants a write lease on a file only while nobody else has it open, whoever that is; a container that shares the
file through a volume counts. The lease is given back at once, and nothing is written. It is granted to root and to the
owner of the file, and means something where the file system is of this machine alone: everywhere else nobody can tell.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

from lightmigrate import system

if sys.platform == "linux":
    import fcntl

Answer = Literal["free", "open", "unknown"]

# Whoever looks at a file, as this module does, has it open for less.
_SECONDS, _PAUSE = 0.2, 0.02

# Several machines may have a file of these open. The first ones refuse leases as if somebody had it open, also where
# nobody has, and those of a program of a user (`fuse.NAME`) grant them.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3")
_SHARED = (*_NETWORK, "9p", "afs", "beegfs", "ceph", "fakeowner", "fuse", "gfs2", "gpfs", "lustre", "ocfs2", "prl_fs",
           "vboxsf", "virtiofs", "vmhgfs")  # fmt: skip


def open_unseen(path: Path) -> Answer:
    """Whether another process has a file open that this one does not, and keeps it open. Only reads.

    Args:
        path: the file. This process must not have it open: its locks on it would be gone.

    Returns:
        `unknown` where it may be open or not; see `why_unknown`.
    """
    deadline = time.monotonic() + _SECONDS
    while (answer := _ask(path)) == "open" and time.monotonic() <= deadline:
        time.sleep(_PAUSE)
    return answer


def why_unknown(path: Path) -> str | None:
    """Why nobody can tell here whether somebody has a file open, in a few words; `None` where it is known. Only reads.

    Args:
        path: as for `open_unseen`.
    """
    if system.NAME == "win32" or _ask(path) != "unknown":  # Windows refuses to rename what somebody has open
        return None
    if system.NAME != "linux":
        return "this system does not tell"
    if _is_shared(kind := _file_system(path)):
        return f"a {kind} file system does not tell"
    with contextlib.suppress(OSError):
        if (owner := path.stat().st_uid) != os.geteuid():
            return f"only root and their owner, user {system.user_name(owner)}, can tell"
    return "their file system does not tell"


def _ask(path: Path) -> Answer:
    """Take a lease and give it back."""
    if sys.platform != "linux" or system.NAME != "linux":
        return "unknown"
    kind = _file_system(path)
    try:
        _lease(path)
    except FileNotFoundError:
        return "free"
    except OSError as error:
        return "open" if error.errno == errno.EAGAIN and kind not in _NETWORK else "unknown"
    return "unknown" if _is_shared(kind) else "free"


if sys.platform == "linux":

    def _lease(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # who opens the file meanwhile waits, and a signal says so; by default that one would end this process
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        finally:
            os.close(descriptor)


def _is_shared(kind: str) -> bool:
    return kind.partition(".")[0] in _SHARED


def _file_system(path: Path) -> str:
    """The kind of file system that a file is on, as `ext4` or `fuse.sshfs`; empty where Linux does not say."""
    try:
        device = path.stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}".encode()
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            mount, _, source = line.partition(b" - ")
            if mount.split()[2] == number:
                return source.split()[0].decode(errors="replace")
    except OSError:
        pass
    return ""
