"""An index that a process was killed in the middle of writing is begun anew, without a word from whoever runs again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.folder import read_catalog, reading
from lightmigrate.stores.chroma.hnsw import HnswFiles, HnswHeader
from lightmigrate.stores.chroma.indexes import segment_of
from lightmigrate.stores.chroma.taking_up import is_whole
from lightmigrate.stores.files import IndexRoute
from tests.crash.places import is_new
from tests.databases import contents, make_projection
from tests.indexed import INDEXED, SYNC, make_indexed
from tests.migration.test_resume import ChangesSince, KilledError, dies

# Pages that are written before the process ends; Chroma has written the index to the disk with most of the records.
PAGES: dict[IndexRoute, int] = {"rewrite": 9, "rebuild": 12}
PAGE, RECORDS = 10, 116

JOBS = [CollectionJob("thought_nodes", make_projection())]
ROUTES: tuple[IndexRoute, ...] = ("rewrite", "rebuild")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[IndexRoute, Path], Path]:
    """A copy of a database whose migration by a route ended in the middle of writing its first collection."""
    made: dict[IndexRoute, Path] = {}

    def copied(route: IndexRoute, home: Path) -> Path:
        if route not in made:
            database = make_indexed(tmp_path_factory.mktemp(route) / "home" / "chroma_data")
            migrator = ChromaMigrator(database, page_size=PAGE, on_progress=dies("write", PAGES[route]))
            with pytest.raises(KilledError):
                migrator.migrate(JOBS, index=route)
            made[route] = database.parent
        shutil.copytree(made[route], home)
        return home / "chroma_data"

    return copied


def index_of(database: Path) -> Path:
    """The folder of the index that was being written."""
    workspace = database.with_name(f".{database.name}.lightmigrate")
    for folder in (workspace / "new", workspace / "scratch" / "0"):
        for facts in read_catalog(folder) if folder.exists() else ():
            if "-new-" in facts.name or facts.name == "index-only":
                return folder / str(segment_of(folder, facts.address))
    raise AssertionError("no index was being written")


def collection_of(index: Path) -> str:
    """Chroma's id of the collection that an index belongs to."""
    with reading(index.parent / "chroma.sqlite3") as connection:
        return str(connection.execute("SELECT collection FROM segments WHERE id = ?", (index.name,)).fetchone()[0])


def cut_short(index: Path) -> None:
    content = (index / "data_level0.bin").read_bytes()
    (index / "data_level0.bin").write_bytes(content[: len(content) // 2])


def older_header(index: Path) -> None:
    """The header says that there were fewer elements: the elements' file is newer, and has links to more."""
    content = bytearray((index / "header.bin").read_bytes())
    header = HnswHeader.parse(bytes(content))
    content[20:28] = (header.elements // 2).to_bytes(8, "little")
    (index / "header.bin").write_bytes(content)


def link_to_nowhere(index: Path) -> None:
    """Chroma would end the process."""
    file = HnswFiles.open(index)
    elements = np.memmap(index / "data_level0.bin", np.uint8, "r+", shape=(file.elements, file.size))
    elements[:, 4:8] = np.frombuffer(np.uint32(2**31 - 1).tobytes(), np.uint8)
    elements.flush()


def other_labels(index: Path) -> None:
    """The elements of a newer index, with the table of labels of an older one."""
    file = HnswFiles.open(index)
    elements = np.memmap(index / "data_level0.bin", np.uint8, "r+", shape=(file.elements, file.size))
    elements[1, -8:] = elements[0, -8:]
    elements.flush()


def ended_the_process(index: Path) -> None:
    """What `TakingUp.trying` leaves of a process that Chroma ended."""
    workspace = next(parent for parent in index.parents if parent.name.endswith(".lightmigrate"))
    (workspace / "scratch").mkdir(exist_ok=True)
    (workspace / "scratch" / "0.taken-up").touch()


@pytest.mark.parametrize("torn", [cut_short, older_header, link_to_nowhere, other_labels, ended_the_process])
@pytest.mark.parametrize("route", ROUTES)
def test_it_is_begun_anew(
    route: IndexRoute, torn: Callable[[Path], None], interrupted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = interrupted(route, tmp_path / "home")
    old = seen_in_a_copy(database, tmp_path)
    torn(index_of(database))
    written = ChangesSince(monkeypatch)
    (result,) = ChromaMigrator(database, page_size=PAGE).resume(index=route)
    assert (result.index, written.records) == (route, RECORDS)
    assert_migrated(database, old)


@pytest.mark.parametrize("route", ROUTES)
def test_a_whole_one_is_taken_up(
    route: IndexRoute, interrupted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = interrupted(route, tmp_path / "home")
    index = index_of(database)
    assert HnswFiles.open(index).elements >= SYNC
    old = seen_in_a_copy(database, tmp_path)
    written = ChangesSince(monkeypatch)
    ChromaMigrator(database, page_size=PAGE).resume(index=route)
    assert written.records == max(0, RECORDS - PAGE * PAGES[route])
    assert_migrated(database, old)


@pytest.mark.parametrize("route", ROUTES)
def test_what_chroma_cannot_use_is_begun_anew_in_the_same_run(
    route: IndexRoute, interrupted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    database = interrupted(route, tmp_path / "home")
    old = seen_in_a_copy(database, tmp_path)
    unusable = collection_of(index_of(database))
    faults: Iterator[Exception | None] = iter([RuntimeError("Error loading hnsw index")])
    count = ChromaCollection.count

    def failing(collection: ChromaCollection) -> int:
        if collection.id == unusable and (fault := next(faults, None)) is not None:
            raise fault
        return count(collection)

    monkeypatch.setattr(ChromaCollection, "count", failing)
    ChromaMigrator(database, page_size=PAGE).resume(index=route)
    assert "begun anew" in caplog.text
    assert_migrated(database, old)


@pytest.mark.parametrize(("route", "then"), [("keep", "rebuild"), ("rebuild", "rewrite")])
def test_an_index_in_place_that_chroma_was_writing_is_built_anew(
    route: IndexRoute, then: IndexRoute, tmp_path: Path
) -> None:
    """Chroma adds the tail of its log to the index when it first reads the copy, before all is verified."""
    database = make_indexed(tmp_path / "home" / "chroma_data")
    old = seen_in_a_copy(database, tmp_path)
    migrator = ChromaMigrator(database, on_progress=dies("verify", 1))
    with pytest.raises(KilledError):
        migrator.migrate(JOBS, index=route)
    copy = database.with_name(f".{database.name}.lightmigrate") / "new"
    address = Address("thought_nodes", "default_tenant", "default_database")
    assert is_whole(copy, address)
    cut_short(copy / str(segment_of(copy, address)))
    assert not is_whole(copy, address)
    (result,) = ChromaMigrator(database).resume(index=route)
    assert result.index == then
    assert_migrated(database, old)


def seen_in_a_copy(database: Path, spare: Path) -> dict[str, Any]:
    """What a database holds; opening it would write to it, and its interrupted migration could not be resumed."""
    return contents(Path(shutil.copytree(database, spare / "copy")), INDEXED)


def assert_migrated(database: Path, old: dict[str, Any]) -> None:
    found, key = contents(database, INDEXED), "default_tenant/default_database/thought_nodes"
    assert is_new({key: found[key]}, {key: old[key]}, make_projection())
    assert not ChromaMigrator(database).undo()
