"""Two folders change places: whatever step is the last one, the next run ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate import system
from lightmigrate.errors import LocationError
from lightmigrate.scale import workspace
from lightmigrate.scale.workspace import Workspace
from tests.cli.calls import refused, run


@contextlib.contextmanager
def _two_folders(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live/which").write_text("old")
    place = Workspace(tmp_path / "live")
    with place.locked():
        (place.home / "new-0123456789ab").mkdir()
        (place.home / "new-0123456789ab/which").write_text("new")
        yield place


@pytest.fixture
def two_folders(tmp_path: Path) -> Iterator[Workspace]:
    with _two_folders(tmp_path) as place:
        yield place


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("killed_at", range(4))
def test_an_exchange_that_is_killed_before_any_step_is_ended_by_the_next_run(
    two_folders: Workspace, monkeypatch: pytest.MonkeyPatch, atomic: bool, killed_at: int
) -> None:
    steps = 0

    def step(real: object) -> object:
        def do(*paths: Path) -> object:
            nonlocal steps
            steps += 1
            if steps == killed_at + 1:
                raise KeyboardInterrupt
            return real(*paths)  # type: ignore[operator]

        return do

    real_exchange = system.exchange_names if atomic else lambda first, second: False
    with monkeypatch.context() as patched:
        patched.setattr(workspace, "exchange_names", step(real_exchange))
        for name in ("rename", "delete"):
            patched.setattr(workspace, name, step(getattr(workspace, name)))
        try:
            two_folders.exchange(two_folders.home / "new-0123456789ab", "old-20260101_000000")
        except KeyboardInterrupt:
            pass
        else:
            assert killed_at == 3
            assert atomic
    two_folders.recover()
    assert (two_folders.live / "which").read_text() == "new"
    assert (two_folders.home / "old-20260101_000000/which").read_text() == "old"
    assert not two_folders.interrupted()
    assert two_folders.runs() == []


def test_a_folder_that_cannot_be_renamed_is_refused_unchanged(
    two_folders: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(first: Path, second: Path) -> bool:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(workspace, "exchange_names", busy)
    with pytest.raises(LocationError, match="cannot be renamed"):
        two_folders.exchange(two_folders.home / "new-0123456789ab", "old-20260101_000000")
    assert (two_folders.live / "which").read_text() == "old"
    assert not two_folders.interrupted()


def test_a_crash_between_the_two_renames_is_said_by_what_reads_and_ended_by_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed: list[Path] = []

    def one(source: Path, target: Path) -> None:
        if renamed:
            raise KeyboardInterrupt
        renamed.append(source)
        system.rename(source, target)

    with _two_folders(tmp_path) as place, monkeypatch.context() as patched:
        patched.setattr(workspace, "exchange_names", lambda first, second: False)
        patched.setattr(workspace, "rename", one)
        with pytest.raises(KeyboardInterrupt):
            place.exchange(place.home / "new-0123456789ab", "old-20260101_000000")
    assert not place.live.exists()
    assert f"lightmigrate resume {place.live}" in refused(capsys, "status", place.live)
    assert not place.live.exists(), "what only reads writes nothing"

    assert "an interrupted exchange was finished" in run(capsys, "resume", place.live)
    assert (place.live / "which").read_text() == "new"
