"""Files: atomic replacement, locks, copies, and checksums. What systems do differently is in `system`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

from lightmigrate.errors import DatabaseError
from lightmigrate.lock_file import LockFile
from lightmigrate.system import delete, give_rights, lock, rename, sync, sync_file, sync_folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; at the end of the block it is flushed to disk and renamed to `path`.

    When the block raises, `path` is unchanged and the temporary file is deleted.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            yield file
            sync(file)
        if path.exists():
            give_rights(aside, path.stat())
        rename(aside, path)
        sync_folder(path.parent)
    except BaseException:
        delete(aside)
        raise


def read_json(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file of ours; empty when there is no such file. Only reads.

    Raises:
        DatabaseError: the file holds something else.
    """
    try:
        fields = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise DatabaseError(f"{path} is damaged: move it away, and run this again")
    return fields


def write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Write a JSON object into a file; see `replacing`."""
    with replacing(path) as file:
        file.write(json.dumps(fields).encode())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the lock file `path`, created when missing; waits for other holders."""
    with LockFile(path, "ab") as file:
        lock(file)
        yield


def try_lock(path: Path) -> IO[bytes] | None:
    """Lock a file, created when missing, until the returned file is closed; `None` when another process holds it.

    The operating system releases the lock when the process ends for any reason, whatever children it has forked.
    """
    file = LockFile(path, "a+b")
    try:
        locked = lock(file, wait=False)
    except OSError:  # a file system without locks
        file.close()
        raise
    if not locked:
        file.close()
    return file if locked else None


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a shared lock on the lock file `path`, which may not exist; waits for an exclusive holder.

    Several processes may share it, except on Windows. Writes nothing.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            lock(stack.enter_context(LockFile(path, "rb")), shared=True)
        yield


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock file `path`, which need not exist. Writes nothing."""
    try:
        file = LockFile(path, "rb")
    except FileNotFoundError:
        return False
    with file:
        return not lock(file, shared=True, wait=False)


def wait_for(path: Path) -> None:
    """Wait until no process holds an exclusive lock on `path`, which may not exist. Writes nothing."""
    with shared(path):
        pass


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and itself, to disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(parent, name))
        sync_folder(Path(parent))


def copy_tree(
    source: Path, target: Path, copied: Callable[[int], None], belongs: Callable[[Path], bool] = lambda entry: True
) -> None:
    """Copy a folder with modes and times; `copied` is called with the bytes of every file.

    `target` must not exist. Symbolic links are copied as links. Only those entries of the folder are copied for
    which `belongs` is true.
    """

    def copy_file(one: str, other: str) -> None:
        shutil.copy2(one, other, follow_symlinks=False)
        copied(os.lstat(other).st_size)

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if not belongs(source / name)] if Path(folder) == source else []

    shutil.copytree(source, target, symlinks=True, copy_function=copy_file, ignore=left_out)


def tree_bytes(folder: Path, belongs: Callable[[Path], bool] = lambda entry: True) -> int:
    """The total length of all files below those entries of `folder` for which `belongs` is true."""
    entries = filter(belongs, folder.iterdir())
    files = (path for entry in entries for path in ([entry] if entry.is_file() else entry.rglob("*")) if path.is_file())
    return sum(path.stat().st_size for path in files)


def file_sha256(*files: Path, settings: str = "") -> str:
    """The SHA-256 of the contents of files, in this order, followed by `settings`: 64 hexadecimal digits.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    digest.update(settings.encode())
    return digest.hexdigest()


def user_folder() -> Path:
    """The folder `lightmigrate` in the user's cache folder; it may not exist yet."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "lightmigrate"
