"""Plans on folders of files: each worker embeds what the plan pays for, from one purse, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate import BudgetPlan
from lightmigrate.cli.app import main
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.extract import Extract
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.cache_file import CacheFile
from lightmigrate.scale import manifest
from lightmigrate.scale.digests import DigestFile, write
from lightmigrate.scale.workspace import Workspace
from lightmigrate.training.text_digest import text_digest
from lightmigrate.vectors import Vectors
from tests.cli.calls import refused, run
from tests.providers.embedding_server import KEY, running_server
from tests.scale.planned import (
    FILES,
    PRICE,
    ROWS,
    Case,
    build,
    by_one_process,
    held_when,
    require_equal,
    stored_of,
    vectors_in,
)
from tests.scale.test_folder_migration import alive, children_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with pytest.MonkeyPatch.context() as patched, running_server() as server:
        patched.setenv("OPENAI_API_KEY", KEY)
        yield build(tmp_path_factory.mktemp("planned") / "made", server)


@pytest.fixture(scope="module")
def expected(made: Case, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Vectors]:
    return by_one_process(made.copied(tmp_path_factory.mktemp("single") / "case"))


@pytest.fixture
def case(made: Case, tmp_path: Path) -> Case:
    made.server.texts.clear()
    return made.copied(tmp_path / "case")


def stored(case: Case) -> int:
    """How many vectors are in the cache."""
    ((count,),) = CacheFile(case.cache, shared=True).rows("SELECT count(*) FROM embeddings", ())
    return int(count)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_give_what_one_process_gives_and_pay_for_nothing_twice(
    case: Case, expected: dict[str, Vectors], workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    already = stored(case)
    done = json.loads(run(capsys, *case.words("--workers", workers, "--json")))
    require_equal(vectors_in(case.folder), expected)
    asked = case.asked()
    assert len(asked) == len(set(asked)) == stored(case) - already > FILES * ROWS / 2
    assert done["vectors"] == FILES * ROWS
    plan = BudgetPlan.load(case.plan)
    # the text that is in every file may be one of them
    assert plan.setting.documents <= done["exact"] <= plan.setting.documents + FILES
    assert "bit by bit" in run(capsys, "verify", case.folder)
    run(capsys, "rollback", case.folder, "--yes")


def ended(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[object, str]:
    """The exit code of a command, and what it said on stderr, on one line."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code, " ".join(capsys.readouterr().err.split())


