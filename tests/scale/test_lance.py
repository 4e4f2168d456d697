"""A Lance table whose fragments are converted by processes: one commit, every row kept, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest

from lightmigrate.errors import FailedError, RefusedError, VerificationError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.scale import manifest
from lightmigrate.scale.manifest import DonePart
from lightmigrate.scale.migrators import migrator_for
from lightmigrate.scale.table_migration import TableMigrator
from lightmigrate.stores.lance import fragments
from tests.cli.calls import refused, run
from tests.databases import make_projection, make_vectors
from tests.processes import TIMEOUT
from tests.scale.here import Here

OLD, NEW, ROWS, FRAGMENTS = 8, 12, 100, 4
FORCED = MigrationOptions(force=True)


def rows(start: int, count: int = ROWS) -> pa.Table:
    vectors: list[Any] = list(make_vectors(count, OLD, start))
    vectors[3] = None
    return pa.table(
        {
            "id": [f"id {start + row}" for row in range(count)],
            "vector": pa.array(vectors, pa.list_(pa.float32(), OLD)),
            "text": [f"text {start + row}" for row in range(count)],
        }
    )


def make(path: Path, count: int = FRAGMENTS) -> Path:
    for number in range(count):
        lance.write_dataset(rows(number * ROWS), path, mode="append" if number else "create")
    lance.dataset(path).delete("id IN ('id 7', 'id 150')")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return make(tmp_path / "docs.lance")


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    return make_projection(1, Model("a", OLD), Model("b", NEW)).save(tmp_path / "projection.npz")


def contents(path: Path) -> pa.Table:
    return lance.dataset(path).to_table()


def migrator(path: Path) -> TableMigrator:
    opened = migrator_for(str(path), Here())
    assert isinstance(opened, TableMigrator)
    return opened


def require_projected(path: Path, before: pa.Table, projection: Path) -> None:
    """Every row is there once, in its order, with its columns, and the vector that its old one is projected to."""
    after = contents(path)
    others = ["id", "text"]
    assert after.select(others).equals(before.select(others))
    old, new = before["vector"].to_pylist(), after["vector"].to_pylist()
    assert [vector is None for vector in old] == [vector is None for vector in new]
    given, stored = (np.asarray([each for each in vectors if each is not None], np.float32) for vectors in (old, new))
    assert np.allclose(Projection.load(projection).apply(given), stored, atol=1e-6)


def test_there_and_back(table: Path, projection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, version = contents(table), lance.dataset(table).version
    assert "docs" in run(capsys, "plan", table, "-p", projection)
    migrated = run(capsys, "migrate", table, "-p", projection, "--workers", 2, "--force", "--yes")
    assert f"{len(before) - FRAGMENTS:,} vectors in {FRAGMENTS} parts, 8 → 12 dimensions" in migrated
    assert lance.dataset(table).version == version + 1, "one commit"
    require_projected(table, before, projection)
    assert "bit by bit" in run(capsys, "verify", table)
    state = run(capsys, "status", table)
    assert "vectors of b" in state
    assert "backups: " in state
    assert f"docs {len(before) - FRAGMENTS}" in run(capsys, "doctor", table)
    run(capsys, "rollback", table, "--yes")
    assert contents(table).equals(before)
    assert "not migrated" in run(capsys, "status", table)
    assert migrator(table).migrate(projection, FORCED).parts == FRAGMENTS
    require_projected(table, before, projection)
    run(capsys, "rollback", table, "--yes")
    assert contents(table).equals(before)


def test_what_is_written_meanwhile_is_converted_before_the_commit(
    table: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fragments.LanceFragments.put_in_place
    written: list[Any] = []

    def put(self: fragments.LanceFragments, *arguments: Any) -> str | None:
        if not written:
            written.append(lance.write_dataset(rows(5_000), table, mode="append"))
            lance.dataset(table).update({"text": "'other'"}, where="id = 'id 20'")
        return real(self, *arguments)

    monkeypatch.setattr(fragments.LanceFragments, "put_in_place", put)
    result = migrator(table).migrate(projection, FORCED)
    before = lance.dataset(table, version=lance.dataset(table).version - 1).to_table()
    assert len(before) == FRAGMENTS * ROWS - 2 + ROWS
    assert result.converted_now > FRAGMENTS
    require_projected(table, before, projection)
    assert migrator(table).verify().unchanged
    lance.write_dataset(pa.table({"id": ["late"], "vector": pa.nulls(1, pa.list_(pa.float32(), NEW)), "text": ["t"]}),
                        table, mode="append")  # fmt: skip
    assert len(migrator(table).verify().added) == 1


def test_invalid_vectors_and_other_dimensions_are_refused_and_the_table_stays(table: Path, projection: Path) -> None:
    bad = rows(0).set_column(1, "vector", pa.array([[0.0] * OLD] * ROWS, pa.list_(pa.float32(), OLD)))
    lance.write_dataset(bad, table, mode="append")
    before, version = contents(table), lance.dataset(table).version
    with pytest.raises(FailedError, match=r"1 of 5 parts were not converted.*fragment 4: 100 of 100 vectors"):
        migrator(table).migrate(projection, FORCED)
    assert contents(table).equals(before)
    assert lance.dataset(table).version == version
    result = migrator(table).migrate(projection, MigrationOptions(force=True, invalid_vectors="centre"))
    assert result.parts == 5


def test_a_damaged_fragment_is_named_and_the_others_are_done(table: Path, projection: Path) -> None:
    before = lance.dataset(table)
    (file,) = before.get_fragment(2).metadata.files
    whole = (table / "data" / file.path).read_bytes()
    (table / "data" / file.path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FailedError, match=r"1 of 4 parts were not converted.*fragment 2: it cannot be read"):
        migrator(table).migrate(projection, FORCED)
    assert lance.dataset(table).version == before.version
    assert migrator(table).status().files_done == 3
    (table / "data" / file.path).write_bytes(whole)
    assert migrator(table).migrate(projection, FORCED).converted_now == 1


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_whoever_is_killed_all_is_done_exactly_once(tmp_path: Path, projection: Path, victim: str) -> None:
    table = make(tmp_path / "docs.lance", 30)
    before, version = contents(table), lance.dataset(table).version
    command = [sys.executable, "-m", "lightmigrate", "migrate", str(table), "-p", str(projection)]
    process = subprocess.Popen([*command, "--workers", "2", "--force", "--yes"], stderr=subprocess.DEVNULL)
    home = table / ".lightmigrate/by-part"
    deadline = time.monotonic() + TIMEOUT
    while not any(manifest.read(file, DonePart) for file in home.glob("*.jsonl")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if victim == "driver":
        process.kill()
        process.wait()
        assert contents(table).equals(before)
        assert lance.dataset(table).version == version
        assert (migrator(table).status().files_done or 0) > 0
        result = migrator(table).migrate(projection, FORCED)
        assert result.converted_now < result.parts
    else:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(workers[0], signal.SIGKILL)
        assert process.wait() == 0
    assert lance.dataset(table).version == version + 1
    require_projected(table, before, projection)
    assert migrator(table).verify().unchanged


@pytest.mark.parametrize("step", ["commit_exchange", "keep_after", "build_indexes"])
def test_a_crash_around_the_commit_leaves_old_or_new(
    table: Path, projection: Path, monkeypatch: pytest.MonkeyPatch, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(table)
    with monkeypatch.context() as patched:
        patched.setattr(fragments, step, lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            migrator(table).migrate(projection, FORCED)
    if step == "commit_exchange":
        assert contents(table).equals(before)
    else:
        require_projected(table, before, projection)
    if step == "commit_exchange":
        result = migrator(table).migrate(projection, FORCED)
        assert (result.parts, result.converted_now) == (FRAGMENTS, 0)
    else:
        assert "interrupted after its commit was finished" in run(capsys, "resume", table)
    require_projected(table, before, projection)
    assert migrator(table).status().files_done is None
    assert migrator(table).verify().unchanged
    run(capsys, "rollback", table, "--yes")
    assert contents(table).equals(before)


def test_what_is_read_back_otherwise_is_not_accepted(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = fragments.LanceFragments(table)
    (unit, state), *_ = opened.units().items()
    other = json.loads(opened.convert(unit, state, OLD, lambda page: page.vectors * 2, texts=False).description)
    file = table / "data" / other["files"][-1]["path"]
    real = fragments.LanceFileReader
    monkeypatch.setattr(fragments, "LanceFileReader", lambda _: real(str(file)))
    with pytest.raises(VerificationError, match="not read back as they were written"):
        opened.convert(unit, state, OLD, lambda page: page.vectors, texts=False)


def test_several_tables_or_columns_are_said(
    tmp_path: Path, projection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "db/a.lance")
    make(tmp_path / "db/b.lance")
    words = ["-p", projection, "--workers", 1, "--yes", "--force"]
    assert "has 2 tables: give one of them" in refused(capsys, "migrate", tmp_path / "db", *words)
    two = rows(0).append_column("image", rows(0)["vector"])
    lance.write_dataset(two, tmp_path / "two.lance")
    with pytest.raises(RefusedError, match="2 columns of vectors"):
        migrator(tmp_path / "two.lance")
    assert "1 parts" not in run(capsys, "migrate", tmp_path / "db/a.lance", *words)
