"""What the tests run in: folders in memory where the system has such, and compiled modules that are kept.

Tests kill processes, never the machine: what a dead process wrote, the system still has. So no test can tell a disk
from memory, except by its time: waiting for the disk takes most of that of a migration of sixty records.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # a place for folders with names of their own, not a file's name
_ENOUGH = 6 * 2**30  # bytes; a run on two cores fills less than one GiB, if it keeps what fails


def prepare() -> None:
    """Set the temporary folder and the cache of compiled modules of this process and of all that it starts.

    `TMPDIR` wins, if it is set.
    """
    if "TMPDIR" not in os.environ and _has_room(_SHARED_MEMORY):
        os.environ["TMPDIR"] = str(_SHARED_MEMORY)
        tempfile.tempdir = None  # or what was asked before goes on to be the answer
    # Every process that a test starts would compile the package anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _has_room(folder: Path) -> bool:
    """Whether a folder is in memory that is free, and programs may be run from it: tests install some."""
    try:
        system = os.statvfs(folder)
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return False
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
    return (
        os.access(folder, os.W_OK)
        and not system.f_flag & os.ST_NOEXEC
        and min(system.f_bavail * system.f_frsize, available) >= _ENOUGH
    )
