"""All collections of one old model are migrated together, and what the new model embedded on the way is kept."""

from __future__ import annotations

import json
import logging
import shlex
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

from lightmigrate import ChromaMigrator, auto_migrate
from lightmigrate.cli.app import main
from lightmigrate.migration.aside.location import PROVENANCE_FILE
from lightmigrate.providers.same_model import PROBE
from lightmigrate.stores.chroma.client import open_client
from tests.encoders import MiniLMFunction, WordLlamaFunction, shared_wordllama
from tests.providers import embedding_server
from tests.startup.starts import (
    CORPUS,
    MINILM,
    NEW,
    POTION,
    ROWS_OF_EACH,
    SHORT,
    SMALL,
    WORDLLAMA,
    database_of,
    many,
    stored,
    vectors_of,
    write,
)

# The new model as Chroma records it, which a command of the same process can build.
NEW_FUNCTION = {"name": NEW.name(), "config": NEW.get_config()}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every text that wordllama was asked for, and how often."""
    counted: Counter[str] = Counter()
    embed = WordLlamaFunction.embed

    def counting(function: WordLlamaFunction, texts: list[str]) -> Any:
        counted.update(texts)
        return embed(function, texts)

    monkeypatch.setattr(WordLlamaFunction, "embed", counting)
    return counted


def exact_rows(folder: Path, name: str) -> int:
    """How many rows of a collection hold the new model's own vector of their text."""
    with open_client(folder) as client:
        found = client.get_collection(name, embedding_function=None).get(include=["embeddings", "documents"])
    true = shared_wordllama(256).embed(found["documents"])
    return int((np.sum(np.asarray(found["embeddings"]) * true, axis=1) > 0.9999).sum())


