"""Collections that store no texts, or some: what is left, what texts would have bought, and the way through."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lightmigrate
from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.curve_data import GAINS
from lightmigrate.budget.missing_texts import MissingTexts
from lightmigrate.cli.app import main
from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import CORPUS, NEW, NOTES, add_records, build, cached, curve, texts, vectors_in

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "retention.jsonl"
ROWS = 240


def half_of_them(folder: Path) -> Path:
    """Every other record stores its text."""
    with open_client(folder) as client:
        notes = client.create_collection("notes", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
        add_records(notes, [text if row % 2 else None for row, text in enumerate(texts(ROWS))])
    return folder


def test_what_texts_bought_is_what_was_measured() -> None:
    kept = defaultdict(list)
    for line in RESULTS.read_text().splitlines():
        run = json.loads(line)
        if run["nothing_all"] < 1:  # an upgrade
            kept[run["corpus"], run["old"], run["new"], run["pairs"], run["method"]].append(run["held_out"])
    read = {key[:-1]: statistics.mean(runs) for key, runs in kept.items() if key[-1] == "auto"}
    bought = [more - statistics.mean(kept.get((*case, "auto, no text"), [])) for case, more in read.items()]
    assert (len(bought), *(round(end(bought), 2) for end in (min, statistics.median, max))) == (34, *GAINS)


def test_without_a_text_the_ways_out_are_said_and_what_texts_would_have_bought(tmp_path: Path) -> None:
    with open_client(tmp_path / "db") as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(120)], embeddings=CORPUS.old_documents[:120]
        )
    said = r"0 of 120 records have a text, 60 are needed .*--texts FILE.jsonl.*0.02 to 0.35 more.*--source-model OLD"
    with pytest.raises(NotEnoughTextsError, match=said):
        curve(tmp_path / "db", cached(tmp_path))


def test_some_texts_are_enough_from_the_plan_to_the_status(tmp_path: Path) -> None:
    folder, provider = half_of_them(tmp_path / "db"), cached(tmp_path)
    drawn = curve(folder, provider, token_share=0.9)
    missing = MissingTexts.of(drawn)
    assert missing is not None
    assert missing.records == ROWS // 2
    assert missing.vectors_only.value < missing.with_texts.value
    everything = drawn.options[-1]
    assert everything.expected.value == pytest.approx((1 + missing.vectors_only.value) / 2)
    assert max(option.expected.value for option in drawn.options) <= everything.expected.value

    plan = BudgetPlan.of(NOTES, drawn, drawn.within(0.9 * drawn.size.tokens))
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    done = Migrator(folder).refine("notes", provider)
    assert (done.status.exact, done.status.projected, done.status.extract) == (ROWS // 2, ROWS // 2, 0)
    assert done.status.expected.value < 1
    assert Migrator(folder).status() == [done.status]
    true, held = np.asarray(NEW.embed(texts(ROWS)), dtype=np.float32), vectors_in(folder)
    for row in range(1, ROWS, 2):
        np.testing.assert_allclose(held[f"n{row}"], true[row], atol=1e-6)
    projected = np.stack([held[f"n{row}"] for row in range(0, ROWS, 2)])
    assert np.mean(np.sum(projected * true[::2], axis=1)) > 0.5


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


def by_id(file: Path, said: Sequence[str]) -> Path:
    """A file of texts that a database does not store."""
    lines = [json.dumps({"id": f"n{row}", "text": text}) for row, text in enumerate(said)]
    file.write_text("\n".join([*lines, json.dumps({"id": "unknown", "text": "of nobody"})]))
    return file


def test_texts_kept_elsewhere_do_what_stored_ones_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same plan, the same vectors, exact in the end; the database stores as little text as before."""
    stored, bare = build(tmp_path / "stored", texts(ROWS)), build(tmp_path / "bare", [None] * ROWS)
    file, function = (
        by_id(tmp_path / "texts.jsonl", texts(ROWS)),
        {"name": "test_wordllama", "config": {"dimension": 128}},
    )
    model = ["--target-provider", "chroma", "--target-model", json.dumps(function)]
    cache = ["--cache", tmp_path / "cache.sqlite3"]
    plans = {}
    for folder, more in ((stored, []), (bare, ["--texts", file])):
        options = ["--samples", 60, "--budget", "55%", "-o", tmp_path / f"{folder.name}.json", "--json"]
        code, said, _ = run(capsys, "plan", folder, *model, *cache, *options, *more)
        plans[folder], missing = said["plan"], said["missing_texts"]
        assert (code, missing) == (0, None)
    assert plans[bare].pop("texts_file") != plans[stored].pop("texts_file")
    assert plans[bare] == plans[stored]

    yes = [*cache, "--yes", "--force", "--json"]
    file.rename(tmp_path / "moved.jsonl")
    code, _, err = run(capsys, "migrate", bare, "--plan", tmp_path / "bare.json", *yes)
    assert (code, "give its new path (--texts FILE.jsonl)" in err) == (1, True)
    by_id(file, texts(ROWS)[:-7])
    code, _, err = run(capsys, "migrate", bare, "--plan", tmp_path / "bare.json", *yes)
    assert (code, f"{ROWS} texts then, {ROWS - 7} now; plan again" in err) == (2, True)
    (tmp_path / "moved.jsonl").rename(file)
    for folder in (stored, bare):
        code, _, _ = run(capsys, "migrate", folder, "--plan", tmp_path / f"{folder.name}.json", *yes)
        assert code == 0
    assert_same_vectors(stored, bare)

    code, said, _ = run(capsys, "refine", bare, *cache, "--json")
    assert (code, said["status"]["share_exact"]) == (0, 1.0)
    true = NEW.embed(texts(ROWS))
    held = vectors_in(bare)
    np.testing.assert_allclose([held[f"n{row}"] for row in range(ROWS)], true, atol=1e-6)
    with open_client(bare) as client:
        assert set(client.get_collection("notes", embedding_function=None).get()["documents"]) == {None}


