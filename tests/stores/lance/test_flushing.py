"""What a power failure may take: everything an exchange needs is flushed before the commit, and before the rest goes.

The calls that flush are the real ones; what they were called for is noted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lance
import pytest
from lancedb.index import IvfFlat

from lightmigrate import Migrator
from lightmigrate.stores.lance.staged import Staged
from lightmigrate.stores.lance.table import Table
from tests.databases import make_projection
from tests.stores.lance.folders import workspace

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="tells which file a descriptor is of")


class Flushed:
    """The files that are on the disk as they are now, as far as they were flushed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._states: dict[Path, tuple[int, int]] = {}
        real = os.fsync

        def fsync(descriptor: int) -> None:
            real(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            self._states[path] = _state(path)

        monkeypatch.setattr(os, "fsync", fsync)

    def missing(self, files: set[Path]) -> set[str]:
        """Names of those that are not, or whose folder is not."""
        return {file.name for file in files if any(self._states.get(path) != _state(path) for path in _both(file))}


def _both(file: Path) -> tuple[Path, Path]:
    return file, file.parent


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def files_of(table: Path) -> set[Path]:
    return {path for path in table.rglob("*") if path.is_file()}


def test_an_exchange_is_on_the_disk_before_the_commit_and_before_the_new_vectors_are_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = workspace(tmp_path, 300)
    table.add(workspace(tmp_path / "other", 40).to_arrow().slice(0, 0))
    table.create_index("vector", config=IvfFlat(distance_type="l2", num_partitions=2))
    folder = tmp_path / "docs.lance"
    before, flushed = files_of(folder), Flushed(monkeypatch)
    commit, discard = Table.commit, Staged.discard
    at_commit, at_discard = list[set[str]](), list[set[str]]()

    def committing(self: Table, operation: Any, version: int, message: str) -> Any:
        written = files_of(folder) - before
        assert any(file.parent.name == "data" for file in written)
        at_commit.append(flushed.missing(written))
        return commit(self, operation, version, message)

    def discarding(self: Staged) -> None:
        at_discard.append(flushed.missing(files_of(folder) - before))
        discard(self)

    monkeypatch.setattr(Table, "commit", committing)
    monkeypatch.setattr(Staged, "discard", discarding)
    Migrator(tmp_path).migrate_collection("docs", make_projection())
    assert (at_commit, at_discard) == ([set()], [set()])
    assert lance.dataset(folder).version > 3


def test_a_restored_version_is_on_the_disk_before_the_other_branches_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace(tmp_path, 60)
    Migrator(tmp_path).migrate_collection("docs", make_projection())
    folder = tmp_path / "docs.lance"
    before, flushed, release = files_of(folder), Flushed(monkeypatch), Table.release
    at_release = list[set[str]]()

    def releasing(self: Table, name: str) -> None:
        if not at_release:
            at_release.append(flushed.missing(files_of(folder) - before))
        release(self, name)

    monkeypatch.setattr(Table, "release", releasing)
    Migrator(tmp_path).rollback()
    assert at_release == [set()]