def test_small_collections_of_one_model_teach_one_projection(
    tmp_path: Path, asked: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = many(tmp_path / "home" / "chroma_data")
    with caplog.at_level(logging.INFO, "lightmigrate"):
        report = auto_migrate(folder, NEW, calibrate=50, min_quality=0.1)
    assert report.action == "migrated"
    assert [one.action for one in report.collections] == ["migrated"] * SMALL
    assert {one.origin for one in report.collections} == {"calibrated"}
    assert max(asked.values()) == 1, "no text is paid for twice"
    texts = CORPUS.documents[: SMALL * ROWS_OF_EACH]
    embedded = sum(text in asked for text in texts)
    assert 50 <= embedded < len(texts)
    assert sum(one.exact for one in report.collections) == embedded
    assert exact_rows(folder, "file-003") == next(c.exact for c in report.collections if c.finding.name == "file-003")
    assert len(caplog.messages) < 12, "a log that stays readable"
    assert f"✓ Learned projection test_minilm → wordllama-256, migrating {SMALL} collections..." in [
        message.replace("all-MiniLM-L6-v2", "test_minilm") for message in caplog.messages
    ]

    migrator = ChromaMigrator(folder)
    assert all(check.contents_equal and check.vectors_equal for check in migrator.verify())
    status = {one.collection_name: one for one in migrator.status()}
    assert len(status) == SMALL
    assert sum(one.exact for one in status.values()) == embedded
    with sqlite3.connect(folder / PROVENANCE_FILE) as connection:
        assert connection.execute("SELECT count(*) FROM files").fetchone() == (1,), "one projection for all"
    connection.close()
    again = auto_migrate(folder, NEW)
    assert (again.action, {one.finding.verdict for one in again.collections}) == ("nothing", {"same"})
    migrator.rollback()
    np.testing.assert_allclose(stored(folder, "file-003"), vectors_of(MINILM)[21:28], atol=1e-6)


def test_where_learning_costs_as_much_every_text_is_embedded_once(tmp_path: Path, asked: Counter[str]) -> None:
    """Also of a collection with a single record; a text that is stored twice is paid for once."""
    folder = many(tmp_path / "home" / "chroma_data", 3, 5)
    with open_client(folder) as client:
        client.create_collection("one", embedding_function=None).add(
            ids=["a"], embeddings=vectors_of(MINILM)[:1], documents=CORPUS.documents[:1]
        )
    report = auto_migrate(folder, NEW)
    assert {one.origin for one in report.collections} == {"embedded"}
    assert [one.exact for one in report.collections] == [5, 5, 5, 1]
    assert all(one.preservation and one.preservation.expected for one in report.collections)
    speed = {word for word in asked if " " not in word}  # single words tell it
    assert set(asked) - speed == {PROBE, *CORPUS.documents[:15]}
    assert set(asked.values()) == {1}
    assert [exact_rows(folder, name) for name in ("file-000", "file-001", "file-002", "one")] == [5, 5, 5, 1]
    assert {one.share_exact for one in ChromaMigrator(folder).status()} == {1.0}


def test_records_without_a_text_are_projected_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = many(tmp_path / "home" / "chroma_data", 4, 8)
    with open_client(folder) as client:
        client.get_collection("file-000", embedding_function=None).add(
            ids=["bare"], embeddings=vectors_of(MINILM)[99:100]
        )
    report = auto_migrate(folder, NEW)
    assert [(one.migrated, one.exact) for one in report.collections] == [(9, 8), (8, 8), (8, 8), (8, 8)]
    assert "1 records have no text" in caplog.text


def test_collections_of_two_models_get_a_projection_each(tmp_path: Path) -> None:
    """MiniLM's have 384 dimensions, potion's 256 as the new model's have; one collection is the new model's already."""
    folder = many(tmp_path / "home" / "chroma_data", 3, 30)
    for number in range(2):
        part = slice(100 + 40 * number, 140 + 40 * number)
        write(folder, vectors_of(POTION)[part], documents=CORPUS.documents[part], name=f"potion-{number}")
    write(folder, vectors_of(WORDLLAMA)[:5], documents=CORPUS.documents[:5], name="new")
    report = auto_migrate(folder, NEW)
    found = {one.finding.name: (one.finding.verdict, one.action) for one in report.collections}
    assert found == {
        **{f"file-{number:03}": ("other dimension", "migrated") for number in range(3)},
        **{f"potion-{number}": ("other model", "migrated") for number in range(2)},
        "new": ("same", "nothing"),
    }
    assert exact_rows(folder, "potion-1") == 40


def test_a_recorded_function_is_measured_before_it_is_believed(tmp_path: Path) -> None:
    """The store records a function whatever vectors are added."""
    folder = database_of(POTION, tmp_path / "home" / "chroma_data", function=NEW)
    (one,) = auto_migrate(folder, NEW).collections
    assert (one.finding.verdict, one.action) == ("other model", "migrated")
    assert "another model's" in one.finding.evidence
    assert exact_rows(folder, "memory") == len(stored(folder))


def test_a_model_that_was_exchanged_under_its_name_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    assert auto_migrate(folder, NEW).collections[0].finding.verdict == "same"
    embed = WordLlamaFunction.embed
    monkeypatch.setattr(WordLlamaFunction, "embed", lambda self, texts: embed(self, texts)[:, ::-1])
    (one,) = auto_migrate(folder, NEW).collections
    assert (one.finding.verdict, one.action) == ("other model", "migrated")


def test_a_collection_that_was_filled_again_is_measured_again(tmp_path: Path) -> None:
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    assert auto_migrate(folder, NEW).action == "nothing"
    with open_client(folder) as client:
        collection = client.get_collection("memory", embedding_function=None)
        collection.delete(ids=CORPUS.ids[:160])
        collection.add(ids=CORPUS.ids[:50], embeddings=vectors_of(POTION)[:50], documents=CORPUS.documents[:50])
    assert auto_migrate(folder, NEW, on_mismatch="warn").collections[0].finding.verdict == "other model"


def test_a_record_that_cannot_be_measured_yet_is_no_failure(tmp_path: Path) -> None:
    database = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    with open_client(database) as client:
        client.get_collection("memory", embedding_function=None).count()
        report = auto_migrate(database, NEW)
    assert (report.action, report.error, report.collections[0].finding.verdict) == ("nothing", "", "unknown")
    assert "could not be measured yet" in report.collections[0].finding.evidence
    assert auto_migrate(database, NEW).collections[0].finding.verdict == "same"


class Prefixed(WordLlamaFunction):
    """The same model behind another prefix."""

    @staticmethod
    def name() -> str:
        return "test_prefixed"

    def embed(self, texts: list[str]) -> Any:
        return super().embed([f"search_document: {text}" for text in texts])


def test_a_variant_is_reported_at_every_start_until_it_is_migrated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data", function=NEW)
    new = Prefixed()
    for _ in range(2):
        caplog.clear()
        (one,) = auto_migrate(folder, new).collections
        assert (one.finding.verdict, one.action) == ("variant", "warned")
        assert "LIGHTMIGRATE_ON_VARIANT=migrate" in caplog.text
    (one,) = auto_migrate(folder, new, on_variant="migrate").collections
    assert one.action == "migrated"
    caplog.clear()
    assert auto_migrate(folder, new).action == "nothing"
    assert not caplog.text


def test_a_name_alone_makes_no_projection_fit_vectors_that_are_too_few(tmp_path: Path, database: Path) -> None:
    folder = write(tmp_path / "other" / "chroma_data", vectors_of(POTION)[:20], function=MiniLMFunction())
    (one,) = auto_migrate(folder, expected_dim=384, target_model="all-MiniLM-L6-v2").collections
    assert one.action == "refused"
    assert stored(folder).shape == (20, 256)
    (named,) = auto_migrate(database, expected_dim=384, target_model="all-MiniLM-L6-v2").collections
    assert named.finding.verdict == "unknown"
    assert "give the embedding function" in named.finding.evidence


def two_models(folder: Path, count: int, others: int) -> Path:
    """A collection of the new model in which some rows are of another one of the same dimension."""
    vectors = vectors_of(WORDLLAMA)[:count].copy()
    rows = np.random.default_rng(1).choice(count, others, replace=False)
    vectors[rows] = vectors_of(POTION)[rows]
    return write(folder, vectors, documents=CORPUS.documents[:count])


def test_a_few_rows_of_another_model_are_found_by_comparing_and_no_projection_is_applied(tmp_path: Path) -> None:
    folder = two_models(tmp_path / "my data", 400, 16)
    before = stored(folder)
    (one,) = auto_migrate(folder, NEW, calibrate=60).collections
    assert (one.finding.verdict, one.action) == ("mixed", "refused")
    assert "vectors are this model's" in one.finding.evidence  # too few for the vectors alone to show it
    assert "its vectors are of several models" in one.reason  # how many is in the evidence
    assert np.array_equal(stored(folder), before)
    proposed = one.reason.partition("with:  lightmigrate ")[2]
    words = [word.replace("MODEL", json.dumps(NEW_FUNCTION)) for word in shlex.split(proposed)]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--target-provider", "chroma", "-y"])
    assert ended.value.code in (0, None)
    assert exact_rows(folder, "memory") == 400


def test_a_collection_of_two_models_is_embedded_again_if_the_policy_says_so(tmp_path: Path) -> None:
    folder = two_models(tmp_path / "db", 100, 50)
    (one,) = auto_migrate(folder, NEW, embed_again=True).collections
    assert (one.finding.verdict, one.action, one.migrated) == ("mixed", "migrated", 100)
    assert exact_rows(folder, "memory") == 100
    assert auto_migrate(folder, NEW).action == "nothing"


def test_through_a_client_the_folder_is_named_where_documents_can_be_embedded_again(tmp_path: Path) -> None:
    folder = two_models(tmp_path / "db", 100, 50)
    with open_client(folder) as client:
        (one,) = auto_migrate(client, NEW, embed_again=True).collections
    assert one.action == "refused"
    assert f"in its folder when no process has it open:  lightmigrate migrate {folder} --collection" in one.reason


def test_the_command_for_records_without_texts_asks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "db", vectors_of(SHORT)[:100])
    monkeypatch.setenv("CHROMA_OPENAI_API_KEY", embedding_server.KEY)
    with embedding_server.running_server() as server:
        function = OpenAIEmbeddingFunction(model_name=embedding_server.MODEL, api_base=server.url)
        (one,) = auto_migrate(folder, function).collections
    assert one.action == "refused"
    assert f"lightmigrate train --from {folder} --collection memory --texts FILE.jsonl --target-provider" in one.reason
