"""Files whose vectors cannot be read are named with the reason by every command, and are not taken for empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate import Migrator, auto_migrate
from lightmigrate.cli.app import main
from tests.databases import make_projection
from tests.encoders import WordLlamaFunction

ROWS, OLD = 60, 16


def vectors() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(ROWS, OLD)).astype(np.float32)


def in_columns(folder: Path) -> Path:
    np.save(folder / "docs.npy", np.asfortranarray(vectors()))
    return folder / "docs.npy"


def whole_numbers(folder: Path) -> Path:
    np.save(folder / "docs.npy", np.round(127 * vectors()).astype(np.int8))
    return folder / "docs.npy"


def two_columns(folder: Path) -> Path:
    columns = {"text": ["a"] * ROWS, "body_vector": list(vectors()), "title_vector": list(vectors())}
    pq.write_table(pa.table(columns), folder / "docs.parquet")
    return folder / "docs.parquet"


def written_as_text(folder: Path) -> Path:
    pq.write_table(pa.table({"text": ["a"] * ROWS, "embedding": ["[1.0, 2.0]"] * ROWS}), folder / "docs.parquet")
    return folder / "docs.parquet"


KINDS: dict[Callable[[Path], Path], str] = {
    in_columns: r"\(60, 16\) in Fortran order: .*ascontiguousarray",
    whole_numbers: r"an array of int8 \(60, 16\)",
    two_columns: r"2 columns of vectors \(body_vector, title_vector\) and one is needed: name it, 'file://.*\?vector=",
    written_as_text: "0 columns of vectors",
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_every_command_says_why(
    tmp_path: Path,
    make: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    (tmp_path / "data").mkdir()
    path, why = make(tmp_path / "data"), re.compile(KINDS[make])
    before = path.read_bytes()
    projection = make_projection().save(tmp_path / "p.npz")

    def said(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        shown = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((shown.out + shown.err).split())

    code, doctor = said("doctor", str(path))
    assert code == 0
    assert "cannot be read" in doctor
    assert why.search(doctor), doctor
    model = ("--target-model", "m", "--target-provider", "openai")
    for command in (
        ["plan", str(path), *model],
        ["plan", str(path), "-p", str(projection)],
        ["migrate", str(path), "-p", str(projection), "-y"],
        ["migrate", str(path), "-p", str(projection), "-y", "-c", "docs"],
        ["train", "--from", str(path), *model],
    ):
        code, message = said(*command)
        assert code == 2, (command, message)
        assert why.search(message), (command, message)
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_start_says_why_and_migrates_the_others(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    np.save(tmp_path / "whole.npy", vectors())
    (tmp_path / "whole.jsonl").write_text("".join(f'{{"id": "{row}", "text": "text {row}"}}\n' for row in range(ROWS)))
    before = path.read_bytes()
    report = auto_migrate(tmp_path, WordLlamaFunction(64), refine="off")
    actions = {one.finding.name: (one.finding.verdict, one.action) for one in report.collections}
    assert actions["docs"] == ("damaged", "refused")
    assert actions["whole"][1] == "migrated"
    assert re.search(KINDS[make], next(one.reason for one in report.collections if one.finding.name == "docs"))
    assert path.read_bytes() == before
    assert {facts.name: facts.dimension for facts in Migrator(tmp_path).collections()} == {"docs": None, "whole": 64}
