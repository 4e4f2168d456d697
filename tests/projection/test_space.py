"""A sketch of a space knows its own, on other texts too, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.projection.space import FEWEST_VECTORS, LIKE, Space

CORPUS = load_corpus()
SPACES = {"old": CORPUS.old_documents, "new": CORPUS.new_documents}


def turned(vectors: Any, seed: int = 0) -> Any:
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(vectors.shape[1],) * 2))
    return (vectors @ rotation).astype(np.float32)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("pairs", [60, 300])
def test_its_own_and_others(name: str, pairs: int) -> None:
    vectors = SPACES[name]
    space = Space.of(vectors[:pairs])
    assert space is not None
    assert space.likeness(vectors[600:]) == pytest.approx(space.own, rel=0.35)
    queries = CORPUS.old_queries if name == "old" else CORPUS.new_queries
    assert space.holds(queries), "texts of another kind"
    other = SPACES["new" if name == "old" else "old"]
    fitted = np.resize(np.pad(other, ((0, 0), (0, max(0, vectors.shape[1] - other.shape[1])))), vectors.shape)
    for stranger in (turned(vectors), turned(vectors, 1), other[:, : vectors.shape[1]], fitted):
        if stranger.shape[1] == vectors.shape[1]:
            assert space.likeness(stranger) < LIKE


def test_what_tells_nothing_says_nothing() -> None:
    noise = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    assert Space.of(noise) is None
    assert Space.of(SPACES["old"][: FEWEST_VECTORS - 1]) is None
    assert Space.of(np.zeros((100, 8))) is None
    space = Space.of(SPACES["old"][:300])
    assert space is not None
    assert space.holds(turned(SPACES["old"])[: FEWEST_VECTORS - 1]), "too few to say no"


def test_it_is_kept_in_the_file_and_by_a_chain(tmp_path: Path) -> None:
    there = fit(SPACES["old"][:200], SPACES["new"][:200], method="ridge")
    back = fit(SPACES["new"][:200], SPACES["old"][:200], method="ridge")
    again = Projection.load(there.save(tmp_path / "there.npz"))
    for kept, drawn in zip(again.spaces, there.spaces, strict=True):
        assert kept is not None
        assert drawn is not None
        np.testing.assert_array_equal(kept.directions, drawn.directions)
        assert kept.own == drawn.own
    assert there.then(back).spaces == (there.spaces[0], back.spaces[1])
