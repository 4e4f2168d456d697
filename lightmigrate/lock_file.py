"""A lock file that only the process holds that locked it: neither its copy in a forked child, nor after it is closed.

On Linux and macOS a forked child inherits open files, and with them their locks: one that is closed, or whose process
has died, would stay locked as long as any child lives that was forked meanwhile (a server that loads the application
before it forks its workers).
"""

from __future__ import annotations

import contextlib
import io
import os
import weakref
from pathlib import Path

from lightmigrate.system import unlock


class LockFile(io.FileIO):
    """An open file to be locked by `system.lock`. Closing it unlocks it; a forked child has it closed.

    Args:
        path: of the file.
        mode: as of `open`, of bytes: `a+b` creates it when missing.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self._process = os.getpid()
        _open.add(self)  # before it is open: another thread may fork at any moment
        super().__init__(path, mode)

    def close(self) -> None:
        """Unlock it, if this process opened it, and close it."""
        if not self.closed and os.getpid() == self._process:
            with contextlib.suppress(OSError):  # the system unlocks it all the same
                unlock(self)
        super().close()


_open: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _close_inherited() -> None:
    for file in set(_open):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
