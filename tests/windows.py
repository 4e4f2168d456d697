"""Windows, as far as it can be had on Linux: its locks, and files that nobody renames or deletes while they are open.

Linux lets a process rename and delete what anybody has open. Here it does not: what `/proc` says to be open or mapped
is refused, as on Windows. Locks are those that belong to an open file and not to its process, as on Windows.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import system

# `struct flock`: type, whence, start, length, process.
_FLOCK = struct.Struct("@hhqqi")


class Locks:
    """`msvcrt`, as far as it is used."""

    LK_LOCK, LK_NBLCK = 1, 2

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        """Lock bytes from where the file stands; `LK_LOCK` tries ten times, here without a pause of a second."""
        reads = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        kind = fcntl.F_RDLCK if reads else fcntl.F_WRLCK  # Windows locks whatever is open, Linux what can be written
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        for left in reversed(range(10 if mode == self.LK_LOCK else 1)):
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, size, 0))
            except OSError:
                if not left:
                    code = errno.EDEADLK if mode == self.LK_LOCK else errno.EACCES
                    raise OSError(code, os.strerror(code)) from None
            else:
                return


def open_paths() -> Iterator[str]:
    """The files that this process has open or mapped."""
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        try:
            yield str(descriptor.readlink())
        except OSError:  # closed meanwhile
            continue
    for line in Path("/proc/self/maps").read_text().splitlines():
        if len(fields := line.split(maxsplit=5)) == 6:
            yield fields[5]


def is_open(path: object) -> bool:
    """Whether a file, or one below a folder, is open."""
    real = os.path.realpath(os.fspath(path))  # type: ignore[call-overload]
    return any(each == real or each.startswith(f"{real}/") for each in open_paths())


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this system one of Windows, for lightmigrate."""

    def refused(function: Callable[..., Any], count: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if any(is_open(path) for path in arguments[:count]):
                raise PermissionError(errno.EACCES, "it is being used by another process", str(arguments[0]))
            return function(*arguments, **options)

        return call

    for name, count in (("replace", 2), ("rename", 2), ("unlink", 1), ("remove", 1)):
        monkeypatch.setattr(os, name, refused(getattr(os, name), count))
    monkeypatch.setattr(shutil, "_use_fd_functions", False)
    monkeypatch.setattr(system, "NAME", "win32")
    monkeypatch.setattr(system, "_windows", Locks())
