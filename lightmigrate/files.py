"""Writing files so that a crash leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside `path`; when the block ends well it is flushed to disk and renamed over `path`.

    When the block fails, `path` is as it was and the file beside it is gone.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            aside.chmod(path.stat().st_mode & 0o777)
        aside.replace(path)
        sync_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which is made when it is not there; waits for whoever holds it."""
    with path.open("ab") as file:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(path: Path) -> IO[bytes] | None:
    """Lock a file, made when it is not there, until what comes back is closed; `None` when somebody else holds it.

    The system lets go of it when the process ends, however it ends.
    """
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Keep out whoever wants to hold the lock file `path`, which need not exist; waits for whoever holds it.

    Several may share it. Writes nothing.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            file = stack.enter_context(path.open("rb"))
            _wait_for_share(file)
        yield


def _wait_for_share(file: BinaryIO) -> None:
    if sys.platform == "win32":
        while True:
            with contextlib.suppress(OSError):  # after ten seconds
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                return
    fcntl.flock(file, fcntl.LOCK_SH)


def wait_for(path: Path) -> None:
    """Wait until nobody holds the lock file `path`, which need not exist. Writes nothing."""
    with shared(path):
        pass


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and itself, to disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            # fsync needs a writable descriptor on Windows only; elsewhere read-only files are flushed too
            descriptor = os.open(Path(parent, name), os.O_RDWR if os.name == "nt" else os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(parent))


def copy_tree(
    source: Path, target: Path, copied: Callable[[int], None], belongs: Callable[[Path], bool] = lambda entry: True
) -> None:
    """Copy a folder with modes and times; `copied` hears the bytes of every file.

    `target` must not exist. Symbolic links are copied as links. Of the folder's own entries only those that
    `belongs` accepts are copied.
    """

    def copy_file(one: str, other: str) -> None:
        shutil.copy2(one, other, follow_symlinks=False)
        copied(os.lstat(other).st_size)

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if not belongs(source / name)] if Path(folder) == source else []

    shutil.copytree(source, target, symlinks=True, copy_function=copy_file, ignore=left_out)


def give_rights_of(example: Path, file: Path, folder: Path) -> None:
    """Let `folder` and all in it belong to whom `example` belongs, and be open to the same.

    Each entry gets the mode of the one that `example` has under its name; where there is none folders get that of
    `example`, files that of `file`. Owner and group stay as they are without the right to give things away.
    """
    if os.name == "nt":
        return
    owner = example.stat()
    for path in (folder, *folder.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        if not path.is_symlink():
            same = example / path.relative_to(folder)
            like = same if same.exists() else example if path.is_dir() else file
            path.chmod(stat.S_IMODE(like.stat().st_mode))


def tree_bytes(folder: Path, belongs: Callable[[Path], bool] = lambda entry: True) -> int:
    """Bytes of all files below those entries of `folder` that `belongs` accepts, as their lengths add up."""
    entries = filter(belongs, folder.iterdir())
    files = (path for entry in entries for path in ([entry] if entry.is_file() else entry.rglob("*")) if path.is_file())
    return sum(path.stat().st_size for path in files)


def user_folder() -> Path:
    """`lightmigrate` where this user keeps caches; it may not exist yet."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "lightmigrate"
