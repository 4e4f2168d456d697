"""Saving leaves the previous file or the new one, whatever happens, and nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Projection
from lightmigrate.files import replacing
from tests.projection.strategies import affine, assert_equal


def test_save_replaces_the_previous_file(tmp_path: Path) -> None:
    path = affine(4, 3).save(tmp_path / "p.npz")
    newer = affine(4, 3, seed=1)
    newer.save(path)
    assert_equal(Projection.load(path), newer)
    assert [found.name for found in tmp_path.iterdir()] == ["p.npz"]


def write_half(path: Path, error: BaseException) -> None:
    with replacing(path) as file:
        file.write(b"half of a new file")
        raise error


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_interrupted_writing_leaves_the_previous_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = affine(4, 3).save(tmp_path / "p.npz")
    previous = path.read_bytes()
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_bytes() == previous
    assert [found.name for found in tmp_path.iterdir()] == ["p.npz"]


def test_interrupted_first_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "p.npz", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_interrupted_save_leaves_the_previous_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = affine(4, 3)
    path = original.save(tmp_path / "p.npz")

    def half(file: Any, **arrays: Any) -> None:
        file.write(b"half of a new file")
        raise OSError("disk full")

    with monkeypatch.context() as failing:
        failing.setattr(np, "savez", half)
        with pytest.raises(OSError, match="disk full"):
            affine(4, 3, seed=1).save(path)
    assert_equal(Projection.load(path), original)
    assert [found.name for found in tmp_path.iterdir()] == ["p.npz"]


def test_save_that_cannot_be_renamed_leaves_nothing_aside(tmp_path: Path) -> None:
    occupied = tmp_path / "p.npz"
    (occupied / "inside").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011  # each system words it differently
        affine(4, 3).save(occupied)
    assert [found.name for found in tmp_path.iterdir()] == ["p.npz"]
    assert (occupied / "inside").is_dir()


def test_facts_that_are_not_json_leave_the_previous_file(tmp_path: Path) -> None:
    original = affine(4, 3)
    path = original.save(tmp_path / "p.npz")
    with pytest.raises(TypeError):
        original.with_facts(training={"when": object()}).save(path)
    assert_equal(Projection.load(path), original)
    assert [found.name for found in tmp_path.iterdir()] == ["p.npz"]
