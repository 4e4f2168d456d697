"""Exact vectors and projected ones in one index: neither kind is found more often for being of that kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lightmigrate
from lightmigrate import Extracts
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.projection.steps import ByText, Sum
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.quality.metrics import Array, search, unit
from tests.budget.collections import CORPUS, NEW, texts

ROWS, TAUGHT = 400, 120


def exact_found(true: Array, projected: Array, queries: Array) -> float:
    """How much of the first ten is exact where every other document is; half is right."""
    exact = np.arange(len(true)) % 2 == 0
    return float(np.mean(exact[search(queries, np.where(exact[:, None], unit(true), unit(projected)), 10)]))


def test_a_projection_with_extracts_leaves_room_for_exact_documents() -> None:
    said, true = texts(ROWS), np.asarray(NEW.embed(texts(ROWS)), dtype=np.float32)
    extracts = np.asarray(NEW.embed([ExtractRule(12).of(text) for text in said]), dtype=np.float32)
    by_text = dict(zip([ExtractRule(12).of(text) for text in said], extracts, strict=True))
    old, queries = CORPUS.old_documents[:ROWS], np.asarray(NEW.embed(CORPUS.queries), dtype=np.float32)
    projection = lightmigrate.fit(
        old[:TAUGHT],
        true[:TAUGHT],
        said[:TAUGHT],
        method="extract",
        extracts=Extracts(ExtractRule(12), extracts[:TAUGHT], lambda some: np.stack([by_text[text] for text in some])),
    )
    (step,) = projection.steps
    assert isinstance(step, ByText)
    projected, divided = (one.apply(old, said) for one in (step.with_text, replace(step.with_text, centre=None)))
    before, after = exact_found(true, divided, queries), exact_found(true, projected, queries)
    assert before < 0.4
    assert abs(after - 0.5) < 0.6 * abs(before - 0.5)


@pytest.mark.parametrize("method", ["ridge", "kernel", "averaged", "auto"])
def test_documents_of_a_model_whose_vectors_are_all_alike_are_found_beside_exact_ones(method: str) -> None:
    """As those of multilingual-e5-small, which have a mean cosine of .86."""
    rng = np.random.default_rng(0)
    said, old = CORPUS.documents[:ROWS], CORPUS.old_documents[:ROWS]
    common = rng.normal(size=CORPUS.new_documents.shape[1])
    common *= 2.5 / np.linalg.norm(common)
    true, queries = (unit(vectors + common) for vectors in (CORPUS.new_documents[:ROWS], CORPUS.new_queries))
    assert np.mean(true @ true.T) > 0.8
    projection = lightmigrate.fit(old[:TAUGHT], true[:TAUGHT], said[:TAUGHT], method=method)  # type: ignore[arg-type]
    (step,) = projection.steps
    step = step.with_text if isinstance(step, ByText) else step
    assert isinstance(step, Sum)
    projected, divided = (one.apply(old, said)[TAUGHT:] for one in (step, replace(step, centre=None)))
    before, after = (exact_found(true[TAUGHT:], rows, queries) for rows in (divided, projected))
    assert abs(after - 0.5) < abs(before - 0.5)
    assert abs(after - 0.5) < 0.2


def test_halves_that_are_exact_find_all_among_themselves() -> None:
    true = np.asarray(NEW.embed(texts(TAUGHT)))
    searches = HeldOutSearch(true, 0)
    assert searches.overlaps_beside_exact(true) == 1
    assert searches.overlaps_beside_exact(true[::-1]) < 0.7