def assert_same_vectors(one: Path, other: Path) -> None:
    """Whatever page a row came in."""
    ours, theirs = vectors_in(one), vectors_in(other)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[row] for row in ours], [theirs[row] for row in ours], atol=1e-6)


def test_a_map_reads_texts_that_are_kept_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored, bare = build(tmp_path / "stored", texts(ROWS)), build(tmp_path / "bare", [None] * ROWS)
    file, reading = by_id(tmp_path / "texts.jsonl", texts(ROWS)), tmp_path / "projection.npz"
    lightmigrate.fit(
        CORPUS.old_documents[:ROWS], np.asarray(NEW.embed(texts(ROWS))), texts(ROWS), method="lexical"
    ).save(reading)
    code, said, _ = run(capsys, "plan", bare, "-p", reading, "--texts", file)
    assert (code, f"--texts {file}" in said) == (0, True)
    options = ["-p", reading, "--yes", "--no-backup", "--force", "--json"]
    for folder, more in ((stored, []), (bare, ["--texts", file])):
        code, _, _ = run(capsys, "migrate", folder, *options, *more)
        assert code == 0
    assert_same_vectors(stored, bare)
    other = build(tmp_path / "other", [None] * ROWS)
    with open_client(other) as client:
        client.create_collection("second", embedding_function=None).add(ids=["n0"], embeddings=CORPUS.old_documents[:1])
    code, _, err = run(capsys, "migrate", other, *options, "--texts", file)
    assert (code, "--texts are those of one collection, and 2 would be migrated" in err) == (1, True)


def test_texts_that_somebody_has_by_id_train_a_projection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = build(tmp_path / "db", [None] * ROWS), by_id(tmp_path / "texts.jsonl", texts(ROWS))
    function = json.dumps({"name": "test_wordllama", "config": {"dimension": 128}})
    model = ["--target-provider", "chroma", "--target-model", function, "--cache", tmp_path / "cache.sqlite3"]
    place = tmp_path / "projections"
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
