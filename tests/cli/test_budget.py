"""`plan --target-model`, `migrate --plan`, `status`, `refine` and `bridge` on a real folder with a real encoder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.cli.app import main
from tests.budget.collections import CORPUS, ROWS, build, texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path / "home" / "db")


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any, str]:
    """Exit code, stdout (read as JSON where it is) and stderr."""
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, words)])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), json.loads(out) if out.startswith(("{", "[")) else out, err


def model(tmp_path: Path) -> list[object]:
    function = json.dumps({"name": "test_wordllama", "config": {"dimension": 128}})
    return ["--target-provider", "chroma", "--target-model", function, "--cache", tmp_path / "cache.sqlite3"]


def test_from_the_curve_to_an_exact_collection(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, cache = tmp_path / "plan.json", ["--cache", tmp_path / "cache.sqlite3"]
    code, said, _ = run(capsys, "plan", folder, *model(tmp_path), "--samples", 60, "--budget", "55%", "-o", file)
    assert code == 0
    assert f"embed all {ROWS}" in said
    assert re.search(r"from (first|rarest) \d+ (content )?words", said)  # as many as the budget buys
    assert f"written: {file}" in said
    assert "of doing nothing" in said  # both models agree on most of these texts
    assert "wide because nobody judged what searches find here" in " ".join(said.split())

    code, said, _ = run(capsys, "migrate", folder, "--plan", file, *cache, "--yes", "--force", "--json")
    assert (code, said[0]["n_migrated"], said[0]["current_dim"]) == (0, ROWS, 128)

    code, said, _ = run(capsys, "status", folder, "--json")
    assert (code, said[0]["records"]) == (0, ROWS)
    assert 0 < said[0]["share_exact"] < 1
    assert sum(said[0]["expected"]["wide_by"].values()) == pytest.approx(1)
    _, said_as_text, _ = run(capsys, "status", folder)
    assert "wide because nobody judged what searches find here" in " ".join(said_as_text.split())
    assert said[0]["scores"]["share_exact"] == said[0]["share_exact"]

    code, said, _ = run(capsys, "refine", folder, *cache, "--documents", 10)
    assert code == 0
    assert "10 documents embedded" in said
    assert f"go on:  lightmigrate refine {folder}" in said

    code, said, _ = run(capsys, "refine", folder, *cache, "--json")
    assert (code, said["status"]["share_exact"]) == (0, 1.0)

    code, said, _ = run(capsys, "status", folder)
    assert "100%" in said
    assert re.search(r"notes: the distances are those of \d+% exact rows, now 100% are", said)
    assert re.search(r"the distances are those of .* 100% are", run(capsys, "status", folder, "--thresholds", ".4")[1])


def test_a_changed_collection_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lightmigrate.stores.chroma.client import open_client

    file = tmp_path / "plan.json"
    options = ["--samples", 60, "--quality", ".8", "-o", file, "--json"]
    code, said, _ = run(capsys, "plan", folder, *model(tmp_path), *options)
    assert code == 0
    assert said["plan"]["expected"]["value"] >= 0.8
    with open_client(folder) as client:
        client.get_collection("notes", embedding_function=None).delete(ids=["n0"])
    code, _, err = run(capsys, "migrate", folder, "--plan", file, "--yes")
    assert code == 2
    assert "400 records then, 399 now" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "0"], "neither a share"),
        (["--budget", "ten"], "neither a share"),
        (["--budget", "-5%"], "neither a share"),
        (["--budget", "101%"], "100% at most"),
        (["--budget-tokens", "0"], "greater than or equal to 1"),
        (["--max-cost", "-1"], "--max-cost -1.0 is no amount of dollars"),
        (["--max-cost", "nan"], "is no amount of dollars"),
        (["--budget", "10%", "--quality", ".9"], "give one of"),
        (["--quality", "95"], "not a share of re-embedding"),
        (["-o", "plan.json"], "needs to know what to choose"),
        (["--projection", "some.npz"], "give --projection FILE, or --target-model"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    options: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "plan", folder, *model(tmp_path), "--samples", 60, *options)
    assert code == 1
    assert message in err


def test_a_plan_made_with_queries_finds_them_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries, file = tmp_path / "asked.txt", tmp_path / "plan.json"
    queries.write_text("\n".join(CORPUS.queries[:30]))
    options = ["--samples", 60, "--budget", "100%", "--queries", queries, "-o", file, "--json"]
    code, said, _ = run(capsys, "plan", folder, *model(tmp_path), *options)
    assert (code, said["plan"]["query_set"]["queries"]) == (0, 30)
    queries.rename(tmp_path / "moved.txt")
    migrate = ["migrate", folder, "--plan", file, "--cache", tmp_path / "cache.sqlite3", "--yes", "--force", "--json"]
    code, _, err = run(capsys, *migrate)
    assert (code, "made with 30 queries of users, and there are 0 now" in err) == (2, True)
    code, said, _ = run(capsys, *migrate, "--queries", tmp_path / "moved.txt")
    assert (code, said[0]["n_migrated"]) == (0, ROWS)
    code, said, _ = run(capsys, "status", folder, "--json")
    assert (code, said[0]["share_exact"]) == (0, 1.0)  # 100 % of the budget is everything


def test_without_a_plan_there_is_nothing_to_refine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "refine"):
        code, _, err = run(capsys, command, folder)
        assert (code, "nothing keeps which rows are exact" in err) == (1, True)


def test_the_way_back_is_learned_and_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "back.npz"
    code, said, _ = run(capsys, "bridge", folder, *model(tmp_path), "-o", file, "--json")
    assert code == 0
    assert file.exists()
    assert said["quality"]["bridged_recall"] > 0.5


def test_a_time_is_shown_also_when_everything_is_cached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", build(tmp_path / "few", texts(130)), *model(tmp_path), "--samples", 60, "--json"]
    first, second = (run(capsys, *words)[1]["curve"]["options"] for _ in range(2))
    assert all(point["seconds"] > 0 for point in (*first, *second))


def test_settings_of_no_use_are_not_shown(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", folder, *model(tmp_path), "--samples", 20]
    options = run(capsys, *words, "--json")[1]["curve"]["options"]
    _, out, _ = run(capsys, *words)
    rows = [line for line in out.splitlines() if re.match(r"embed [\d,]+, ", line)]
    values = [float(re.findall(r"(\d\.\d\d) \[", line)[0]) for line in rows]
    assert values == sorted(values), "each keeps more than every cheaper one"
    best = max(point["expected"]["value"] for point in options[:-1])
    assert min(values) >= best / 2 - 0.01
