"""`auto_migrate` when all is well, when it is interrupted, when it must not, and when something fails."""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import (
    ChromaMigrator,
    CollectionJob,
    CostError,
    LightmigrateError,
    ModelMismatchError,
    StartReport,
    auto_migrate,
)
from lightmigrate.migration.workspace import Workspace
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.startup.calibrate import calibrate
from lightmigrate.startup.purse import Purse
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma import ChromaStore, open_client
from tests import encoders
from tests.databases import folder_hash
from tests.encoders import MiniLMFunction, ShortWordLlamaFunction, WordLlamaFunction
from tests.migration.test_resume import KilledError, dies
from tests.startup.starts import (
    CORPUS,
    MINILM,
    NEW,
    POTION,
    ROWS,
    WORDLLAMA,
    database_of,
    fitted,
    registry,
    stored,
    vectors_of,
    write,
)

QUICK: dict[str, Any] = {"calibrate": 0, "min_quality": 0.2}


@pytest.fixture(scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    registry(folder / "registry", (MINILM, WORDLLAMA))
    return database_of(MINILM, folder / "home" / "chroma_data", function=MiniLMFunction()).parents[1]


@pytest.fixture
def database(_template: Path, tmp_path: Path) -> Path:
    """Vectors of MiniLM, as it records, and a map to wordllama in the registry."""
    shutil.copytree(_template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "home" / "chroma_data"


def test_when_all_is_well_nothing_is_opened_called_or_written(database: Path) -> None:
    before, calls = folder_hash(database), encoders._Function.calls
    report = auto_migrate(database, MiniLMFunction())
    assert (report.action, report.collections[0].finding.verdict) == ("nothing", "same")
    assert encoders._Function.calls == calls
    assert folder_hash(database) == before
    program = (
        "import sys, lightmigrate\n"
        "print(lightmigrate.auto_migrate(sys.argv[1], expected_dim=384).action, 'chromadb' in sys.modules, "
        "'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(database)], capture_output=True, text=True, check=True)
    assert done.stdout == "nothing False False\n"


def test_no_database_yet(tmp_path: Path) -> None:
    report = auto_migrate(tmp_path / "none", NEW)
    assert (report.action, report.collections) == ("nothing", ())
    assert not (tmp_path / "none").exists()


def test_the_log_says_what_was_promised(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lightmigrate"):
        report = auto_migrate(database, NEW, previous_function=MiniLMFunction(), **QUICK)
    lines = [f"{record.levelname}: {record.getMessage()}" for record in caplog.records]
    expected, nothing = (getattr(report.collections[0].preservation, name) for name in ("expected", "nothing"))
    assert 0 < nothing.value < 1
    for line in (
        "INFO: ✓ Found projection all-MiniLM-L6-v2 → wordllama-256, migrating memory...",
        "WARNING: ⚠ AUTO-MIGRATION: Automatic backup will be created.",
        f"INFO: ✓ Migration complete: {ROWS} vectors migrated",
        f"INFO:   Backup: {report.backup}",
        f"INFO:   Semantic preservation: {expected.value:.1%} (95 % interval {expected.low:.1%} to "
        f"{expected.high:.1%}; doing nothing: finds {nothing.value:.0%} of it)",
    ):
        assert line in lines
    said = "\n".join(lines)
    assert not any(text[:50] in said for text in CORPUS.documents[:ROWS])
    json.dumps(report.to_json())
    with open_client(database) as client:
        collection = client.get_collection("memory", embedding_function=NEW)
        assert collection.query(query_texts=[CORPUS.documents[5][:200]], n_results=1)["ids"][0] == [CORPUS.ids[5]]
        with pytest.raises(ValueError, match="onflict"):
            client.get_collection("memory", embedding_function=MiniLMFunction())


def test_only_an_expected_dimension(database: Path) -> None:
    """Without the function nothing can be learned or measured, and the right dimensions are all that is asked."""
    assert auto_migrate(database, expected_dim=384).action == "nothing"
    report = auto_migrate(database, expected_dim=256)
    (one,) = report.collections
    assert (one.action, one.route, one.target_model) == ("migrated", "projection", "wordllama-256")
    assert one.preservation is not None
    assert one.preservation.expected is None
    assert stored(database).shape == (ROWS, 256)


def test_a_map_that_leads_to_another_model_of_the_right_size_is_not_taken(tmp_path: Path, database: Path) -> None:
    (one,) = auto_migrate(database, expected_dim=256, target_model="some other model").collections
    assert one.action == "refused"
    assert "No projection found for 384D → 256D" in one.reason
    command = f"lightmigrate train --from-chroma {database} --collection memory --target-model 'some other model'"
    assert command in one.reason
    assert stored(database).shape == (ROWS, 384)


def test_the_command_that_helps_names_the_applications_own_function(database: Path) -> None:
    (one,) = auto_migrate(database, ShortWordLlamaFunction(), calibrate=0).collections
    found, _, command = one.reason.partition("make one:  ")
    assert "✗ No projection found for 384D → 64D" in found
    said = shlex.split(command)
    assert said[:6] == ["lightmigrate", "train", "--from-chroma", str(database), "--collection", "memory"]
    assert said[6:9] == ["--target-provider", "chroma", "--target-model"]
    assert ChromaProvider(said[9]).key == ChromaProvider(ShortWordLlamaFunction()).key


def test_warn_and_raise_change_nothing(
    database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(database)
    monkeypatch.setattr(ChromaMigrator, "migrate_collections", None)  # the database is not even copied
    report = auto_migrate(database, NEW, on_mismatch="warn")
    assert (report.action, [one.finding.verdict for one in report.mismatches]) == ("warned", ["other dimension"])
    assert "384 dimensions" in caplog.text
    with pytest.raises(ModelMismatchError, match=r"collection memory: .* 384 dimensions, the model makes 256"):
        auto_migrate(database, NEW, on_mismatch="raise")
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]


def test_what_is_left_out_is_not_looked_at(database: Path) -> None:
    report = auto_migrate(database, NEW, collections=["!memory"], **QUICK)
    assert (report.action, report.collections) == ("nothing", ())


def test_a_quality_that_is_asked_for_and_not_reached(database: Path) -> None:
    before = folder_hash(database)
    (one,) = auto_migrate(database, NEW, calibrate=0, min_quality=0.999).collections
    assert one.action == "refused"
    assert "below 1.00" in one.reason or "below" in one.reason
    (unmeasured,) = auto_migrate(database, expected_dim=256, min_quality=0.5).collections
    assert "cannot be measured here" in unmeasured.reason
    assert folder_hash(database) == before


def test_a_known_map_is_built_on_if_that_keeps_more(database: Path) -> None:
    """It is learned from as many documents as the database has nearly, and the known map from many more."""
    (one,) = auto_migrate(database, NEW, calibrate=60, min_quality=0.2).collections
    assert (one.action, one.route, one.source_model) == ("migrated", "calibrated", "all-MiniLM-L6-v2")
    alone = calibrated_alone(database)
    assert one.preservation is not None
    assert one.preservation.expected is not None
    assert one.preservation.expected.value >= alone


def calibrated_alone(database: Path) -> float:
    """What the same documents give without the known map."""
    ChromaMigrator(database).rollback()
    with ChromaStore(database) as store:
        done = calibrate(store.collection(Address("memory")), ChromaProvider(NEW), 60, source_model=MINILM)
    return done.gate.expected_retention.value


class Paid(WordLlamaFunction):
    """One that wants a key, whose price nobody knows."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "api_key_env_var": "SOME_KEY"}


@pytest.mark.parametrize("known", [True, False])
def test_what_may_not_be_spent_is_not_spent(known: bool, database: Path, tmp_path: Path) -> None:
    if not known:
        shutil.rmtree(tmp_path / "registry")
    calls = encoders._Function.calls
    (one,) = auto_migrate(database, Paid(), expected_dim=256, target_model="wordllama-256", max_cost=1.0).collections
    assert encoders._Function.calls <= calls + 1, "but for the dimension"
    if known:
        assert (one.route, one.preservation and one.preservation.expected) == ("projection", None)
    else:
        assert "nobody knows what wordllama-256 costs" in one.reason


def test_what_may_not_be_paid_for_is_not_asked_to_recognise_vectors(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    calls = encoders._Function.calls
    (one,) = auto_migrate(database, Paid(), max_cost=0.0).collections
    assert (one.finding.verdict, one.action) == ("unknown", "nothing")
    assert "nobody knows what wordllama-256 costs" in one.finding.evidence
    assert encoders._Function.calls == calls + 1, "for the dimension"


def test_all_collections_are_paid_out_of_one_purse() -> None:
    purse, provider = Purse(1.0), ChromaProvider(NEW)
    purse.pay(provider, 0.6, "the first")
    with pytest.raises(CostError, match=r"the second would cost \$0.50, \$0.60 of \$1.00 are spent"):
        purse.pay(provider, 0.5, "the second")
    purse.pay(provider, 0.4, "the third")
    purse.pay(provider, 0.0, "what runs here")
    Purse(None).pay(provider, None, "anything")


def test_what_fails_is_said_and_the_server_starts(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(WordLlamaFunction):
        def __call__(self, input: Any) -> Any:
            raise ConnectionError("secret")

    before = folder_hash(database)
    report = auto_migrate(database, Broken())
    assert (report.action, "failed with ConnectionError" in report.error) == ("failed", True)
    assert "secret" not in caplog.text + report.error
    with pytest.raises(LightmigrateError, match="ConnectionError"):
        auto_migrate(database, Broken(), on_failure="raise")
    assert folder_hash(database) == before
    with pytest.raises(LightmigrateError, match="say what the application embeds with"):
        auto_migrate(database)


@pytest.mark.parametrize("said", [
    {"expected_dim": 0}, {"expected_dim": -3}, {"expected_dim": True}, {"expected_dim": "256"}, {"expected_dim": 256.0},
    {"target_model": ""}, {"target_model": 5}, {"expected_dim": 256, "backups": True},
], ids=str)  # fmt: skip
def test_a_call_that_makes_no_sense(said: dict[str, Any], tmp_path: Path) -> None:
    """It fails the first time it is tried, and not only when the model changes."""
    with pytest.raises(LightmigrateError, match=r"expected_dim|target_model|no such option"):
        auto_migrate(tmp_path / "none", **said)


def test_an_environment_that_makes_no_sense_migrates_nothing_and_the_server_starts(
    database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(database)
    monkeypatch.setenv("LIGHTMIGRATE_MIN_QUALITY", "87%")
    report = auto_migrate(database, NEW, calibrate=0)
    assert (report.action, report.error) == ("failed", caplog.messages[-1].partition("as it was: ")[2])
    assert report.error.startswith("LIGHTMIGRATE_MIN_QUALITY is '87%', which is not")
    monkeypatch.setenv("LIGHTMIGRATE_ON_FAILURE", "raise")
    with pytest.raises(LightmigrateError, match="LIGHTMIGRATE_MIN_QUALITY"):
        auto_migrate(database, NEW, calibrate=0)
    assert folder_hash(database) == before


class Confused(WordLlamaFunction):
    def get_config(self) -> dict[Any, Any]:
        return {"model_name": "wordllama-256", "nested": {("a", "tuple"): 1}}


@pytest.mark.parametrize(("place", "function"), [
    ("~nobody of that name/chroma_data", NEW), ("a\0b", NEW), ("x" * 5000, NEW), (None, NEW), (5, NEW),
    ("database", "no such function"), ("database", WordLlamaFunction), ("database", Confused()),
])  # fmt: skip
def test_what_cannot_be_made_sense_of_at_the_start_does_not_take_the_server_down(
    place: Any, function: Any, database: Path
) -> None:
    before = folder_hash(database)
    given = database if place == "database" else place
    report = auto_migrate(given, function, **QUICK)
    assert (report.action, bool(report.error)) == ("failed", True)
    json.dumps(report.to_json())
    with pytest.raises((LightmigrateError, OSError, ValueError, RuntimeError, TypeError)):
        auto_migrate(given, function, on_failure="raise", **QUICK)
    assert folder_hash(database) == before


@pytest.mark.parametrize("answer", [
    lambda texts: [np.full(256, np.nan, np.float32) for _ in texts],
    lambda texts: [np.ones(200 + len(texts), np.float32) for _ in texts],
    lambda texts: [np.ones(256, np.float32) for _ in texts[1:]],
    lambda texts: None,
    lambda texts: ["a", "b"],
    lambda texts: [[] for _ in texts],
], ids=["NaN", "other dimensions each time", "too few", "None", "letters", "nothing"])  # fmt: skip
def test_a_function_that_answers_nonsense(answer: Any, database: Path) -> None:
    class Nonsense(WordLlamaFunction):
        def __call__(self, input: Any) -> Any:
            return answer(input)

    before = folder_hash(database)
    report = auto_migrate(database, Nonsense(), **{**QUICK, "calibrate": 60})
    assert report.action in ("failed", "refused")
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]


@pytest.mark.parametrize("answers", [0, 1])
def test_a_function_that_hangs_is_not_waited_for(answers: int, database: Path) -> None:
    over = threading.Event()

    class Hanging(WordLlamaFunction):
        asked = 0

        def __call__(self, input: Any) -> Any:
            self.asked += 1
            if self.asked > answers:
                over.wait()
            return super().__call__(input)

    before = folder_hash(database)
    try:
        report = auto_migrate(database, Hanging(), max_seconds=3.0, calibrate=60)
    finally:
        over.set()
    assert report.action == "refused"
    assert "max_seconds" in report.error + "".join(one.reason for one in report.collections)
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]


def test_another_run_is_not_waited_for_longer_than_there_is_time(database: Path) -> None:
    with Workspace(database).locked():
        report = auto_migrate(database, NEW, max_seconds=0.3, **QUICK)
    assert (report.action, "max_seconds" in report.error) == ("refused", True)
    assert auto_migrate(database, NEW, max_seconds=600.0, **QUICK).action == "migrated"


def test_a_database_that_somebody_has_open(database: Path) -> None:
    with open_client(database) as client:
        client.get_collection("memory", embedding_function=None).count()
        report = auto_migrate(database, NEW, **QUICK)
    assert (report.action, "open" in report.error) == ("refused", True)


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_a_time_that_does_not_suffice(seconds: float, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that runs a hundred times too fast, so that it is over in the middle of something."""
    import time

    real = time.monotonic
    monkeypatch.setattr("lightmigrate.startup.deadline.time.monotonic", lambda: 100 * real())
    before = folder_hash(database)
    report = auto_migrate(database, NEW, max_seconds=seconds, min_quality=0.2)
    assert report.action == "refused"
    assert "max_seconds" in report.error
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]


@pytest.mark.parametrize(("step", "same"), [("write", True), ("verify", True), ("write", False)])
def test_an_interrupted_start_is_taken_up_if_it_is_still_wanted(step: str, same: bool, database: Path) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(database, on_progress=dies(step, 1)).migrate_collections(
            [CollectionJob("memory", fitted(MINILM, WORDLLAMA), NEW)], index="rewrite"
        )
    report = auto_migrate(database, NEW if same else MiniLMFunction(), **QUICK)
    assert report.recovered
    assert [path.name for path in database.parent.iterdir() if path.name.startswith(".")] == []
    if same:
        assert stored(database).shape == (ROWS, 256)
    else:
        np.testing.assert_allclose(stored(database), vectors_of(MINILM)[:ROWS], atol=1e-6)


def test_it_waits_for_another_run(database: Path) -> None:
    reports: list[StartReport] = []
    other = threading.Thread(target=lambda: reports.append(auto_migrate(database, NEW, **QUICK)))
    with Workspace(database).locked():
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive(), "somebody else is at it"
    other.join(timeout=300)
    assert reports[0].action == "migrated"


def test_vectors_that_say_nothing_of_their_model_are_recognised_once(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    first = auto_migrate(database, NEW, **QUICK)
    assert first.collections[0].finding.verdict == "same"
    assert "median cosine 1.000" in first.collections[0].finding.evidence
    calls = encoders._Function.calls
    again = auto_migrate(database, NEW, **QUICK)
    assert "earlier start" in again.collections[0].finding.evidence
    assert encoders._Function.calls == calls


class Nameless:
    """An embedding function as people write them, which does not say what it is."""

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension

    def __call__(self, input: list[str]) -> Any:
        return list(encoders.shared_wordllama(self.dimension).embed(input))


def test_a_function_that_does_not_say_what_it_is(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    assert "median cosine" in auto_migrate(database, Nameless(), **QUICK).collections[0].finding.evidence
    assert "earlier start" in auto_migrate(database, Nameless(), **QUICK).collections[0].finding.evidence
    other = auto_migrate(database, Nameless(64), **QUICK)
    assert other.collections[0].finding.verdict == "other dimension"


class Turned(Nameless):
    """Another model of the same dimension."""

    def __call__(self, input: list[str]) -> Any:
        return [vector[::-1] for vector in super().__call__(input)]


def test_a_record_that_could_not_be_renewed_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Chroma cannot record a function that does not say what it is: the collection goes on naming the old one."""
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    report = auto_migrate(database, Turned(), calibrate=60, min_quality=0.2)
    assert report.action == "migrated"
    assert "give it name() and get_config()" in caplog.text
    assert auto_migrate(database, Turned(), calibrate=0).action == "nothing"
    (back,) = auto_migrate(database, NEW, on_mismatch="warn").collections
    assert (back.finding.verdict, back.action) == ("other model", "warned")


def test_an_open_client(database: Path) -> None:
    with open_client(database) as client:
        memory = client.get_collection("memory", embedding_function=None)
        report = auto_migrate(client, NEW, **QUICK)
        assert (report.action, report.collections[0].migrated) == ("migrated", ROWS)
        assert memory.get(limit=1, include=["embeddings"])["embeddings"].shape == (1, 256)
        assert auto_migrate(client, NEW, **QUICK).action == "nothing"


def test_several_collections_in_one_go(tmp_path: Path) -> None:
    """What can be migrated is, the rest is reported."""
    folder = database_of(MINILM, tmp_path / "home" / "chroma_data", name="old")
    database_of(WORDLLAMA, folder, name="new")
    write(folder, vectors_of(POTION)[:ROWS], name="silent")
    registry(tmp_path / "registry", (MINILM, WORDLLAMA))
    report = auto_migrate(folder, NEW, **QUICK)
    found = {one.finding.name: (one.finding.verdict, one.action) for one in report.collections}
    assert found == {
        "old": ("other dimension", "migrated"),
        "new": ("same", "nothing"),
        "silent": ("unknown", "nothing"),
    }
