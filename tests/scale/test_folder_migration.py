"""A folder of Parquet files, migrated by processes: everything but the vectors stays, whoever is killed, and back."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import qdrant_client

from lightmigrate.errors import FailedError, RefusedError, WrittenSinceError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.scale import manifest, workspace
from lightmigrate.scale.convert import convert
from lightmigrate.scale.file_states import State
from lightmigrate.scale.folder_place import FolderPlace
from lightmigrate.scale.job import ProjectionJob
from lightmigrate.scale.migration import FolderMigrator
from lightmigrate.scale.processes import Processes
from lightmigrate.scale.recovery import migrated_path
from lightmigrate.scale.workspace import Workspace
from lightmigrate.stores.open import open_units
from lightmigrate.vectors import Vectors
from tests.cli.calls import refused, run
from tests.databases import make_database, make_projection
from tests.other_users import APP, DEPLOY, SHARED, give_all, needs_root
from tests.scale.dying import die
from tests.scale.here import Here
from tests.stores.sqlite_vec.application import make_application

OLD, NEW, ROWS = 8, 12, 60
# One file for each way to hold vectors; all of them in one folder, which no application would do.
KINDS = {"fixed": pa.list_(pa.float32(), OLD), "list": pa.list_(pa.float64()), "half": pa.list_(pa.float16(), OLD)}
FORCED = MigrationOptions(force=True)


def vectors_of(seed: int) -> Vectors:
    return np.random.default_rng(seed).standard_normal((ROWS, OLD)).astype(np.float32)


def write(path: Path, kind: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values: list[object] = list(vectors_of(seed).astype(np.float16 if kind == "half" else np.float32))
    values[7] = None
    table = pa.table(
        {
            "score": [float("nan") if row % 9 == 0 else row / 7 for row in range(ROWS)],
            "embedding": pa.array(values, pa.list_(KINDS[kind].value_type)).cast(KINDS[kind]),
            "text": [None if row % 5 == 0 else f"text {row}" for row in range(ROWS)],
            "id": [f"{seed}-{row * 37 % ROWS}" for row in range(ROWS)],
        }
    ).replace_schema_metadata({"made by": "an application"})
    pq.write_table(table, path, row_group_size=25, compression="zstd")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "vectors"
    for seed, kind in enumerate(KINDS):
        write(path / f"year=202{seed}" / f"part-{kind}.parquet", kind, seed)
    (path / "README").write_text("of the application")
    return path


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    return make_projection(1, Model("a", OLD), Model("b", NEW)).save(tmp_path / "projection.npz")


def contents(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and path.name != workspace.MARK)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def rights_of(folder: Path) -> dict[str, tuple[int, int, str]]:
    entries = ((path, path.stat()) for path in (folder, *folder.rglob("*")) if path.name != workspace.MARK)
    return {str(path): (status.st_uid, status.st_gid, oct(status.st_mode)) for path, status in entries}


def test_a_folder_is_migrated_checked_and_put_back(folder: Path, projection: Path) -> None:
    before = contents(folder)
    result = FolderMigrator(str(folder), Processes(2)).migrate(projection, FORCED)
    assert (result.files, result.vectors, result.current_dim) == (3, 3 * (ROWS - 1), NEW)
    assert contents(folder).keys() == before.keys()
    assert contents(folder)["README"] == before["README"]
    assert result.backup_path is not None
    assert contents(result.backup_path) == before
    for seed, kind in enumerate(KINDS):
        name = f"year=202{seed}/part-{kind}.parquet"
        old, new = pq.ParquetFile(result.backup_path / name), pq.ParquetFile(folder / name)
        for field in ("num_row_groups", "num_rows", "format_version"):
            assert getattr(old.metadata, field) == getattr(new.metadata, field)
        assert new.metadata.row_group(1).column(0).compression == "ZSTD"
        assert old.schema_arrow.metadata == new.schema_arrow.metadata
        assert old.schema_arrow.names == new.schema_arrow.names
        assert new.schema_arrow.field("embedding").type.value_type == KINDS[kind].value_type
        for column in ("score", "text", "id"):
            assert str(old.read([column]).to_pylist()) == str(new.read([column]).to_pylist())
        stored = new.read(["embedding"]).column(0).to_pylist()
        assert stored[7] is None
        given = [vector for vector in old.read(["embedding"]).column(0).to_pylist() if vector is not None]
        expected = Projection.load(projection).apply(np.asarray(given, np.float32))
        kept = np.asarray([vector for vector in stored if vector is not None])
        assert np.allclose(kept, expected, atol=2e-3 if kind == "half" else 1e-6)

    migrator = FolderMigrator(str(folder), Processes(2))
    assert migrator.verify().unchanged
    assert migrator.status().model.startswith("b")
    changed = folder / "year=2020/part-fixed.parquet"
    damaged = bytearray(changed.read_bytes())
    damaged[40] ^= 1
    changed.write_bytes(damaged)
    assert migrator.verify().changed == ("year=2020/part-fixed.parquet",)

    write(folder / "year=2024/late.parquet", "fixed", 9)
    assert migrator.verify().added == ("year=2024/late.parquet",)
    with pytest.raises(WrittenSinceError, match="1 files were added"):
        migrator.rollback()
    migrator.rollback(written="discard")
    assert contents(folder) == before
    assert migrator.status().model == ""
    assert [backup.name for backup in migrator.clean(None)]
    assert migrator.backups() == []


@needs_root
def test_every_file_and_folder_keeps_its_owner_group_and_mode(folder: Path, projection: Path) -> None:
    give_all(folder, APP, SHARED, 0o2770, 0o640)
    os.chown(folder, 0, SHARED)
    os.chown(folder / "README", DEPLOY, SHARED)
    before = rights_of(folder)
    FolderMigrator(str(folder), Processes(2)).migrate(projection, FORCED)
    assert rights_of(folder) == before


def test_a_failed_file_is_named_the_others_are_done_and_the_next_run_does_it_alone(
    folder: Path, projection: Path
) -> None:
    broken = folder / "year=2021/part-list.parquet"
    whole, before = broken.read_bytes(), contents(folder)
    table = pq.read_table(broken)
    short = pa.array([[1.0] * (OLD - 1)] * ROWS, pa.list_(pa.float64()))
    pq.write_table(table.set_column(1, "embedding", short), broken)
    (folder / "year=2022/part-unreadable.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FailedError, match=r"2 of 4 files.*part-unreadable"):
        FolderMigrator(str(folder), Here()).migrate(projection, FORCED)
    (folder / "year=2022/part-unreadable.parquet").unlink()
    with pytest.raises(FailedError, match=r"1 of 3 files were not converted.*year=2021/part-list\.parquet"):
        FolderMigrator(str(folder), Here()).migrate(projection, FORCED)
    assert FolderMigrator(str(folder), Here()).status().files_done == 2
    broken.write_bytes(whole)
    assert contents(folder) == before
    result = FolderMigrator(str(folder), Here()).migrate(projection, FORCED)
    assert (result.files, result.converted_now) == (3, 1)
    assert FolderMigrator(str(folder), Here()).verify().unchanged


def test_a_file_that_was_written_to_since_is_converted_again_and_one_that_is_gone_is_left_out(
    folder: Path, projection: Path
) -> None:
    migrator = FolderMigrator(str(folder), Here())
    with Workspace(folder).locked():
        run, _ = migrator._run_for(ProjectionJob(projection), "refuse")
        migrator._begin(run)
        migrator._build(run, "refuse")
    write(folder / "year=2020/part-fixed.parquet", "fixed", 5)
    (folder / "year=2021/part-list.parquet").unlink()
    result = migrator.migrate(projection, FORCED)
    assert (result.files, result.converted_now) == (2, 1)
    assert pq.read_table(folder / "year=2020/part-fixed.parquet").column("id")[0].as_py() == "5-0"
    assert not (folder / "year=2021/part-list.parquet").exists()


def test_other_files_that_are_written_meanwhile_are_copied_again(
    folder: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = FolderPlace.complete, []

    def complete(place: FolderPlace, *arguments: Any) -> None:
        original(place, *arguments)
        calls.append(arguments)
        if len(calls) == 1:
            (folder / "README").write_text("of the application, and more")
            (folder / "year=2020/_SUCCESS").touch()

    monkeypatch.setattr(FolderPlace, "complete", complete)
    FolderMigrator(str(folder), Here()).migrate(projection, FORCED)
    assert len(calls) == 2
    assert (folder / "README").read_text() == "of the application, and more"
    assert (folder / "year=2020/_SUCCESS").exists()


@pytest.mark.parametrize("late", ["README", "new.txt", "year=2020/part-fixed.parquet", "year=2020/part-new.parquet"])
def test_what_is_written_in_the_last_moment_is_said_and_its_folder_kept(
    folder: Path, projection: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, late: str
) -> None:
    exchange = Workspace.exchange

    def written_before(workspace: Workspace, new: Path, backup: str, states: Mapping[str, State]) -> None:
        if late.endswith(".parquet"):
            write(folder / late, "fixed", 9)
        else:
            (folder / late).write_text("in the last moment")
        exchange(workspace, new, backup, states)

    monkeypatch.setattr(Workspace, "exchange", written_before)
    options = replace(FORCED, auto_backup=False)
    result = FolderMigrator(str(folder), Here()).migrate(projection, options)
    assert "1 files were written to in the last moment" in caplog.text
    assert result.backup_path is not None
    assert (result.backup_path / late).exists()
    with pytest.raises(RefusedError, match=f"1 files in {result.backup_path} were written to since it was replaced"):
        FolderMigrator(str(folder), Processes(1)).clean(None)
    (backup,) = FolderMigrator(str(folder), Processes(1)).backups()
    assert backup.reason_to_keep == "has 1 files that were written to after it was put aside"
    assert (result.backup_path / late).exists()


def test_a_backup_that_is_put_back_and_written_to_is_cleaned_when_it_is_replaced_again(
    folder: Path, projection: Path
) -> None:
    migrator = FolderMigrator(str(folder), Processes(1))
    migrator.migrate(projection, FORCED)
    migrator.rollback()
    write(folder / "year=2024/late.parquet", "fixed", 9)
    migrator.migrate(projection, FORCED)
    assert len(migrator.clean(None)) == 2
    assert [path.name for path in Workspace(folder).home.glob("replaced-*")] == []


@pytest.mark.parametrize("kind", ["chroma", "sqlite-vec", "qdrant", "lance"])
def test_a_database_among_the_files_is_not_exchanged_with_them(folder: Path, projection: Path, kind: str) -> None:
    place = folder / "kept" / "by an application"
    if kind == "chroma":
        make_database(place, 20)
    elif kind == "sqlite-vec":
        place = place.with_suffix(".db")
        place.parent.mkdir()
        make_application(place)
    elif kind == "qdrant":
        client = qdrant_client.QdrantClient(path=str(place))
        client.create_collection(
            "notes", qdrant_client.models.VectorParams(size=4, distance=qdrant_client.models.Distance.COSINE)
        )
        client.close()
    else:
        lance.write_dataset(pa.table({"id": ["a"]}), place / "notes.lance")
    with pytest.raises(RefusedError, match=f"{place} is a {kind} database, which an application may have open"):
        FolderMigrator(str(folder), Here()).migrate(projection, FORCED)
    shutil.rmtree(folder / "kept")
    assert FolderMigrator(str(folder), Here()).migrate(projection, FORCED).files == 3


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_whoever_is_killed_all_is_done_exactly_once(
    tmp_path: Path, folder: Path, projection: Path, victim: str
) -> None:
    for number in range(40):
        write(folder / f"many/part-{number:02}.parquet", "fixed", 100 + number)
    command = [sys.executable, "-m", "lightmigrate", "migrate", str(folder), "-p", str(projection)]
    run = subprocess.Popen([*command, "--workers", "2", "--force", "--yes"], stderr=subprocess.DEVNULL)
    place = Workspace(folder)
    while not any(manifest.read(place.manifest(name), manifest.Done) for name in place.runs()):
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    children = children_of(run.pid)
    if victim == "driver":
        run.kill()
        run.wait()
        for child in children:  # they end with it
            while alive(child):
                time.sleep(0.01)
        assert not (folder / workspace.MARK).exists()
        for path in place.new(place.runs()[0]).rglob("*.parquet"):
            if not path.name.startswith("."):
                pq.read_table(path)  # whatever has its name is whole
        FolderMigrator(str(folder), Processes(2)).migrate(projection, FORCED)
    else:
        workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(workers[0], signal.SIGKILL)
        assert run.wait() == 0
    assert FolderMigrator(str(folder), Processes(2)).verify().unchanged
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")]
    assert len(names) == 43
    for number in range(40):
        ids = pq.read_table(folder / f"many/part-{number:02}.parquet").column("id").to_pylist()
        assert ids == [f"{100 + number}-{row * 37 % ROWS}" for row in range(ROWS)]


def test_workers_that_die_before_they_are_needed_are_replaced(folder: Path, projection: Path) -> None:
    executor = Processes(2)
    with executor.prepared(convert):
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        for worker in workers:
            worker.kill()
            worker.join()
        result = FolderMigrator(str(folder), executor).migrate(projection, FORCED)
    assert result.converted_now == 3
    assert FolderMigrator(str(folder), executor).verify().unchanged


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_line_that_was_not_written_whole_does_not_spoil_the_next(tmp_path: Path) -> None:
    file = tmp_path / "manifest"
    first = manifest.Done("a", 1, 2, 3, 4, "5")
    manifest.append(file, first)
    with file.open("ab") as opened:
        opened.write(b'\n{"unit": "b", "sour')
    second = manifest.Done("c", 1, 2, 3, 4, "6")
    manifest.append(file, second)
    assert manifest.read(file, manifest.Done) == {"a": first, "c": second}
    assert manifest.total([first, second]) == manifest.total([second, first]) != manifest.total([first])


def test_what_would_contradict_the_new_files_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "_metadata").write_bytes(b"PAR1")
    with pytest.raises(RefusedError, match="_metadata"):
        open_units(str(folder)).units()
    (folder / "_metadata").unlink()
    (folder / "link.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(RefusedError, match="symbolic link"):
        open_units(str(folder)).units()


def test_a_task_that_kills_its_workers_fails_and_the_others_go_on() -> None:
    results = dict(Processes(1).run(die, [0, 1, 2]))
    assert (results[0], results[2]) == (0, 2)
    assert isinstance(results[1], FailedError)


def test_the_commands(folder: Path, projection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    migrated = run(capsys, "migrate", folder, "-p", projection, "--workers", 1, "--force", "--yes")
    assert "177 vectors in 3 files, 8 → 12 dimensions" in migrated
    assert "vectors of b" in run(capsys, "status", folder)
    assert "bit by bit" in run(capsys, "verify", folder)
    run(capsys, "rollback", folder, "--yes")
    assert contents(folder) == before
    assert "not migrated" in run(capsys, "status", folder)
    run(capsys, "clean", folder, "--yes")
    assert migrated_path(str(folder)) is None


def test_files_that_are_migrated_one_by_one_afterwards_go_back_one_by_one(
    folder: Path, projection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(folder)
    for seed in range(2):
        write(folder / f"part-{seed}.parquet", "fixed", seed)
    before = contents(folder)
    run(capsys, "migrate", folder, "-p", projection, "--workers", 1, "--force", "--yes")
    run(capsys, "rollback", folder, "--yes")
    run(capsys, "clean", folder, "--yes")
    run(capsys, "migrate", folder / "part-1.parquet", "-p", projection, "--force", "--yes")
    assert contents(folder) != before
    assert "part-1" in run(capsys, "verify", folder)
    run(capsys, "rollback", folder, "--yes")
    assert contents(folder)["part-1.parquet"] == before["part-1.parquet"]


def test_options_that_it_would_not_heed_are_refused(
    folder: Path, projection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    words = ["-p", projection, "--workers", 1, "--yes", "--collection", "b", "--index", "rebuild"]
    assert "leave out --collection, --index" in refused(capsys, "migrate", folder, *words)
    assert contents(folder) == before
