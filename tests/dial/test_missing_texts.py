"""Collections that store no texts, or some: what is left, what texts would have bought, and the way through."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import BudgetPlan, ChromaMigrator, NotEnoughTextsError, migrate_by_plan, refine, status
from lightmigrate.cli import main
from lightmigrate.dial.missing_texts import BOUGHT, MissingTexts
from lightmigrate.stores.chroma import open_client
from tests.dial.collections import CORPUS, NEW, NOTES, build, cached, curve, texts, vectors_in

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "retention.jsonl"
ROWS = 240


def half_of_them(folder: Path) -> Path:
    """Every other record stores its text."""
    with open_client(folder) as client:
        notes = client.create_collection("notes", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
        for row in range(ROWS):
            text = texts()[row] if row % 2 else None
            notes.add(ids=[f"n{row}"], embeddings=CORPUS.old_documents[row : row + 1], documents=text)
    return folder


def test_what_texts_bought_is_what_was_measured() -> None:
    kept = defaultdict(list)
    for line in RESULTS.read_text().splitlines():
        run = json.loads(line)
        if run["nothing_all"] < 1:  # an upgrade
            kept[run["corpus"], run["old"], run["new"], run["pairs"], run["method"]].append(run["held_out"])
    read = {key[:-1]: statistics.mean(runs) for key, runs in kept.items() if key[-1] == "auto"}
    bought = [more - statistics.mean(kept.get((*case, "auto, no text"), [])) for case, more in read.items()]
    assert (len(bought), *(round(end(bought), 2) for end in (min, statistics.median, max))) == (20, *BOUGHT)


def test_without_a_text_the_ways_out_are_said_and_what_texts_would_have_bought(tmp_path: Path) -> None:
    with open_client(tmp_path / "db") as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(120)], embeddings=CORPUS.old_documents[:120]
        )
    said = r"0 of 120 records store a text, 60 are needed .*--from-chroma .*--source-model OLD.*0.01 to 0.34 more"
    with pytest.raises(NotEnoughTextsError, match=said):
        curve(tmp_path / "db", cached(tmp_path))


def test_some_texts_are_enough_from_the_plan_to_the_status(tmp_path: Path) -> None:
    folder, provider = half_of_them(tmp_path / "db"), cached(tmp_path)
    drawn = curve(folder, provider, token_share=0.9)
    missing = MissingTexts.of(drawn)
    assert missing is not None
    assert missing.records == ROWS // 2
    assert missing.mapped.value < missing.read.value
    everything = drawn.options[-1]
    assert everything.expected.value == pytest.approx((1 + missing.mapped.value) / 2)
    assert max(option.expected.value for option in drawn.options) <= everything.expected.value

    plan = BudgetPlan.of(NOTES, drawn, drawn.within(0.9 * drawn.census.tokens))
    migrate_by_plan(ChromaMigrator(folder), plan, provider, force=True)
    done = refine(folder, "notes", provider)
    assert (done.status.exact, done.status.mapped, done.status.abridged) == (ROWS // 2, ROWS // 2, 0)
    assert done.status.expected.value < 1
    assert status(folder) == [done.status]
    true, held = np.asarray(NEW.embed(texts(ROWS)), dtype=np.float32), vectors_in(folder)
    for row in range(1, ROWS, 2):
        np.testing.assert_allclose(held[f"n{row}"], true[row], atol=1e-6)
    mapped = np.stack([held[f"n{row}"] for row in range(0, ROWS, 2)])
    assert np.mean(np.sum(mapped * true[::2], axis=1)) > 0.5


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, words)])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), json.loads(out) if out.startswith("{") else " ".join(out.split()), err


def test_the_command_line_says_what_texts_would_buy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = half_of_them(tmp_path / "db")
    function = json.dumps({"name": "test_wordllama", "config": {"dimension": 128}})
    model = ["--target-provider", "chroma", "--target-model", function, "--cache", tmp_path / "cache.sqlite3"]
    code, said, _ = run(capsys, "plan", folder, *model, "--samples", 60)
    assert code == 0
    assert "120 of 240 records store no text" in said
    code, said, _ = run(capsys, "plan", folder, *model, "--samples", 60, "--json")
    assert said["missing_texts"]["records"] == 120


def test_texts_that_somebody_has_by_id_make_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = build(tmp_path / "db", [None] * ROWS), tmp_path / "texts.jsonl"
    lines = [json.dumps({"id": f"n{row}", "text": text}) for row, text in enumerate(texts(ROWS))]
    file.write_text("\n".join([*lines, json.dumps({"id": "unknown", "text": "of nobody"})]))
    function = json.dumps({"name": "test_wordllama", "config": {"dimension": 128}})
    model = ["--target-provider", "chroma", "--target-model", function, "--cache", tmp_path / "cache.sqlite3"]
    place = tmp_path / "maps"
    options = ["--samples", 200, "--output-dir", place, "--failing", 0, "--json"]
    code, said, _ = run(capsys, "train", "--from-chroma", folder, "--texts", file, *model, *options)
    assert (code, said["projection"]["training"]["pairs"]) == (0, 200)
    assert "lexical" not in said["projection"]["training"]["method"]  # the database stores nothing to be read
    code, _, _ = run(capsys, "migrate", folder, "-p", said["files"][0], "--yes", "--no-backup", "--json")
    assert code == 0
    assert {len(vector) for vector in vectors_in(folder).values()} == {128}
    file.write_text('{"id": "n1"}')
    code, _, err = run(capsys, "train", "--from-chroma", folder, "--texts", file, *model, *options)
    assert (code, "no JSON object with a field 'text'" in err) == (1, True)
