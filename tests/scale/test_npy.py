"""A folder of `.npy` files, migrated by processes: the type of the numbers, ids, texts and all other files stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate.errors import DatabaseError, FailedError, RefusedError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.scale.migration import FolderMigrator
from tests.cli.calls import run
from tests.databases import make_projection, make_vectors
from tests.scale.here import Here

OLD, NEW, ROWS = 8, 12, 5_000  # more rows than are held in memory at once
TYPES = ("<f4", "<f2", ">f8")
FORCED = MigrationOptions(force=True)


def files(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lightmigrate.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "vectors"
    for seed, name in enumerate(TYPES):
        part = path / f"part={seed}"
        part.mkdir(parents=True)
        np.save(part / "vectors.npy", make_vectors(ROWS, OLD, seed).astype(name))
        np.save(part / "labels.npy", np.arange(ROWS))
    (path / "part=0" / "vectors.ids.txt").write_text("".join(f"id {row}\n" for row in range(ROWS)))
    return path


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    return make_projection(1, Model("a", OLD), Model("b", NEW)).save(tmp_path / "projection.npz")


def test_there_and_back(folder: Path, projection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(folder)
    migrated = run(capsys, "migrate", folder, "-p", projection, "--workers", 2, "--force", "--yes")
    assert f"{3 * ROWS:,} vectors in 3 files, 8 → 12 dimensions" in migrated
    for seed, name in enumerate(TYPES):
        new = np.load(folder / f"part={seed}" / "vectors.npy")
        assert (new.shape, new.dtype.str) == ((ROWS, NEW), name)
        expected = Projection.load(projection).apply(make_vectors(ROWS, OLD, seed).astype(name).astype(np.float32))
        assert np.allclose(new.astype(np.float32), expected, atol=1e-2 if name == "<f2" else 1e-5)
    after = files(folder)
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} == {f"part={seed}/vectors.npy" for seed in range(3)}
    assert "bit by bit" in run(capsys, "verify", folder)
    run(capsys, "rollback", folder, "--yes")
    assert files(folder) == before


def test_what_cannot_be_kept_as_it_is_is_refused(folder: Path, projection: Path, tmp_path: Path) -> None:
    before = files(folder)
    with (folder / "part=1" / "vectors.npy").open("ab") as file:
        file.write(b"behind")
    (folder / "part=2" / "vectors.npy").write_bytes(b"no array")
    with pytest.raises(FailedError, match="2 of 3 files were not converted") as failed:
        FolderMigrator(str(folder), Here()).migrate(projection, FORCED)
    assert "6 bytes behind its array" in str(failed.value)
    assert "no array as numpy.save writes it" in str(failed.value)
    (folder / "part=1" / "vectors.npy").write_bytes(before["part=1/vectors.npy"])
    (folder / "part=2" / "vectors.npy").write_bytes(before["part=2/vectors.npy"])
    assert FolderMigrator(str(folder), Here()).migrate(projection, FORCED).files == 3


def test_two_formats_in_one_folder_are_refused(folder: Path) -> None:
    with pytest.raises(DatabaseError, match="have no columns"):
        FolderMigrator(f"file://{folder}?vector=embedding", Here())
    (folder / "more.parquet").write_bytes(b"")
    with pytest.raises(RefusedError, match="keep each format in a folder of its own"):
        FolderMigrator(str(folder), Here())
