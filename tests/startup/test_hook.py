"""`auto_migrate` when all is well, when it migrates, when it was interrupted, and when it must not."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

from lightmigrate import ChromaMigrator, CollectionJob, auto_migrate
from lightmigrate.errors import ModelMismatchError
from lightmigrate.migration.aside.workspace import Workspace
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.training.calibrate import calibrate
from lightmigrate.training.learning_options import LearningOptions
from tests import encoders
from tests.databases import folder_hash
from tests.encoders import MiniLMFunction, ShortWordLlamaFunction
from tests.migration.test_resume import KilledError, dies
from tests.processes import SERVES, another_process
from tests.providers.embedding_server import KEY, MODEL, running_server
from tests.startup.starts import (
    CORPUS,
    MINILM,
    NEW,
    POTION,
    QUICK,
    ROWS,
    SHORT,
    WORDLLAMA,
    database_of,
    fitted,
    registry,
    stored,
    vectors_of,
    write,
)


def test_when_all_is_well_nothing_is_opened_or_written_and_one_text_embedded(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = database_of(WORDLLAMA, tmp_path / "own" / "chroma_data", function=NEW)
    first = auto_migrate(own, NEW)  # measures what the record says
    assert (first.action, first.collections[0].finding.verdict) == ("nothing", "same")
    assert "50 of 50 vectors are this model's" in first.collections[0].finding.evidence
    before, calls = folder_hash(own), encoders._Function.calls
    monkeypatch.setattr(ChromaMigrator, "migrate", None)  # the database is not even copied
    report = auto_migrate(own, NEW)
    assert (report.action, report.collections[0].finding.verdict) == ("nothing", "same")
    assert "at an earlier start: 50 of 50" in report.collections[0].finding.evidence
    assert encoders._Function.calls == calls + 1  # is it still the same model?
    assert folder_hash(own) == before
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
        report = auto_migrate(database, NEW, **QUICK)
    lines = [f"{record.levelname}: {record.getMessage()}" for record in caplog.records]
    for line in (
        "INFO: ✓ Found projection all-MiniLM-L6-v2 → wordllama-256, migrating memory...",
        "WARNING: ⚠ AUTO-MIGRATION: Automatic backup will be created.",
        f"INFO: ✓ Migration complete: {ROWS} vectors migrated, {ROWS} of them embedded by the new model",
        f"INFO:   Backup: {report.backup}",
        "INFO:   Semantic preservation: 100.0%, every vector is the new model's own",
    ):
        assert line in lines
    assert len(lines) == 5, "no line for steps that take no time, none for projections that are not used"
    said = "\n".join(lines)
    assert not any(text[:50] in said for text in CORPUS.documents[:ROWS])
    json.dumps(report.to_json())
    with open_client(database) as client:
        collection = client.get_collection("memory", embedding_function=NEW)
        assert collection.query(query_texts=[CORPUS.documents[5][:200]], n_results=1)["ids"][0] == [CORPUS.ids[5]]
        with pytest.raises(ValueError, match="onflict"):
            client.get_collection("memory", embedding_function=MiniLMFunction())


def test_what_doing_nothing_gives_is_reported_and_of_no_interest_where_all_is_exact(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = ShortWordLlamaFunction()
    database = database_of(SHORT, tmp_path / "home" / "chroma_data", function=old)
    registry(tmp_path / "registry", (SHORT, WORDLLAMA))
    with caplog.at_level(logging.INFO, "lightmigrate"):
        (one,) = auto_migrate(database, NEW, previous_function=old, **QUICK).collections
    assert one.preservation is not None
    assert one.preservation.nothing is not None
    assert 0 < one.preservation.nothing.value < 1.1
    assert caplog.messages[-1] == "  Semantic preservation: 100.0%, every vector is the new model's own"


def test_only_an_expected_dimension(database: Path) -> None:
    """Without the function nothing can be trained or measured, so the right dimensions are enough."""
    assert auto_migrate(database, expected_dim=384).action == "nothing"
    report = auto_migrate(database, expected_dim=256)
    (one,) = report.collections
    assert (one.action, one.origin, one.target_model) == ("migrated", "projection", "wordllama-256")
    assert one.preservation is not None
    assert one.preservation.expected is None
    assert stored(database).shape == (ROWS, 256)


def test_a_projection_to_another_model_of_the_right_dimension_is_not_used(tmp_path: Path, database: Path) -> None:
    (one,) = auto_migrate(database, expected_dim=256, target_model="some other model").collections
    assert one.action == "refused"
    assert "No projection found for 384D → 256D" in one.reason
    command = f"lightmigrate train --from {database} --collection memory --target-model 'some other model'"
    assert command in one.reason
    assert stored(database).shape == (ROWS, 384)


def test_the_command_that_helps_names_a_function_that_every_process_can_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "db", vectors_of(SHORT)[:12], documents=CORPUS.documents[:12])
    monkeypatch.setenv("CHROMA_OPENAI_API_KEY", KEY)
    with running_server() as server:
        function = OpenAIEmbeddingFunction(model_name=MODEL, api_base=server.url)
        (one,) = auto_migrate(folder, function, calibrate=0).collections
        found, _, command = one.reason.partition("make one:  ")
        assert "✗ No projection found for 64D → 384D" in found
        said = shlex.split(command)
        assert said[:6] == ["lightmigrate", "train", "--from", str(folder), "--collection", "memory"]
        assert said[6:9] == ["--target-provider", "chroma", "--target-model"]
        assert ChromaProvider(said[9]).key == ChromaProvider(function).key


def test_no_command_is_proposed_for_a_function_that_only_the_application_can_build(database: Path) -> None:
    (one,) = auto_migrate(database, ShortWordLlamaFunction(), calibrate=0).collections
    assert "✗ No projection found for 384D → 64D (calibrate=0); no command can build" in one.reason
    assert "LIGHTMIGRATE_CALIBRATE=500" in one.reason
    assert "lightmigrate train" not in one.reason


def test_the_command_for_a_model_of_a_paid_provider_names_the_provider(database: Path) -> None:
    (one,) = auto_migrate(database, expected_dim=3072, target_model="text-embedding-3-large").collections
    proposed = f"train --from {database} --collection memory --target-provider openai --target-model text-embedding-3-"
    assert proposed in one.reason


def test_through_a_client_the_command_names_its_database(database: Path) -> None:
    with open_client(database) as client:
        (one,) = auto_migrate(client, expected_dim=3072, target_model="some model").collections
    assert f"lightmigrate train --from {database} --collection memory" in one.reason


def test_warn_and_raise_change_nothing(
    database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(database)
    monkeypatch.setattr(ChromaMigrator, "migrate", None)  # the database is not even copied
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


def test_an_existing_projection_is_built_on_if_that_keeps_more(database: Path) -> None:
    """It is trained on a part of the documents, and the existing projection on many more."""
    (one,) = auto_migrate(database, NEW, calibrate=60, min_quality=0.2).collections
    assert (one.action, one.origin, one.source_model) == ("migrated", "calibrated", "all-MiniLM-L6-v2")
    alone = calibrated_alone(database)
    assert one.preservation is not None
    assert one.preservation.expected is not None
    assert one.preservation.expected.value >= alone


def calibrated_alone(database: Path) -> float:
    """What the same documents give without the existing projection."""
    ChromaMigrator(database).rollback()
    with ChromaFolderStore(database) as store:
        done = calibrate(store.collection(Address("memory")), ChromaProvider(NEW), 60, LearningOptions(MINILM))
    return done.gate.expected_retention.value


def test_a_database_that_somebody_has_open(database: Path) -> None:
    with open_client(database) as client:
        client.get_collection("memory", embedding_function=None).count()
        report = auto_migrate(database, NEW, **QUICK)
    assert (report.action, "open" in report.error) == ("refused", True)


@pytest.mark.parametrize(("step", "same"), [("write", True), ("verify", True), ("write", False)])
def test_an_interrupted_start_is_taken_up_if_it_is_still_wanted(step: str, same: bool, database: Path) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(database, on_progress=dies(step, 1)).migrate(
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
    with Workspace(ChromaFiles(database)).locked():
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive(), "somebody else is at it"
    other.join(timeout=300)
    assert reports[0].action == "migrated"


@pytest.mark.parametrize("then_serves", [True, False])
def test_another_process_migrates_between_its_look_and_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then_serves: bool
) -> None:
    """Workers that start at once: the other one may serve already, or not yet."""
    database = database_of(MINILM, tmp_path / "home" / "chroma_data")
    migrate, others = ChromaMigrator.migrate, list[StartReport]()

    with contextlib.ExitStack() as serving:

        def migrate_second(migrator: ChromaMigrator, *arguments: Any, **options: Any) -> Any:
            monkeypatch.setattr(ChromaMigrator, "migrate", migrate)
            others.append(auto_migrate(database, NEW))
            if then_serves:
                serving.enter_context(another_process(SERVES, database))
            return migrate(migrator, *arguments, **options)

        monkeypatch.setattr(ChromaMigrator, "migrate", migrate_second)
        report = auto_migrate(database, NEW, on_failure="raise")
    assert others[0].action == "migrated"
    assert report.action == "nothing"
    assert len(list(database.parent.glob("chroma_backup_*"))) == 1


def test_vectors_without_a_recorded_model_are_recognised_once(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    first = auto_migrate(database, NEW, **QUICK)
    assert first.collections[0].finding.verdict == "same"
    assert "median cosine 1.000" in first.collections[0].finding.evidence
    calls = encoders._Function.calls
    again = auto_migrate(database, NEW, **QUICK)
    assert "earlier start" in again.collections[0].finding.evidence
    assert encoders._Function.calls == calls + 1


class Nameless:
    """An embedding function without name and configuration."""

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension

    def __call__(self, input: list[str]) -> Any:
        return list(encoders.shared_wordllama(self.dimension).embed(input))


def test_a_function_without_a_name(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    assert "median cosine" in auto_migrate(database, Nameless(), **QUICK).collections[0].finding.evidence
    assert "earlier start" in auto_migrate(database, Nameless(), **QUICK).collections[0].finding.evidence
    shorter = auto_migrate(database, Nameless(64), on_mismatch="warn", **QUICK)
    assert shorter.collections[0].finding.verdict == "other dimension"


class Turned(Nameless):
    """Another model of the same dimension."""

    def __call__(self, input: list[str]) -> Any:
        return [vector[::-1] for vector in super().__call__(input)]


def test_a_function_without_a_name_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    assert auto_migrate(database, Turned(), calibrate=60, min_quality=0.2).action == "migrated"
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
    """What can be migrated is migrated, the rest is reported."""
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


@pytest.mark.parametrize("refine", ["background", "off"])
def test_a_graph_is_kept_for_vectors_that_become_exact_soon(
    refine: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bool] = []

    def job(*args: Any, **options: Any) -> CollectionJob:
        made = CollectionJob(*args, **options)
        said.append(made.soon_exact)
        return made

    monkeypatch.setattr("lightmigrate.startup.decide.CollectionJob", job)
    monkeypatch.setenv("LIGHTMIGRATE_REFINE", refine)
    report = auto_migrate(database, NEW, calibrate=60, min_quality=0.2)
    assert [one.action for one in report.collections] == ["migrated"]
    assert said == [refine == "background"]
    if report.refinement is not None:
        report.refinement.stop()
        report.refinement.wait()
