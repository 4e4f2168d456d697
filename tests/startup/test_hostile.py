"""`auto_migrate` when the call, the environment, the embedding function or the limits are not what they should be."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import auto_migrate
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.aside.workspace import Workspace
from lightmigrate.stores.chroma.files import ChromaFiles
from tests import encoders
from tests.databases import folder_hash
from tests.encoders import WordLlamaFunction
from tests.startup.starts import NEW, QUICK, WORDLLAMA, database_of


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


def test_a_function_that_holds_its_weights_as_an_array(database: Path) -> None:
    """Arrays are neither true nor false."""

    class Holding(WordLlamaFunction):
        weights = bias = None

        def get_config(self) -> dict[str, Any]:
            self.weights, self.bias = np.eye(3), np.zeros(0)
            return super().get_config()

    report = auto_migrate(database, Holding(), **QUICK)
    assert (report.action, report.error) == ("migrated", "")


def test_an_error_of_another_kind_is_told_by_its_place_and_quotes_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> Any:
        raise ValueError("a text of the user's own")

    monkeypatch.setattr("lightmigrate.startup.hook.open_database", fail)
    report = auto_migrate(database, NEW, **QUICK)
    assert report.action == "failed"
    assert report.error.startswith("ValueError in test_hostile.py, line ")
    assert "of the user's own" not in report.error + caplog.text


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
    with Workspace(ChromaFiles(database)).locked():
        report = auto_migrate(database, NEW, max_seconds=0.3, **QUICK)
    assert (report.action, "max_seconds" in report.error) == ("refused", True)
    assert auto_migrate(database, NEW, max_seconds=600.0, **QUICK).action == "migrated"


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
        assert (one.origin, one.preservation and one.preservation.expected) == ("projection", None)
    else:
        assert "the price of wordllama-256 is not known" in one.reason


def test_what_may_not_be_paid_for_is_not_asked_to_recognise_vectors(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    calls = encoders._Function.calls
    (one,) = auto_migrate(database, Paid(), max_cost=0.0).collections
    assert (one.finding.verdict, one.action) == ("unknown", "nothing")
    assert "the price of wordllama-256 is not known" in one.finding.evidence
    assert encoders._Function.calls == calls + 1, "for the dimension"


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


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_a_time_that_does_not_suffice(seconds: float, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that runs a hundred times too fast, so that it is over in the middle of something."""
    import time

    real = time.monotonic
    monkeypatch.setattr("lightmigrate.training.limits.time.monotonic", lambda: 100 * real())
    before = folder_hash(database)
    report = auto_migrate(database, NEW, max_seconds=seconds, min_quality=0.2)
    assert report.action == "refused"
    assert "max_seconds" in " ".join([report.error, *(one.reason for one in report.collections)])
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]
