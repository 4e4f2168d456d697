"""Exact vectors and mapped ones in one index: neither kind is found more often for being of that kind."""

from __future__ import annotations

import numpy as np
import pytest

import lightmigrate
from lightmigrate import Extracts
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.mixed_index import centre_shift
from lightmigrate.projection.steps import ByText, Sum
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.quality.metrics import Array, search, unit
from tests.budget.collections import CORPUS, NEW, texts

ROWS, TAUGHT = 400, 120


def exact_found(true: Array, mapped: Array, queries: Array) -> float:
    """How much of the first ten is exact where every other document is; half is right."""
    exact = np.arange(len(true)) % 2 == 0
    return float(np.mean(exact[search(queries, np.where(exact[:, None], unit(true), unit(mapped)), 10)]))


@pytest.mark.parametrize("shrunk", [0.5, 0.8, 1.2])
def test_what_keeps_too_near_the_centre_or_too_far_from_it_is_shifted(shrunk: float) -> None:
    rng = np.random.default_rng(0)
    centre = np.zeros(32)
    centre[0] = 0.7
    deviations = rng.normal(size=(600, 32)) * 0.15
    true = unit(centre + deviations)
    held_out = centre + shrunk * (deviations + 0.05 * rng.normal(size=(600, 32)))
    asked = unit(centre + rng.normal(size=(300, 32)) * 0.15)
    before = exact_found(true, held_out, asked)
    after = exact_found(true, held_out - centre_shift(true, held_out, 0) * true.mean(axis=0), asked)
    assert abs(after - 0.5) < 0.4 * abs(before - 0.5)


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
    mapped, centre = step.with_text.apply(old, said), true[:TAUGHT].mean(axis=0)
    raw = Sum(step.with_text.bias, step.with_text.terms, normalise=False).apply(old, said)
    # least squares leave the centre where it is, so that the shift is what the mean lacks of it
    shift = raw[:TAUGHT].mean(axis=0) - centre
    before, after = (exact_found(true, rows, queries) for rows in (raw - shift, mapped))
    assert before < 0.4
    assert abs(after - 0.5) < 0.6 * abs(before - 0.5)


def test_halves_that_are_exact_find_all_among_themselves() -> None:
    true = np.asarray(NEW.embed(texts(TAUGHT)))
    searches = HeldOutSearch(true, 0)
    assert searches.overlaps_beside_exact(true) == 1
    assert searches.overlaps_beside_exact(true[::-1]) < 0.7


def test_other_projections_are_not_shifted() -> None:
    """Of few pairs; the mean of a least-squares map is that of its targets."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(80, 6)), unit(rng.normal(size=(80, 5)) + 1)
    (step,) = lightmigrate.fit(old, new, method="ridge").steps
    assert isinstance(step, Sum)
    raw = Sum(step.bias, step.terms, normalise=False).apply(old.astype(np.float32), None)
    np.testing.assert_allclose(raw.mean(axis=0), new.mean(axis=0), atol=1e-5)
