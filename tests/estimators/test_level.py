"""Exact vectors and mapped ones in one index: neither kind is found more often for being of that kind."""

from __future__ import annotations

import numpy as np
import pytest

import lightmigrate
from lightmigrate import Beginnings
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.fit import fit_pairs
from lightmigrate.estimators.level import levelling
from lightmigrate.projection.abridged import abridge
from lightmigrate.quality.metrics import Array, search, unit
from tests.dial.collections import CORPUS, NEW, texts

ROWS, TAUGHT = 400, 120


def exact_found(true: Array, mapped: Array, queries: Array) -> float:
    """How much of the first ten is exact where every other document is; half is right."""
    exact = np.arange(len(true)) % 2 == 0
    return float(np.mean(exact[search(queries, np.where(exact[:, None], unit(true), unit(mapped)), 10)]))


@pytest.mark.parametrize("shrunk", [0.5, 0.8, 1.2])
def test_what_keeps_too_near_the_centre_or_too_far_from_it_is_levelled(shrunk: float) -> None:
    rng = np.random.default_rng(0)
    centre = np.zeros(32)
    centre[0] = 0.7
    deviations = rng.normal(size=(600, 32)) * 0.15
    true = unit(centre + deviations)
    held_out = centre + shrunk * (deviations + 0.05 * rng.normal(size=(600, 32)))
    asked = unit(centre + rng.normal(size=(300, 32)) * 0.15)
    before = exact_found(true, held_out, asked)
    after = exact_found(true, held_out - levelling(true, held_out, 0), asked)
    assert abs(after - 0.5) < 0.4 * abs(before - 0.5)


def test_a_map_that_starts_from_first_words_leaves_room_for_exact_documents() -> None:
    said, true = texts(ROWS), np.asarray(NEW.embed(texts(ROWS)), dtype=np.float32)
    begun = np.asarray(NEW.embed([abridge(text, 12) for text in said]), dtype=np.float32)
    old, queries = CORPUS.old_documents[:ROWS], np.asarray(NEW.embed(CORPUS.queries), dtype=np.float32)
    by_text = dict(zip([abridge(text, 12) for text in said], begun, strict=True))
    found = {}
    for level in (False, True):
        fitted = fit_pairs(
            old[:TAUGHT],
            true[:TAUGHT],
            said[:TAUGHT],
            method="beginnings",
            words=None,
            beginnings=Beginnings(12, begun[:TAUGHT], lambda some: np.stack([by_text[text] for text in some])),
            prior=None,
            landmarks=100,
            seed=0,
            source_model=None,
            target_model=None,
            beside_exact=level,
        )
        found[level] = exact_found(true, fitted.projection.apply(old, said), queries)
        mapped = fitted.held_out if level else None
    assert found[False] < 0.4
    assert abs(found[True] - 0.5) < 0.6 * abs(found[False] - 0.5)
    assert mapped is not None
    searches = HeldOutSearch(true[:TAUGHT], 0)
    assert searches.overlaps_beside_exact(true[:TAUGHT]) == 1
    assert searches.overlaps_beside_exact(mapped) > searches.overlaps_beside_exact(mapped[::-1])


def test_other_maps_are_not_levelled() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(80, 6)), unit(rng.normal(size=(80, 5)) + 1)
    one, other = (
        fit_pairs(
            old, new, None, method="ridge", words=None, prior=None, landmarks=10, seed=0,
            source_model=None, target_model=None, beside_exact=beside,
        )
        for beside in (False, True)
    )  # fmt: skip
    assert isinstance(one.projection, lightmigrate.Projection)
    np.testing.assert_array_equal(one.projection.apply(old), other.projection.apply(old))
