"""What an earlier start left as it is, for a reason that lasts, is not copied and measured again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import auto_migrate
from lightmigrate.startup.report import CollectionReport, StartReport
from lightmigrate.stores.chroma.client import open_client
from tests import encoders
from tests.startup.starts import CORPUS, MINILM, NEW, POTION, ROWS, WORDLLAMA, database_of, registry, vectors_of, write


def only(report: StartReport) -> CollectionReport:
    (collection,) = report.collections
    return collection


def looked(report: StartReport) -> bool:
    """Whether a start looked at the vectors, and did not tell what an earlier one found."""
    return "earlier start" not in only(report).finding.evidence


def turned(texts: Sequence[str]) -> Any:
    """Another model of the same dimension."""
    return [vector[::-1] for vector in NEW.embed(list(texts))]


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A collection of another model that stores no documents."""
    return write(tmp_path / "home" / "chroma_data", vectors_of(POTION)[:ROWS])


@pytest.fixture
def calls() -> Callable[[], int]:
    """How many calls of the model there were since the last question."""

    def since() -> int:
        now, encoders._Function.calls = encoders._Function.calls, 0
        return now

    since()
    return since


def test_a_collection_without_documents_is_copied_once(silent: Path, calls: Callable[[], int]) -> None:
    first = auto_migrate(silent, NEW)
    assert (only(first).finding.verdict, first.action, looked(first)) == ("unknown", "nothing", True)
    calls()
    with open_client(silent) as client:  # which an application has open, as before: a copy would be refused
        assert client.count_collections() == 1
        again = auto_migrate(silent, NEW)
    assert (only(again).finding.verdict, again.action, again.error) == ("unknown", "nothing", "")
    assert not looked(again)
    assert calls() == 1, "is it still the same model?"


def test_a_refusal_is_reported_with_its_reason_and_not_learned_again(
    tmp_path: Path, calls: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    folder = database_of(MINILM, tmp_path / "home" / "chroma_data")
    strict: dict[str, Any] = {"calibrate": 60, "min_quality": 1.0}
    first = auto_migrate(folder, NEW, **strict)
    calls()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "lightmigrate"):
        again = auto_migrate(folder, NEW, **strict)
    assert (first.action, again.action) == ("refused", "refused")
    assert only(again).reason == only(first).reason
    assert not looked(again)
    assert calls() == 1
    assert [only(first).reason in line for line in caplog.messages] == [True]
    assert looked(auto_migrate(folder, NEW, **{**strict, "min_quality": 0.999})), "another policy"
    assert auto_migrate(folder, NEW, calibrate=60, min_quality=0.1).action == "migrated"


@pytest.mark.parametrize("change", ["text", "model", "policy", "copied folder"])
def test_what_it_depends_on_makes_a_start_look_again(silent: Path, change: str) -> None:
    auto_migrate(silent, NEW)
    assert not looked(auto_migrate(silent, NEW))
    options: dict[str, Any] = {}
    function: Any = NEW
    if change == "text":
        with open_client(silent) as client:
            memory = client.get_collection("memory", embedding_function=None)
            memory.update(ids=CORPUS.ids[:1], metadatas=[{"row": -1}])
    elif change == "model":
        function = turned
    elif change == "policy":
        options["text_field"] = "row"
    else:  # as every exchange of its files is
        main = silent / "chroma.sqlite3"
        content = main.read_bytes()
        main.unlink()
        main.write_bytes(content)
    assert looked(auto_migrate(silent, function, **options))


def test_a_new_projection_in_the_registry_is_tried(tmp_path: Path) -> None:
    folder = database_of(MINILM, tmp_path / "home" / "chroma_data")
    quick: dict[str, Any] = {"calibrate": 0, "min_quality": 0.2}
    assert only(auto_migrate(folder, NEW, **quick)).action == "refused"
    assert not looked(auto_migrate(folder, NEW, **quick))
    registry(tmp_path / "registry", (MINILM, WORDLLAMA))
    assert only(auto_migrate(folder, NEW, **quick)).action == "migrated"


def test_what_was_short_of_time_or_money_is_tried_again(tmp_path: Path) -> None:
    folder = database_of(MINILM, tmp_path / "home" / "chroma_data")
    short: dict[str, Any] = {"calibrate": 60, "min_quality": 1.0, "max_seconds": 600}
    assert only(auto_migrate(folder, NEW, **short)).action == "refused"
    assert looked(auto_migrate(folder, NEW, **short))


def test_a_refusal_does_not_make_the_old_model_unknown(tmp_path: Path) -> None:
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    assert only(auto_migrate(folder, NEW)).finding.verdict == "same"
    assert only(auto_migrate(folder, turned, calibrate=0)).action == "refused"
    assert not looked(auto_migrate(folder, turned, calibrate=0))
    recalled = only(auto_migrate(folder, NEW))
    assert (recalled.finding.verdict, "at an earlier start" in recalled.finding.evidence) == ("same", True)


def test_what_is_only_warned_of_is_measured_once(tmp_path: Path) -> None:
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    first, again = (auto_migrate(folder, turned, on_mismatch="warn") for _ in range(2))
    assert [only(report).finding.verdict for report in (first, again)] == ["other model"] * 2
    assert (first.action, again.action, looked(first), looked(again)) == ("warned", "warned", True, False)
