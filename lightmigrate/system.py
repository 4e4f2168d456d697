"""What Linux, macOS and Windows do differently with files: locks, exchange, flushing, owners, files in use.

Nothing else in the package asks which system it runs on, except for what only one system can tell at all
(`stores.users.users_of`). Tests run the other branches on Linux: without the system's exchange of names, with the
locks of Windows, and with files that cannot be renamed because somebody has them open.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

# Names of the systems that are told apart: `linux`, `darwin`, `win32`. Tests set it.
NAME = sys.platform

# The modules of Python that only one kind of system has.
_unix: Any = importlib.import_module("fcntl") if sys.platform != "win32" else None
_windows: Any = importlib.import_module("msvcrt") if sys.platform == "win32" else None
_accounts: Any = importlib.import_module("pwd") if sys.platform != "win32" else None

_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
_AT_FDCWD = -100
_NOT_POSSIBLE_HERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}

# Windows refuses to rename or delete a file that anybody has open. Scanners of viruses and indexers open every new file
# for a moment, as does whoever reads a small file, so it is tried again for so long.
SECONDS_IN_USE, _PAUSE = 2.0, 0.01

# Bytes that are written to a file before they are flushed while more is written.
_FLUSHED_AHEAD = 32 * 2**20

# Files in which Linux tells the processor time of a container in a period, by its two kinds of control groups: a word
# or -1 where there is no limit.
_QUOTAS = (("/sys/fs/cgroup/cpu.max",), ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"))

# Where a system cannot read from a place in a file without moving there first.
_seeking = threading.Lock()


class FileInUseError(PermissionError):
    """Somebody has the file open, on a system that then neither renames nor deletes it."""


def lock(file: IO[bytes], *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file until it is closed, which the system does when the process ends for any reason.

    Args:
        file: open for reading or writing, not yet locked; a `LockFile`, so that no forked child holds it, too.
        shared: several may hold it so at once, and nobody exclusively. Windows has no such locks for a C library's
            files: there it is exclusive.
        wait: until it is free, however long that takes.

    Returns:
        Whether it is locked; always, when it waits.
    """
    if NAME != "win32":
        how = _unix.LOCK_SH if shared else _unix.LOCK_EX
        return _is_free(lambda: _unix.flock(file, how if wait else how | _unix.LOCK_NB))
    file.seek(0)  # it locks from where it stands
    if not wait:
        return _is_free(lambda: _windows.locking(file.fileno(), _windows.LK_NBLCK, 1))
    while not _is_free(lambda: _windows.locking(file.fileno(), _windows.LK_LOCK, 1)):
        pass  # it gives up after ten seconds
    return True


def unlock(file: IO[bytes]) -> None:
    """Unlock an open file, for everybody who has inherited it. Windows does that when it is closed."""
    if NAME != "win32":
        _unix.flock(file, _unix.LOCK_UN)


def _is_free(lock: Callable[[], object]) -> bool:
    try:
        lock()
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def exchange_names(first: Path, second: Path) -> bool:
    """Exchange two names atomically; `False`, and nothing done, where the system has no such call."""
    failed = _exchange(os.fsencode(first), os.fsencode(second))
    if failed is None:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _NOT_POSSIBLE_HERE:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


def _exchange(first: bytes, second: bytes) -> int | None:
    """The system's call: 0 when it succeeded; `None` where there is none, as on Windows."""
    if NAME == "win32":
        return None
    library: Any = ctypes.CDLL(None, use_errno=True)
    if NAME == "darwin" and hasattr(library, "renamex_np"):
        return int(library.renamex_np(first, second, _EXCHANGE))
    if hasattr(library, "renameat2"):
        return int(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _EXCHANGE))
    return None


def rename(source: Path, target: Path) -> None:
    """Rename a file or a folder; a file of that name is replaced, in one step.

    Raises:
        FileInUseError: on Windows, somebody has it open, or the file that it would replace.
    """
    _unless_in_use(lambda: source.replace(target))


def delete(file: Path) -> None:
    """Delete a file that need not exist.

    Raises:
        FileInUseError: on Windows, somebody has it open.
    """
    _unless_in_use(lambda: file.unlink(missing_ok=True))


def delete_folder(folder: Path) -> None:
    """Delete a folder that exists, and what is in it.

    Raises:
        FileInUseError: on Windows, somebody has something in it open; some of it is deleted.
    """
    _unless_in_use(lambda: shutil.rmtree(folder))


def second_name(file: Path, name: Path) -> None:
    """Give a file a second name; where the file system has no links, a copy, flushed to the disk. Deletes what has it.

    Raises:
        FileInUseError: on Windows, somebody has open what has the name.
    """
    delete(name)
    try:
        os.link(file, name)
    except OSError:
        shutil.copy2(file, name)
        sync_file(name)


