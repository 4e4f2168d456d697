"""Two folders change places: whatever step is the last one, the next run ends it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate import system
from lightmigrate.errors import DatabaseError, LocationError
from lightmigrate.scale import workspace
from lightmigrate.scale.workspace import Workspace, states_in
from tests.cli.calls import refused, run


@contextlib.contextmanager
def _two_folders(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live/which").write_text("old")
    place = Workspace(tmp_path / "live")
    with place.locked():
        (place.home / "new-0123456789ab").mkdir()
        (place.home / "new-0123456789ab/which").write_text("new")
        (place.home / "new-0123456789ab" / workspace.MARK).write_text(json.dumps({"run": "0123456789ab"}))
        yield place


def _exchange(place: Workspace) -> None:
    place.exchange(place.home / "new-0123456789ab", "old-20260101_000000", states_in(place.live))


def _killed_in(name: str, place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that is killed when it begins a step."""

    def killed(*_paths: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(workspace, name, killed)
        with pytest.raises(KeyboardInterrupt):
            _exchange(place)
    assert place.interrupted()


@pytest.fixture
def two_folders(tmp_path: Path) -> Iterator[Workspace]:
    with _two_folders(tmp_path) as place:
        yield place


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("killed_at", range(5))
def test_an_exchange_that_is_killed_is_undone_if_it_had_not_begun_and_ended_by_the_next_run_if_it_had(
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
            _exchange(two_folders)
        except KeyboardInterrupt:
            pass
        else:
            assert killed_at == 4
            assert atomic
    undone = killed_at == 0 or (killed_at == 1 and not atomic)
    if undone:
        (two_folders.live / "which").write_text("written since")
    two_folders.recover()
    assert not two_folders.interrupted()
    if undone:
        assert (two_folders.live / "which").read_text() == "written since"
        assert two_folders.runs() == ["0123456789ab"]
        assert two_folders.backups() == []
    else:
        assert (two_folders.live / "which").read_text() == "new"
        assert (two_folders.home / "old-20260101_000000/which").read_text() == "old"
        assert two_folders.runs() == []


def test_a_folder_that_cannot_be_renamed_is_refused_unchanged(
    two_folders: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(first: Path, second: Path) -> bool:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(workspace, "exchange_names", busy)
    with pytest.raises(LocationError, match="cannot be renamed"):
        _exchange(two_folders)
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
            _exchange(place)
    assert not place.live.exists()
    assert f"lightmigrate resume {place.live}" in refused(capsys, "status", place.live)
    assert not place.live.exists(), "what only reads writes nothing"

    assert "an interrupted exchange was finished" in run(capsys, "resume", place.live)
    assert (place.live / "which").read_text() == "new"


def test_an_exchange_that_had_not_begun_is_undone_by_resume_which_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _two_folders(tmp_path) as place:
        _killed_in("exchange_names", place, monkeypatch)
    (place.live / "which").write_text("written since")
    assert "was undone, as it had not begun" in run(capsys, "resume", place.live)
    assert (place.live / "which").read_text() == "written since"
    assert not place.interrupted()


@pytest.mark.parametrize("begun", [True, False])
def test_which_of_two_folders_is_in_place_is_known_after_both_were_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    with _two_folders(tmp_path) as place:
        _killed_in("rename" if begun else "exchange_names", place, monkeypatch)
    copied = tmp_path / "copied"
    copied.mkdir()
    for folder in (place.live, place.home):
        shutil.copytree(folder, copied / folder.name)
    again = Workspace(copied / "live")
    again.recover()
    assert (again.live / "which").read_text() == ("new" if begun else "old")
    if begun:
        assert [(backup / "which").read_text() for backup in again.backups()] == ["old"]
    assert again.runs() == ([] if begun else ["0123456789ab"])


def test_a_folder_that_somebody_made_between_the_two_renames_is_not_taken_for_the_old_one(
    two_folders: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(source: Path, target: Path) -> None:
        system.rename(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(workspace, "exchange_names", lambda first, second: False)
        patched.setattr(workspace, "rename", first)
        with pytest.raises(KeyboardInterrupt):
            _exchange(two_folders)
    two_folders.live.mkdir()
    (two_folders.live / "which").write_text("of somebody")
    with pytest.raises(DatabaseError, match=f"mv {two_folders.live} {two_folders.live}-since"):
        two_folders.recover()
    two_folders.live.rename(two_folders.live.with_name("live-since"))
    two_folders.recover()
    assert (two_folders.live / "which").read_text() == "new"
    assert (two_folders.home / "old-20260101_000000/which").read_text() == "old"


def test_what_was_written_just_before_an_exchange_that_was_killed_is_said_by_the_next_run(
    two_folders: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _killed_in("rename", two_folders, monkeypatch)
    (two_folders.home / "new-0123456789ab/late").write_text("by somebody who had the folder open")
    two_folders.recover()
    assert "1 files were written to in the last moment" in caplog.text
    assert two_folders.written_since(two_folders.home / "old-20260101_000000") == {"late"}
