"""Killed before any of its file operations, an add or a remove leaves the old entry or the new one, whole.

`verify` tells what is left over, and the next add mends it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Projection, Registry
from lightmigrate.errors import LightmigrateError
from tests.databases import make_projection, make_vectors
from tests.faults import Faults, faults
from tests.registry.folders import shelf

__all__ = ["faults"]

VECTORS = make_vectors(3)
OLD, NEW, OTHER = (make_projection(seed) for seed in (0, 1, 2))


class KilledError(BaseException):
    """The process ends here: nothing of its own may be run after it."""


def full() -> BaseException:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def add_another(registry: Registry) -> None:
    registry.add(NEW, "1.npz")


def replace(registry: Registry) -> None:
    registry.add(NEW, "0.npz")


def copy_in(registry: Registry) -> None:
    registry.add_file(registry.folder.parent / "given" / "0.npz")


def list_as_it_lies(registry: Registry) -> None:
    registry.add_file(registry.folder / "1.npz")


def remove(registry: Registry) -> None:
    registry.remove("0.npz")


def answers(registry: Registry) -> dict[str, bytes]:
    """What every listed projection says: all of them load."""
    return {entry.file: registry.load(entry).apply(VECTORS).tobytes() for entry in registry.entries()}


def said(**projections: Projection) -> dict[str, bytes]:
    return {f"{name[1:]}.npz": projection.apply(VECTORS).tobytes() for name, projection in projections.items()}


@pytest.mark.parametrize(("error", "for_ever"), [(full, False), (full, True), (KilledError, True)])
@pytest.mark.parametrize(
    ("act", "after"),
    [
        (add_another, said(_0=OLD, _1=NEW)),
        (replace, said(_0=NEW)),
        (copy_in, said(_0=NEW)),
        (list_as_it_lies, said(_0=OLD, _1=NEW)),
        (remove, {}),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_the_old_one_or_the_new_one(
    act: Callable[[Registry], None], after: dict[str, bytes], error: Callable[[], BaseException], for_ever: bool,
    faults: Faults, tmp_path: Path,
) -> None:  # fmt: skip
    shelf(tmp_path / "before" / "shelf", OLD)
    (tmp_path / "before" / "given").mkdir()
    NEW.save(tmp_path / "before" / "given" / "0.npz")
    if act is list_as_it_lies:
        NEW.save(tmp_path / "before" / "shelf" / "1.npz")
    first, kept, seen = 0, 0, set()
    while True:
        first += 1
        home = Path(shutil.copytree(tmp_path / "before", tmp_path / f"{first}"))
        registry = Registry(home / "shelf")
        failed = True
        with faults.after(home, first, error, for_ever=for_ever):
            try:
                act(registry)
                failed = False
            except (LightmigrateError, KilledError, OSError) as fault:
                said_to_be_kept = str(fault).partition("; the projection to add is ")[2]
        if not faults.struck:
            break
        if failed and said_to_be_kept:
            assert Projection.load(said_to_be_kept).apply(VECTORS).tobytes() == NEW.apply(VECTORS).tobytes()
            kept += 1
        found = answers(registry)
        assert found in (said(_0=OLD), after), first
        if not failed:
            assert found == after
        problems = registry.verify()
        assert {problem.kind for problem in problems} <= {"unlisted", "unfinished", "leftover"}
        seen |= {problem.kind for problem in problems}
        # whoever adds next mends it: nothing half done stays, and what is whole can be added as it lies there
        registry.add(OTHER, "other.npz")
        assert answers(registry) == found | said(_other=OTHER)
        for problem in registry.verify():
            assert problem.kind == "unlisted"
            entry = registry.add_file(registry.folder / problem.file)
            np.testing.assert_array_equal(
                registry.load(entry).apply(VECTORS), (OLD if act is remove else NEW).apply(VECTORS)
            )
        assert registry.verify() == []
    assert first > 5
    if error is KilledError:
        exchanged = {"unfinished"} if act in (replace, copy_in) else set()
        assert seen == {"unlisted", "leftover"} | exchanged
    elif act not in (remove, list_as_it_lies):
        assert kept


def test_a_reader_between_the_steps_of_an_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads at any rename of an exchange finds the old or the new one, with an old list in hand or not."""
    registry = shelf(tmp_path, OLD)
    (entry,) = registry.entries()
    allowed, moments = (OLD.apply(VECTORS).tobytes(), NEW.apply(VECTORS).tobytes()), []
    rename = Path.replace

    def looked(self: Path, target: Path) -> Path:
        moments.append((answers(registry)["0.npz"], registry.load(entry).apply(VECTORS).tobytes()))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", looked)
    registry.add(NEW, "0.npz")
    assert len(moments) == 3
    assert all(found in allowed for pair in moments for found in pair)
    assert answers(registry)["0.npz"] == allowed[1]
