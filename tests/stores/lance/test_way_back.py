"""A table with several vector columns goes back: a version of it holds all of them, so the last one goes back first."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import numpy.typing as npt
import pytest

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import FailedError, LightmigrateError, WrittenSinceError
from lightmigrate.migration.shadow.way_back import WayBack
from lightmigrate.stores.base import Address
from lightmigrate.stores.lance.values import as_vectors_column
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.lance.folders import rows, workspace

N = 40
COLUMNS = ("image", "vector")


def migrated(folder: Path, order: tuple[str, ...] = COLUMNS) -> Migrator:
    """A table with two vector columns beside another table, all of one migration."""
    both = workspace(folder / "made", N).to_arrow().append_column("image", as_vectors_column(make_vectors(N, seed=5)))
    database = lancedb.connect(folder / "db")
    database.create_table("docs", both)
    database.create_table("other", rows(N))
    addresses = [*(Address("docs", vector=column) for column in order), Address("other")]
    migrator = Migrator(folder / "db")
    migrator.migrate([CollectionJob(address, make_projection()) for address in addresses])
    return migrator


def columns(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    table = lancedb.connect(folder / "db").open_table("docs").to_arrow().sort_by("id")
    return {column: np.array(table.column(column).to_pylist(), np.float32) for column in COLUMNS}


def dimensions(folder: Path) -> dict[str, int]:
    return {column: vectors.shape[1] for column, vectors in columns(folder).items()}


@pytest.mark.parametrize("order", [COLUMNS, COLUMNS[::-1]], ids=["by name", "the other way round"])
def test_all_columns_of_one_migration_go_back_and_forth(tmp_path: Path, order: tuple[str, ...]) -> None:
    migrator = migrated(tmp_path, order)
    new = columns(tmp_path)
    assert dimensions(tmp_path) == dict.fromkeys(COLUMNS, NEW_DIM)
    migrator.rollback()
    old = columns(tmp_path)
    assert dimensions(tmp_path) == dict.fromkeys(COLUMNS, OLD_DIM)
    assert {row.tobytes() for row in old["image"]} == {row.tobytes() for row in make_vectors(N, seed=5)}
    migrator.rollback()
    assert all(np.array_equal(vectors, new[column]) for column, vectors in columns(tmp_path).items())
    migrator.rollback()
    assert all(np.array_equal(vectors, old[column]) for column, vectors in columns(tmp_path).items())


@pytest.mark.parametrize("done", [1, 2])
def test_the_same_rollback_and_the_command_that_is_named_finish_one_that_stopped_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    migrator, gone, go = migrated(tmp_path), list[str](), WayBack.go

    def fails(self: WayBack, stamp: str) -> bool:
        if len(gone) == done:
            raise LightmigrateError("the disk is full")
        gone.append(str(self.version.own))
        return go(self, stamp)

    with monkeypatch.context() as patched:
        patched.setattr(WayBack, "go", fails)
        with pytest.raises(FailedError, match=f"{done} of 3 collections are back, the same command goes on") as failed:
            migrator.rollback()
    *_, named = shlex.split(str(failed.value))
    if done == 1:
        Migrator(tmp_path / "db").rollback(named)
    Migrator(tmp_path / "db").rollback()
    assert dimensions(tmp_path) == dict.fromkeys(COLUMNS, OLD_DIM)
    assert {facts.dimension for facts in migrator.collections()} == {OLD_DIM}
    events = [(entry.event, str(entry.address)) for entry in migrator.history()[3:]]
    assert sorted(events) == [("rolled back", name) for name in ("docs.image", "docs.vector", "other")]
    migrator.rollback()  # of what is whole: all of it goes forward again
    assert {facts.dimension for facts in migrator.collections()} == {NEW_DIM}


def test_one_that_cannot_go_back_yet_names_the_command_that_has_to_be_first(tmp_path: Path) -> None:
    migrator = migrated(tmp_path)
    first, last = (f"docs.{column}.lightmigrate-old-" for column in COLUMNS)
    names = {name.rpartition("-")[0] + "-": name for name in (backup.name for backup in migrator.backups())}
    with pytest.raises(LightmigrateError, match="column vector of table docs was exchanged later") as refused:
        migrator.rollback(names[first])
    *_, named = shlex.split(str(refused.value))
    assert named == names[last]
    migrator.rollback(named)
    migrator.rollback(names[first])
    assert dimensions(tmp_path) == dict.fromkeys(COLUMNS, OLD_DIM)


def test_where_the_backup_of_a_later_column_is_gone_the_version_that_has_both_is_named(tmp_path: Path) -> None:
    migrator = migrated(tmp_path)
    image, vector = (next(b.name for b in migrator.backups() if f"docs.{column}." in b.name) for column in COLUMNS)
    migrator.clean([vector])
    with pytest.raises(LightmigrateError, match=r"its backup is gone, and  table.restore\((\d+)\)") as refused:
        migrator.rollback(image)
    version = int(str(refused.value).partition("restore(")[2].partition(")")[0])
    lancedb.connect(tmp_path / "db").open_table("docs").restore(version)
    assert dimensions(tmp_path) == dict.fromkeys(COLUMNS, OLD_DIM)


def test_what_was_written_to_one_vector_alone_is_carried_with_all_columns(tmp_path: Path) -> None:
    migrator = migrated(tmp_path)
    row: dict[str, Any] = {**rows(1)[0], "id": "late", "image": make_vectors(1, NEW_DIM)[0], "vector": None}
    lancedb.connect(tmp_path / "db").open_table("docs").add([row])
    with pytest.raises(WrittenSinceError, match="1 records were added"):
        migrator.rollback()
    migrator.rollback(written="carry")
    table = lancedb.connect(tmp_path / "db").open_table("docs").to_arrow()
    late = table.filter(table.column("id").index("late").as_py() == np.arange(len(table))).to_pylist()[0]
    assert len(late["image"]) == OLD_DIM
    assert late["vector"] is None
    kept = {np.array(vector, np.float32).tobytes() for vector in table.column("vector").to_pylist() if vector}
    assert kept == {vector.tobytes() for vector in make_vectors(N)}
