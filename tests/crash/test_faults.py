"""Every operation of a migration and of a rollback fails, one after the other: nothing is lost, and the next run ends.

`make crash` fails every one of them; the normal run a part. In half of the cases records are read from the files, as
those of collections of more than a thousand are, in the other half through Chroma.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma import from_files, remembered
from lightmigrate.stores.chroma.from_files import ChromaRecordsInFiles
from tests.crash.places import everything, is_new, place, seen_by_a_reader
from tests.databases import ADDRESSES, contents
from tests.faults import EVERY_OPERATION, Faults, faults
from tests.indexed import INDEXED, make_indexed

__all__ = ["faults", "place"]

NAMES = ("thought_nodes", "notes")
# From one operation that fails to the next: all over a migration, then closer before its end, where the exchange is.
STRIDE, FINE = (1, 1) if EVERY_OPERATION else (90, 28)
ROLLBACK_STRIDE = 1 if EVERY_OPERATION else 4


class KilledError(BaseException):
    """The process ends here: nothing of the migration's own may be run after it."""


def broken() -> BaseException:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def full() -> BaseException:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def migrate(database: Path, projection: Projection) -> None:
    ChromaMigrator(database, page_size=25).migrate([CollectionJob(name, projection) for name in NAMES])


Addresses: TypeAlias = tuple[tuple[str, str, str], ...]
Case: TypeAlias = tuple[str, str, Callable[[], BaseException], bool]

# Where the process dies at once, nothing of it helps: that in both places; one of the others in each.
MIGRATIONS: list[Case] = [
    ("beside", "files", broken, False),
    ("beside", "Chroma", KilledError, True),
    ("inside", "Chroma", full, True),
    ("inside", "files", KilledError, True),
]
ROLLBACKS: list[Case] = [
    ("beside", "files", broken, False),
    ("inside", "Chroma", KilledError, True),
]
if EVERY_OPERATION:
    MIGRATIONS += [("beside", "files", full, True), ("inside", "Chroma", broken, False)]
    ROLLBACKS += [("beside", "Chroma", KilledError, True), ("inside", "files", broken, False)]


@pytest.fixture(scope="session")
def _indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_indexed(tmp_path_factory.mktemp("indexed") / "chroma_data")


@pytest.fixture
def stored(
    request: pytest.FixtureRequest, database: Path, _indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Addresses]]:
    """A database whose records are read through Chroma, or one with indexes on the disk, read from its files."""
    scans: list[Address] = []
    scan = ChromaRecordsInFiles.scan

    def counted(self: ChromaRecordsInFiles, *arguments: Any, **options: Any) -> Any:
        scans.append(self.collection.address)
        return scan(self, *arguments, **options)

    monkeypatch.setattr(ChromaRecordsInFiles, "scan", counted)
    if request.param == "files":
        monkeypatch.setattr(from_files, "SAMPLED", 20)
        monkeypatch.setattr(remembered, "MOST_RECORDS", 20)
        yield Path(shutil.copytree(_indexed, tmp_path / "indexed" / "chroma_data")), INDEXED
    else:
        yield database, ADDRESSES
    assert bool(scans) == (request.param == "files")


@pytest.mark.parametrize(("place", "stored", "error", "for_ever"), MIGRATIONS, indirect=["place", "stored"])
def test_a_migration(
    place: str, stored: tuple[Path, Addresses], error: Callable[[], BaseException], for_ever: bool, faults: Faults,
    projection: Projection, tmp_path: Path,
) -> None:  # fmt: skip
    database, addresses = stored
    old, before = contents(database, addresses), everything(database.parent)["chroma_data"]
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
        state = seen_by_a_reader(live, old, projection, addresses)
        migrator = ChromaMigrator(live)
        migrator.recover()
        assert before in everything(home).values(), "the old database, byte for byte"
        assert (everything(home)["chroma_data"] == before) == (state == "old")
        resumed.append(migrator.interrupted)
        if state == "old":
            assert failed
            migrate(live, projection)
        assert is_new(contents(live, addresses), old, projection)
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


@pytest.mark.parametrize(("place", "stored", "error", "for_ever"), ROLLBACKS, indirect=["place", "stored"])
def test_a_rollback(
    place: str, stored: tuple[Path, Addresses], error: Callable[[], BaseException], for_ever: bool, faults: Faults,
    projection: Projection, tmp_path: Path,
) -> None:  # fmt: skip
    database, _ = stored
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
