"""One model's vectors in another form, on real vectors: recognised, and computed where arithmetic suffices."""

from __future__ import annotations

import numpy as np
import pytest

from lightmigrate import Model
from lightmigrate.demo.data import load_corpus
from lightmigrate.quality.identity import Identity, identify
from lightmigrate.vectors import Metric, Vectors
from tests.encoders import shared_wordllama

TEXTS = load_corpus().documents[:60]
LONG = 8 * shared_wordllama().embed_long(TEXTS)
UNIT = shared_wordllama().embed(TEXTS)
SHORT = shared_wordllama(64).embed(TEXTS)


def computed(found: Identity, stored: Vectors, new: Vectors) -> Vectors:
    """What the exact projection makes of the stored vectors."""
    source, target = (Model("same", rows.shape[1], normalised=False) for rows in (stored, new))
    projection = found.exact(source, target)
    assert projection is not None
    return projection.apply(stored)


def centred(rows: Vectors, dimension: int) -> Vectors:
    cut = (rows - rows.mean(axis=1, keepdims=True))[:, :dimension]
    return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), dtype=np.float32)


FORMS = {
    "to length 1": (LONG, UNIT, "length", "length 1"),
    "to length 100": (LONG, 100 * UNIT, "length", "length 100"),
    "by a factor": (LONG, 3 * LONG, "length", "lengths"),
    "from length 1 to another": (UNIT, 7 * UNIT, "length", "length 7"),
    "from two lengths to one": (np.where(np.arange(60)[:, None] % 2, LONG, UNIT), UNIT, "length", "length 1"),
    "the first numbers": (UNIT, SHORT, "shortened", "first 64 of 256"),
    "the first numbers of long ones": (LONG, SHORT, "shortened", "first 64 of 256"),
    "the first numbers, not rescaled": (LONG, LONG[:, :64], "shortened", "first 64 of 256"),
    "the first numbers, centred": (UNIT, centred(UNIT, 64), "shortened", "centred"),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_follows_from_the_stored_vectors_is_computed_exactly(name: str) -> None:
    stored, new, kind, words = FORMS[name]
    found = identify(stored, new, TEXTS, metric="l2")
    assert found.verdict == "form"
    assert found.form is not None
    assert found.form.kind == kind
    assert found.reason.startswith("same model, other form: ")
    assert words in found.reason
    assert found.confidence > 0.9
    np.testing.assert_allclose(computed(found, stored, new), new, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_lengths_that_differ_between_texts_do_not_come_back(metric: Metric) -> None:
    found = identify(UNIT, LONG, TEXTS, metric=metric)
    assert (found.verdict, found.exact(Model("a", 256), Model("a", 256))) == ("form", None)
    assert "cannot be computed" in found.reason


def test_cosines_do_not_see_lengths() -> None:
    for stored, new in ((LONG, UNIT), (UNIT, LONG)):
        found = identify(stored, new, TEXTS, metric="cosine")
        assert found.verdict == "same"
        assert found.form is not None
        assert found.exact(Model("a", 256), Model("a", 256)) is None


def test_numbers_that_were_cut_off_do_not_come_back() -> None:
    found = identify(SHORT, UNIT, TEXTS)
    assert (found.verdict, found.exact(Model("a", 64), Model("a", 256))) == ("form", None)
    assert "first 64 of 256 numbers of this model" in found.reason


def in_eight_bits(rows: Vectors, *, unsigned: bool) -> Vectors:
    """As libraries quantise: between the smallest and the largest number of each dimension."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    return np.asarray(np.round((rows - low) / (high - low) * 255) - (0 if unsigned else 128), dtype=np.float32)


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_vectors_in_eight_bits_are_scaled_both_ways(unsigned: bool, metric: Metric) -> None:
    rounded = in_eight_bits(UNIT, unsigned=unsigned)
    for stored, new in ((rounded, UNIT), (UNIT, rounded)):
        found = identify(stored, new, TEXTS, metric=metric)
        assert found.verdict == "form"
        assert found.form is not None
        assert found.form.kind == "rounded"
        result = computed(found, stored, new)
        cosines = np.sum(result * new, axis=1) / np.linalg.norm(result, axis=1) / np.linalg.norm(new, axis=1)
        assert cosines.min() > 0.999
        np.testing.assert_allclose(np.linalg.norm(result, axis=1), np.linalg.norm(new, axis=1), rtol=0.05)


@pytest.mark.parametrize("zero", [0.0, -1.0])
def test_signs_are_recognised(zero: float) -> None:
    signs = np.where(UNIT > 0, 1.0, zero).astype(np.float32)
    for stored, new in ((signs, UNIT), (UNIT, signs)):
        found = identify(stored, new, TEXTS)
        assert found.verdict == "form"
        assert found.form is not None
        assert found.form.kind == "signs"
        assert "only signs" in found.reason


def test_another_model_is_no_form() -> None:
    corpus = load_corpus()
    for stored, new in (
        (corpus.old_documents[:60], UNIT),
        (corpus.new_documents[:60], UNIT),
        (UNIT, corpus.new_documents[:60]),
        (corpus.new_documents[:60], SHORT),
        (in_eight_bits(corpus.old_documents[:60], unsigned=False), UNIT),
        (np.sign(corpus.old_documents[:60]), UNIT),
        (UNIT, UNIT),
        (UNIT, UNIT.astype(np.float16)),
    ):
        found = identify(stored, new, TEXTS)
        assert found.form is None
        assert found.verdict != "form"


def test_what_all_vectors_have_in_common_makes_no_form() -> None:
    other = load_corpus().old_documents[:60]
    common = 20 * np.ones_like(UNIT)
    for stored, new in (
        (other, np.tile(UNIT[:1], (60, 1))),  # a model that gives every text the same vector
        (np.tile(UNIT[:1], (60, 1)), other),
        (in_eight_bits(other, unsigned=False), UNIT + common),
        (other, np.round(64 * (UNIT + common)) / 64),
    ):
        found = identify(stored, new.astype(np.float32), TEXTS)
        assert (found.verdict, found.form) == ("other", None), found.reason


def test_too_few_rows_are_no_form() -> None:
    assert identify(LONG[:4], UNIT[:4]).verdict == "unknown"
    assert identify(UNIT[:4], SHORT[:4]).form is None
