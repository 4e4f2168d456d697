"""Every operation of a migration and of a rollback fails, one after the other: nothing is lost, and the next run ends.

`make crash` fails every one of them; the normal run a part.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import LightmigrateError
from tests.crash.places import everything, is_new, place, seen_by_a_reader
from tests.databases import contents
from tests.faults import EVERY_OPERATION, Faults, faults

__all__ = ["faults", "place"]

NAMES = ("thought_nodes", "notes")
# From one operation that fails to the next: all over a migration, then closer before its end, where the exchange is.
STRIDE, FINE = (1, 1) if EVERY_OPERATION else (240, 48)
ROLLBACK_STRIDE = 1 if EVERY_OPERATION else 4


class KilledError(BaseException):
    """The process ends here: nothing of the migration's own may be run after it."""


def broken() -> BaseException:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def full() -> BaseException:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def migrate(database: Path, projection: Projection) -> None:
    ChromaMigrator(database, page_size=25).migrate([CollectionJob(name, projection) for name in NAMES])


Case: TypeAlias = tuple[str, Callable[[], BaseException], bool]

# Where the process dies at once, nothing of it helps: that in both places; one of the others in each.
MIGRATIONS: list[Case] = [
    ("beside", broken, False),
    ("beside", KilledError, True),
    ("inside", full, True),
    ("inside", KilledError, True),
]
ROLLBACKS: list[Case] = [
    ("beside", broken, False),
    ("inside", KilledError, True),
]
if EVERY_OPERATION:
    MIGRATIONS += [("beside", full, True), ("inside", broken, False)]
    ROLLBACKS += [("beside", KilledError, True), ("inside", broken, False)]


@pytest.mark.parametrize(("place", "error", "for_ever"), MIGRATIONS, indirect=["place"])
def test_a_migration(
    place: str, error: Callable[[], BaseException], for_ever: bool, faults: Faults, database: Path,
    projection: Projection, tmp_path: Path,
) -> None:  # fmt: skip
    old, before = contents(database), everything(database.parent)["chroma_data"]
    resumed: list[bool] = []

    def strikes(number: int) -> bool:
        """Whether there is such an operation: it fails, and what must be true is."""
        home = Path(shutil.copytree(database.parent, tmp_path / f"{number}" / "home"))
        live = home / "chroma_data"
        failed = True
        with faults.after(home, number, error, for_ever=for_ever):
            try:
                migrate(live, projection)
                failed = False
            except (LightmigrateError, OSError, KilledError):
                pass
        if not faults.struck:
            return False
        state = seen_by_a_reader(live, old, projection)
        migrator = ChromaMigrator(live)
        migrator.recover()
        assert before in everything(home).values(), "the old database, byte for byte"
        assert (everything(home)["chroma_data"] == before) == (state == "old")
        resumed.append(migrator.interrupted)
        if state == "old":
            assert failed
            migrate(live, projection)
        assert is_new(contents(live), old, projection)
        assert len(ChromaMigrator(live).backups()) == 1
        assert not (live.parent / ".chroma_data.lightmigrate").exists()
        assert not (live / ".lightmigrate").exists()
        migrator.rollback()
        assert everything(home)["chroma_data"] == before
        shutil.rmtree(home.parent)
        return True

    first = 1
    while strikes(first):
        first += STRIDE
    assert first > 60, "the shim saw hardly anything"
    for number in range(first - STRIDE + FINE, first, FINE):
        strikes(number)
    assert any(resumed), "no interrupted build was ever taken up"


@pytest.mark.parametrize(("place", "error", "for_ever"), ROLLBACKS, indirect=["place"])
def test_a_rollback(
    place: str, error: Callable[[], BaseException], for_ever: bool, faults: Faults, database: Path,
    projection: Projection, tmp_path: Path,
) -> None:  # fmt: skip
    before = everything(database.parent)["chroma_data"]
    migrate(database, projection)
    after = everything(database.parent)["chroma_data"]
    first = 1
    while True:
        home = Path(shutil.copytree(database.parent, tmp_path / f"{first}" / "home"))
        live = home / "chroma_data"
        struck = faults.after(home, first, error, for_ever=for_ever)
        with struck, contextlib.suppress(LightmigrateError, OSError, KilledError):
            ChromaMigrator(live).rollback()
        if not faults.struck:
            break
        migrator = ChromaMigrator(live)
        migrator.recover()
        found = everything(home)
        assert sorted(found.values()) == sorted([before, after]), "both, byte for byte, and nothing else"
        if found["chroma_data"] == after:
            migrator.rollback()
        assert everything(home)["chroma_data"] == before
        shutil.rmtree(home.parent)
        first += ROLLBACK_STRIDE
    assert first > 20
