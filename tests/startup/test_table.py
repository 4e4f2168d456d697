"""What happens, by the model of the stored vectors and by where a projection to the application's model comes from."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import auto_migrate
from lightmigrate.vectors import Vectors
from tests.databases import folder_hash
from tests.startup.starts import (
    CORPUS,
    MINILM,
    NEW,
    POTION,
    ROWS,
    WORDLLAMA,
    database_of,
    registry,
    stored,
    vectors_of,
    write,
)


def mixed(folder: Path) -> Path:
    half = ROWS // 2
    rows = np.concatenate([vectors_of(POTION)[:half], vectors_of(WORDLLAMA)[half:ROWS]])
    return write(folder, rows, documents=CORPUS.documents[:ROWS])


STORED: dict[str, Callable[[Path], Path]] = {
    "same model": lambda folder: database_of(WORDLLAMA, folder),
    "other dimension": lambda folder: database_of(MINILM, folder),
    "other model": lambda folder: database_of(POTION, folder),
    "mixed": mixed,
    "empty": lambda folder: write(folder, np.empty((0, 256), np.float32)),
    "no documents": lambda folder: database_of(MINILM, folder, documents=None),
}
SOURCE = {"other dimension": MINILM, "other model": POTION, "no documents": MINILM}
BETWEEN = {"other dimension": POTION, "other model": MINILM, "no documents": POTION}
ORIGINS = ("projection known", "chain known", "calibratable", "nothing")

# For each row of the table: what is found, and what is done for each origin of a projection.
TABLE = {
    "same model": ("same", ("nothing", "nothing", "nothing", "nothing")),
    "other dimension": ("other dimension", ("projection", "chain", "calibrated", "refused")),
    "other model": ("other model", ("projection", "chain", "calibrated", "refused")),
    "mixed": ("mixed", ("refused", "refused", "refused", "refused")),
    "empty": ("empty", ("nothing", "nothing", "nothing", "nothing")),
    "no documents": ("other dimension", ("projection", "chain", "refused", "refused")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Vectors]]:
    """The database of a row, and its vectors, made when it is first asked for."""

    @functools.cache
    def of_row(row: str) -> tuple[Path, Vectors]:
        folder = STORED[row](tmp_path_factory.mktemp("row") / "chroma_data")
        return folder, stored(folder)

    return of_row


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("row", TABLE)
def test_what_happens(row: str, origin: str, made: Callable[[str], tuple[Path, Vectors]], tmp_path: Path) -> None:
    template, old = made(row)
    database = Path(shutil.copytree(template, tmp_path / "home" / "chroma_data"))
    source, between = SOURCE.get(row, POTION), BETWEEN.get(row, MINILM)
    if origin == "projection known":
        registry(tmp_path / "registry", (source, WORDLLAMA))
    if origin == "chain known":
        registry(tmp_path / "registry", (source, between), (between, WORDLLAMA))
    before = folder_hash(database)
    documents = row != "no documents"
    report = auto_migrate(
        database,
        NEW,
        calibrate=60 if origin == "calibratable" else 0,
        min_quality=0.2 if documents else None,
    )
    (one,) = report.collections
    verdict, expected = TABLE[row]
    action = expected[ORIGINS.index(origin)]
    assert (one.finding.verdict, report.error) == (verdict, "")
    if action in ("nothing", "refused"):
        assert (one.action, report.action, report.backup) == (action, action, None)
        (database / "lightmigrate-models.json").unlink(missing_ok=row != "same model")  # a note of what was found
        assert folder_hash(database) == before
        assert np.array_equal(stored(database), old)
        assert bool(one.reason) == (action == "refused")
        assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]
        return
    assert (one.action, one.origin, one.migrated) == ("migrated", action, ROWS)
    assert report.backup is not None
    assert (database.parent / report.backup).is_dir()
    assert one.preservation is not None
    assert (one.preservation.expected is not None) == documents
    near_own_model(stored(database), action)
    again = auto_migrate(database, NEW, calibrate=0)
    assert [(found.finding.verdict, found.action) for found in again.collections] == [("same", "nothing")]


def near_own_model(found: Vectors, route: str) -> None:
    """Every vector is nearer to what the new model makes of its text than to what it makes of others'."""
    true = vectors_of(WORDLLAMA)[:ROWS]
    assert found.shape == true.shape
    best = (found @ (true - true.mean(axis=0)).T).argmax(axis=1)
    assert np.mean(best == np.arange(ROWS)) > 0.3, f"{route}: by chance it would be {1 / ROWS:.3f}"