def test_all_workers_together_spend_what_is_allowed_and_the_next_run_goes_on(
    case: Case, expected: dict[str, Vectors], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(capsys, case.words("--workers", 3, "--max-cost", 9))
    assert (code, "of $9.0000 are spent; allow more, or embed less" in said) == (2, True), said
    assert 0 < sum(len(text.split()) for text in case.server.texts) * PRICE / 1e6 <= 9
    asked = len(case.asked())
    run(capsys, *case.words("--workers", 3))
    assert len(case.asked()) > asked
    require_equal(vectors_in(case.folder), expected)
    assert set(Counter(case.asked()).values()) == {1}
    for table in ("purses", "calls", "claims"):
        assert CacheFile(case.cache, shared=True).rows(f"SELECT * FROM {table}", ()) == []


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_whoever_is_killed_nothing_that_was_written_is_paid_again(
    case: Case, expected: dict[str, Vectors], victim: str
) -> None:
    command = [sys.executable, "-m", "lightmigrate", *case.words("--workers", 2)]
    place = Workspace(case.folder)

    def one_is_done() -> bool:
        return any(manifest.read(place.manifest(name), manifest.Done) for name in place.runs())

    with held_when(case.server, one_is_done) as let_go:
        migration = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not one_is_done():
            assert migration.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        children = children_of(migration.pid)
        workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        if victim == "driver":
            migration.kill()
            migration.wait()
            while any(map(alive, children)):
                time.sleep(0.01)
        else:
            os.kill(workers[0], signal.SIGKILL)
            while all(map(alive, workers)):  # all are replaced with it
                time.sleep(0.01)
        kept = stored_of(case)
        before = Counter(case.asked())
        let_go()
        if victim == "driver":
            assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
        else:
            assert migration.wait() == 0
    again = [text for text, count in Counter(case.asked()).items() if count > 1]
    assert not kept & set(again)
    # what was under way when it died, of all that there is
    assert len(again) <= sum(before.values()) - len(kept & before.keys())
    require_equal(vectors_in(case.folder), expected)


def test_a_model_that_fails_stops_the_run_and_a_file_that_fails_does_not(
    case: Case, expected: dict[str, Vectors], capsys: pytest.CaptureFixture[str]
) -> None:
    case.server.refuses, takes = (lambda texts: (500, "out of order")), case.server.refuses
    try:
        code, said = ended(capsys, case.words("--workers", 2))
    finally:
        case.server.refuses = takes
    assert (code, "failed with status 500" in said) == (1, True), said
    mended = case.folder / "part-3.parquet"
    whole = mended.read_bytes()
    table = pq.read_table(mended)
    column = [[0.0] * 384, *table.column("embedding").to_pylist()[1:]]
    zeros = pa.array(column, table.schema.field("embedding").type)
    pq.write_table(table.set_column(2, "embedding", zeros), mended, row_group_size=25)
    code, said = ended(capsys, case.words("--workers", 2))
    assert code == 1
    assert "1 of 8 files were not converted, the others were" in said
    assert "part-3.parquet: 1 of 40 vectors hold NaN or infinity or are all zero" in said
    mended.write_bytes(whole)
    done = json.loads(run(capsys, *case.words("--workers", 2, "--json")))
    assert (done["files"], done["converted_now"]) == (8, 1)
    assert set(Counter(case.asked()).values()) == {1}


@pytest.mark.parametrize("where", ["one command", "two commands"])
def test_a_model_that_is_exchanged_leaves_no_file_to_be_mixed_with(
    case: Case, expected: dict[str, Vectors], capsys: pytest.CaptureFixture[str], where: str
) -> None:
    before, first = vectors_in(case.folder), case.server.model
    if where == "two commands":
        refuses = case.server.refuses
        case.server.refuses = lambda texts: (500, "out of order") if len(case.server.texts) > 200 else None
        assert ended(capsys, case.words("--workers", 2))[0] == 1
        case.server.refuses = refuses
    last = len(case.server.texts) + (200 if where == "one command" else 0)
    case.server.model = lambda texts: first(texts) if len(case.server.texts) <= last else -first(texts)
    cache = case.cache.with_name("other.sqlite3")
    for again in (False, True):
        words = [str(cache) if again and word == str(case.cache) else word for word in case.words("--workers", 2)]
        code, said = ended(capsys, words)
        assert (code, "was the model exchanged" in said) == (1, True), said
        require_equal(vectors_in(case.folder), before)
    case.server.model = first
    assert ended(capsys, case.words("--workers", 2))[0] == 0
    require_equal(vectors_in(case.folder), expected)


def test_files_that_were_written_since_they_were_planned_for_are_not_paid_for(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    (case.folder / "part-8.parquet").write_bytes((case.folder / "part-0.parquet").read_bytes())
    code, said = ended(capsys, case.words("--workers", 2))
    assert (code, f"{FILES * ROWS} records then, {(FILES + 1) * ROWS} now" in said) == (2, True), said
    queries = case.folder.parent / "queries.jsonl"
    queries.write_text(json.dumps({"text": "a query of a user"}) + "\n")
    assert "made with 0 queries of users" in ended(capsys, case.words("--queries", queries))[1]
    assert case.asked() == []
    assert not list(case.folder.parent.glob(".vectors.lightmigrate-files/*[!k]"))


def test_a_folder_is_planned_and_migrated_by_commands(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--target-provider", "openai", "--target-model", "minilm", "--target-url", case.server.url]
    plan, already = case.folder.parent / "own.json", stored(case)
    said = run(capsys, "plan", case.folder, *words, "--cache", case.cache, "--budget", "45%", "-o", plan)
    assert f"lightmigrate migrate {case.folder} --plan {plan}" in said
    assert "leave out --texts" in refused(capsys, "plan", case.folder, *words, "--text-field", "text")
    assert "leave out" in refused(capsys, "plan", case.folder, *words, "--distance", "l2")
    assert "--plan FILE" in refused(capsys, "migrate", case.folder, "--yes")
    done = run(capsys, "migrate", case.folder, "--plan", plan, "--cache", case.cache, "--force", "--yes")
    assert "of the vectors are the new model's own" in done
    assert len(case.asked()) == stored(case) - already


def test_a_lance_table_is_migrated_as_planned(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    table, other = (case.folder.parent / place / "docs.lance" for place in ("by workers", "by one"))
    for number in range(4):
        rows = pq.read_table(case.folder / f"part-{number}.parquet")
        lance.write_dataset(rows, table, mode="append" if number else "create")
    shutil.copytree(table, other)
    words = ["--target-provider", "openai", "--target-model", "minilm", "--target-url", case.server.url]
    plan, already = case.folder.parent / "lance.json", stored(case)
    run(capsys, "plan", table, *words, "--cache", case.cache, "--budget", "60%", "-o", plan)
    by_plan = ["--plan", plan, "--cache", case.cache, "--force", "--yes"]
    done = json.loads(run(capsys, "migrate", table, *by_plan, "--workers", 2, "--json"))
    assert (done["parts"], done["vectors"]) == (4, 4 * ROWS)
    assert done["exact"] >= BudgetPlan.load(plan).setting.documents
    run(capsys, "migrate", other, *by_plan)
    found, expected = (np.stack(lance.dataset(path).to_table()["embedding"].to_pylist()) for path in (table, other))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(case.asked()) == stored(case) - already


def test_digests_are_found_in_their_file(tmp_path: Path) -> None:
    known = [text_digest(str(number)) for number in range(500)] + [bytes(16), b"\xff" * 15 + b"\0"]
    write(tmp_path / "d", known)
    file = DigestFile(tmp_path / "d")
    assert len(file) == 502
    assert all(digest in file for digest in known)
    assert not any(text_digest(str(number)) in file for number in range(500, 900))
    assert b"\xff" * 16 not in file
    write(tmp_path / "none", [])
    assert bytes(16) not in DigestFile(tmp_path / "none")


def test_a_projection_that_embeds_extracts_needs_a_plan(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    place, rng = case.folder.parent / "extracts.npz", np.random.default_rng(0)
    term = Extract(rng.standard_normal((12, 12)).astype(np.float32), ExtractRule(8), 384)
    info = ProjectionInfo(Model("a", 384), Model("b", 12), {})
    Projection((Sum(np.zeros(12, np.float32), (term,), normalise=False),), info).save(place)
    for command in ("plan", "migrate"):
        code, said = ended(capsys, [command, str(case.folder), "-p", str(place), *(["--yes"] * (command == "migrate"))])
        assert (code, "migrate with --plan FILE" in said) == (2, True), said
    assert not list(case.folder.parent.glob(".vectors.lightmigrate-files/*.npz"))
