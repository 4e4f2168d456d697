"""Work as another user, and folders in which one may work: a test's own folder lets nobody else in."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away, and becomes another user")

# Users and groups that no system knows.
DEPLOY, APP, SHARED = 12345, 12346, 54321


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter and write to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextlib.contextmanager
def as_user(user: int, groups: Sequence[int] = ()) -> Iterator[None]:
    """Go on as a user, whose own group has the same number, and who is in more groups; root again at the end."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def give_all(folder: Path, user: int, group: int, folders: int, files: int) -> None:
    """Give a folder and all below it an owner, a group and modes."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group)
        path.chmod(folders if path.is_dir() else files)
