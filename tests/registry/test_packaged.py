"""The projections that come with lightmigrate: whole, small, honest about themselves, and fit for real vectors."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from lightmigrate import Projection
from lightmigrate.registry.entry import Entry
from lightmigrate.registry.library import PACKAGED
from lightmigrate.registry.manifest import REGISTRY_FILE
from lightmigrate.registry.registry import Registry
from lightmigrate.training.corpus import packaged_corpus
from tests.encoders import shared_minilm

ENTRIES = Registry(PACKAGED).entries()
DIMENSIONS = {
    "all-MiniLM-L6-v2": 384,
    "all-mpnet-base-v2": 768,
    "potion-base-8M": 256,
    "universal-sentence-encoder-multilingual-v3": 512,
}


def packaged(source: str, target: str) -> Projection:
    return Projection.load(PACKAGED / f"{source}_to_{target}.npz")


def test_every_ordered_pair_is_there_and_nothing_else() -> None:
    pairs = [(entry.source["name"], entry.target["name"]) for entry in ENTRIES]
    assert sorted(pairs) == sorted(itertools.permutations(DIMENSIONS, 2))
    files = {path.name for path in PACKAGED.iterdir() if not path.name.startswith(".")}
    assert files == {REGISTRY_FILE, "LICENSE.md", *(entry.file for entry in ENTRIES)}


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 12_000_000


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file)
def test_each_is_what_the_registry_says(entry: Entry) -> None:
    path = PACKAGED / entry.file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
    projection = Projection.load(path)
    said = projection.info.to_json()
    assert (said["source"], said["target"]) == (entry.source, entry.target)
    assert (said["training"], said["quality"]) == (entry.training, entry.quality)
    for model, space in zip((entry.source, entry.target), projection.spaces, strict=True):
        assert model["dimension"] == DIMENSIONS[model["name"]]
        assert model["normalised"]
        assert space is not None
        assert space.directions.shape[1] == model["dimension"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file)
def test_each_says_what_it_was_trained_on_and_how_good_it_is(entry: Entry) -> None:
    taken = entry.training["sources"]
    assert entry.training["pairs"] == sum(taken.values()) >= 20_000
    assert taken["wordnet"] <= sum(taken.values()) / 2
    for measured in (entry.quality, *entry.quality["families"].values()):
        expected = measured["expected_retention"]
        assert 0 <= expected["low"] <= expected["value"] <= expected["high"] <= 1
    assert entry.quality["verdict"] in ("PASS", "WARN", "FAIL")
    licences = (PACKAGED / "LICENSE.md").read_text()
    assert all(f"| {source} |" in licences for source in taken)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file)
def test_each_gives_finite_vectors_of_length_one(entry: Entry) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, entry.source["dimension"]))
    mapped = Projection.load(PACKAGED / entry.file).apply(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert mapped.shape == (20, entry.target["dimension"])
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-3)


def test_vectors_of_the_real_model_are_recognised() -> None:
    vectors = shared_minilm().embed(packaged_corpus()[-200:])
    turned = vectors @ np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0].astype(np.float32)
    for target in DIMENSIONS.keys() - {"all-MiniLM-L6-v2"}:
        space = packaged("all-MiniLM-L6-v2", target).spaces[0]
        assert space is not None
        assert space.holds(vectors)
        assert not space.holds(turned)


def test_what_was_alike_stays_alike_and_comes_back() -> None:
    """Real vectors through a map and back through its opposite: every text finds itself among two hundred."""
    vectors = shared_minilm().embed(packaged_corpus()[-200:])
    there = packaged("all-MiniLM-L6-v2", "all-mpnet-base-v2").apply(vectors)
    space = packaged("all-mpnet-base-v2", "potion-base-8M").spaces[0]
    assert space is not None
    assert space.holds(there)  # what comes out is of the kind that goes into maps from there
    above = np.triu_indices(len(vectors), 1)
    alike = np.corrcoef((vectors @ vectors.T)[above], (there @ there.T)[above])[0, 1]
    assert alike > 0.7
    back = packaged("all-mpnet-base-v2", "all-MiniLM-L6-v2").apply(there)
    assert (np.argmax(back @ vectors.T, axis=1) == np.arange(len(vectors))).mean() > 0.95