def _unless_in_use(operation: Callable[[], object]) -> None:
    """Do it; on Windows again for a while, where the file is in use."""
    deadline = time.monotonic() + (SECONDS_IN_USE if NAME == "win32" else 0.0)
    while True:
        try:
            operation()
        except PermissionError as error:
            if NAME != "win32":
                raise
            if time.monotonic() >= deadline:
                raise FileInUseError(error.errno, error.strerror, error.filename) from error
            time.sleep(_PAUSE)
        else:
            return


def sync(file: IO[bytes]) -> None:
    """Flush what was written to an open file to the disk."""
    file.flush()
    _sync(file.fileno())


def sync_file(path: Path) -> None:
    """Flush a file that is closed to the disk, read-only files, too, where the system can."""
    if NAME == "win32" and not os.access(path, os.W_OK):
        return  # there only a descriptor that may write can be flushed
    descriptor = os.open(path, os.O_RDWR if NAME == "win32" else os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush renames inside `folder` to the disk, where the system can: not on Windows, whose file system journals."""
    if NAME == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    # macOS leaves what fsync writes in the memory of the disk, unless it is asked for more.
    if NAME == "darwin" and (flush := getattr(_unix, "F_FULLFSYNC", None)) is not None:
        with contextlib.suppress(OSError):  # a file system that cannot
            _unix.fcntl(descriptor, flush)
            return
    os.fsync(descriptor)


class FlushedAhead:
    """Flushes an open file to the disk while more is written to it, so that the flush at the end finds little left.

    Does nothing where the system cannot flush content alone.

    Args:
        descriptor: of the file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._bytes = descriptor, 0
        self._flush: Callable[[int], None] | None = getattr(os, "fdatasync", None)
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def add(self, size: int) -> None:
        """Say that so many bytes more were written.

        Raises:
            OSError: an earlier flush failed; a later one would not say so again.
        """
        self._bytes += size
        if self._bytes < _FLUSHED_AHEAD or self._flush is None:
            return
        if self._running is not None:
            if not self._running.done():
                return
            self._running.result()
        self._pool = self._pool or ThreadPoolExecutor(1)
        self._running, self._bytes = self._pool.submit(self._flush, self._descriptor), 0

    def close(self) -> None:
        """Wait for the flush that runs; `OSError` if it fails."""
        if self._pool is not None:
            self._pool.shutdown()
        if self._running is not None:
            self._running.result()


def read_at(descriptor: int, size: int, start: int) -> bytes:
    """At most `size` bytes from a place in an open file; fewer only at its end, or where the system likes."""
    if NAME != "win32":
        return os.pread(descriptor, size, start)
    with _seeking:
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, size)


def give_rights(path: Path, like: os.stat_result) -> None:
    """Give an entry the owner, the group and the mode of another one, as far as this process may.

    Without root it keeps its owner, and gets the group where this user is in that. Does nothing on Windows, where an
    entry inherits the rights of its folder.
    """
    if NAME == "win32":
        return
    now = path.lstat()
    if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
        _give_to(path, like.st_uid, like.st_gid) or _give_to(path, -1, like.st_gid)
    if not path.is_symlink():
        path.chmod(stat.S_IMODE(like.st_mode))  # after that: another owner takes bits away


def _give_to(path: Path, owner: int, group: int) -> bool:
    """Change owner and group; `False` where this process may not, or the file system has none."""
    try:
        os.chown(path, owner, group, follow_symlinks=False)
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES, *_NOT_POSSIBLE_HERE}:
            return False
        raise
    return True


def user_name(user: int) -> str:
    """The name of a user; its number where nobody knows it, as in a container."""
    try:
        return str(_accounts.getpwuid(user).pw_name)
    except (KeyError, AttributeError):
        return str(user)


def is_member(user: int, group: int) -> bool:
    """Whether a user is known to be in a group."""
    try:
        entry = _accounts.getpwuid(user)
        return group in os.getgrouplist(entry.pw_name, entry.pw_gid)
    except (KeyError, AttributeError):
        return False


def cores() -> int:
    """How many cores this process may use: those of its machine, or as many as its container has the time of."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in _QUOTAS:
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = " ".join(Path(file).read_text() for file in files).split()
            if int(quota) > 0:
                return max(1, min(allowed, -(-int(quota) // int(period))))
    return allowed


def return_memory() -> None:
    """Give freed memory back to the system: the C library of Linux keeps most of what many small blocks held."""
    if NAME == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
