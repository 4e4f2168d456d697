"""The demo does the whole job, and its numbers are honest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator
from lightmigrate.demo.data import load_corpus, load_model, load_projection
from lightmigrate.demo.replay import DIGEST_BYTES, Recording
from lightmigrate.errors import ProviderError
from lightmigrate.quality.metrics import mean_cosine
from lightmigrate.vectors import Vectors

MODEL = "all-MiniLM-L6-v2"


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lightmigrate", "demo", "--folder", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_it_tells_the_whole_story_measures_every_step_and_goes_back(tmp_path: Path) -> None:
    """One run, as JSON: what people read is on stderr then."""
    (tmp_path / "lightmigrate_demo").mkdir()  # of an earlier run, which is left alone
    done = demo(tmp_path, "--json")
    for part in (
        "1,200 scientific abstracts, embedded by potion-base-8M",
        "below was recorded, and is replayed",
        "1,200 records of 256 dimensions, the new model has 384",
        "lightmigrate plan --budget 15%",
        "doing nothing: wide because all that tells is which neighbours both models share",
        "verified: every id, text, payload and vector",
        "doing nothing",
        "embedding everything",
        "Better than doing nothing",
        "300 searches; none of them was used to learn or to choose anything",
        "before: old model",
        "1,200 of 1,200 rows are exact now",
        "1,200 of 1,200 records are bit by bit what they were",
    ):
        assert part in done.stderr
    result = json.loads(done.stdout)
    database = Path(result["path"])
    assert database.parent == tmp_path / "lightmigrate_demo_2"
    assert list((tmp_path / "lightmigrate_demo").iterdir()) == []

    shares = [option["share_of_tokens"] for option in result["curve"]["options"]]
    assert shares == sorted(shares)
    everything = result["curve"]["size"]["tokens"]
    assert result["plan"]["tokens"] <= 0.15 * everything
    assert 0.1 * everything < result["tokens"] < 0.16 * everything

    kept, refined = result["retention"], result["refined"]
    assert kept["gain"]["low"] > 0.02
    assert kept["retention"]["value"] > result["projected"]["retention"]["value"] + 0.03
    assert refined["retention"]["value"] == pytest.approx(1, abs=1e-6)
    assert refined["reembedded"] == kept["reembedded"]
    assert result["refinement"]["status"]["exact"] == result["restored"] == 1200
    assert len(result["searches"]) == 3

    migrator = Migrator(database)
    assert [facts.dimension for facts in migrator.collections()] == [256]
    migrator.rollback()
    assert [facts.dimension for facts in migrator.collections()] == [384]


def test_the_data_is_real_and_belongs_together() -> None:
    corpus = load_corpus()
    assert len(corpus.ids) == len(set(corpus.ids)) == len(corpus.documents) == 1200
    assert corpus.old_documents.shape == (1200, 256)
    assert corpus.new_documents.shape == (1200, 384)
    assert len(corpus.queries) == len(corpus.old_queries) == len(corpus.new_queries) == 300
    assert all(grades for grades in corpus.relevant)
    np.testing.assert_allclose(np.linalg.norm(corpus.new_documents, axis=1), 1, atol=1e-3)
    projection = load_projection()
    assert mean_cosine(corpus.new_documents, projection.apply(corpus.old_documents)) > 0.7


def test_the_replayed_model_gives_what_was_embedded_and_refuses_other_texts() -> None:
    corpus = load_corpus()
    model = load_model(corpus, MODEL)
    np.testing.assert_array_equal(model.embed(corpus.documents[:3]), corpus.new_documents[:3])
    np.testing.assert_array_equal(model.embed_queries(corpus.queries[:3]), corpus.new_queries[:3])
    assert model.tokens > 0
    words = model.embed(["cancer", "mice"])
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, atol=1e-5)
    assert model.model.dimension == 384
    with pytest.raises(
        ProviderError, match=r"1 of 2 texts are not among the \d,\d+ .* lightmigrate plan DATABASE"
    ) as e:
        model.embed(["cancer", "a text that nobody embedded"])
    assert "nobody" not in str(e.value)


def test_a_recording_loses_little() -> None:
    texts, vectors = [f"text {row}" for row in range(300)], load_corpus().new_documents[:300]
    recording = Recording.from_arrays(Recording.of(texts, vectors).arrays())
    assert recording.digests.shape == (300, DIGEST_BYTES)
    assert recording.numbers.dtype == np.int8
    assert cosines(recording.vectors, vectors).min() > 0.95
    np.testing.assert_allclose(np.linalg.norm(recording.vectors, axis=1), np.linalg.norm(vectors, axis=1), rtol=1e-5)


def cosines(one: Vectors, other: Vectors) -> Vectors:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray(np.sum(one * other, axis=1) / lengths, dtype=np.float32)
