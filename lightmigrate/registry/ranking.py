"""Which of several projections is best for the vectors at hand: looked at, measured, put in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.quality.metrics import Ranking, search
from lightmigrate.quality.retention import Estimate
from lightmigrate.registry.library import KINDS, Candidate
from lightmigrate.results import Result, plain

# Fewer documents than this say too little about what a projection keeps.
FEWEST_DOCUMENTS = 30

NEIGHBOURS = 10

_RESAMPLES = 2000

logger = logging.getLogger("lightmigrate")


@dataclass(frozen=True)
class Ranked(Result):
    """A candidate that was held against the vectors at hand.

    Attributes:
        candidate: where it comes from.
        projection: it, loaded.
        fits: whether the stored vectors are of the space it starts from; `None` when its file does not tell.
        likeness: the number behind it: about 1 for vectors of another model, clearly more for the right ones.
        overlap: share of each document's 10 nearest neighbours, as re-embedding gives them, that a search with its
            re-embedded vector finds among the mapped ones. `None` when that was not measured. It was measured on
            the documents given: for a projection fitted to the same ones it promises too much.
    """

    candidate: Candidate
    projection: Projection
    fits: bool | None
    likeness: float | None
    overlap: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; of the projection what it says about itself."""
        return {name: plain(self.projection.info.to_json() if name == "projection" else self[name]) for name in self}


def rank(
    candidates: Sequence[Candidate], stored: Vectors, texts: Sequence[str | None], recomputed: Vectors | None
) -> list[Ranked]:
    """Load the candidates, hold them against stored vectors, and put the best first. Writes nothing.

    Those that start from another space come last. Before that the best measured overlap comes first; where nothing
    is measured, the better kind of match, then the better stated quality, then fewer links, then the order given.
    A candidate that cannot be loaded, or takes or gives vectors of another length, is left out with a warning.

    Args:
        candidates: from `Library.find`.
        stored: `(n, d)`, a sample of the stored vectors.
        texts: the n stored documents, `None` for one without; empty when there are none.
        recomputed: `(n, d_out)`, the same documents embedded by the new model. With fewer than 30 of them, or none,
            nothing is measured.

    Raises:
        ValueError: another number of texts or of recomputed vectors than of stored ones.
    """
    if (texts and len(texts) != len(stored)) or (recomputed is not None and len(recomputed) != len(stored)):
        raise ValueError("stored vectors, texts and recomputed vectors must be of the same documents")
    meaningful = _meaningful(stored) if recomputed is None else _meaningful(stored) & _meaningful(recomputed)
    rows = stored[meaningful]
    documents = [text for text, kept in zip(texts, meaningful.tolist(), strict=True) if kept] if texts else []
    goal = None if recomputed is None else recomputed[meaningful]
    ranked = []
    for candidate in candidates:
        try:
            ranked.append(_look(candidate, rows, documents, goal))
        except (LightmigrateError, OSError) as error:
            logger.warning("left out %s: %s", candidate.description, error)
    return sorted(ranked, key=_order)


def _look(candidate: Candidate, stored: Vectors, texts: Sequence[str | None], recomputed: Vectors | None) -> Ranked:
    projection = candidate.load()
    projection.check_input(stored.shape[1])
    space = projection.spaces[0]
    likeness = None if space is None or not len(stored) else space.likeness(stored)
    fits = None if space is None else space.holds(stored)
    overlap = None
    if recomputed is not None:
        given = projection.info.target.dimension
        if given != recomputed.shape[1]:
            raise LightmigrateError(f"it gives {given} dimensions, the new model {recomputed.shape[1]}")
        if len(stored) >= FEWEST_DOCUMENTS:
            readable = any(text and text.strip() for text in texts)
            overlap = _overlap(recomputed, projection.apply(stored, texts if readable else None))
    return Ranked(candidate, projection, fits, likeness, overlap)


def _order(one: Ranked) -> tuple[bool, float, int, float, int]:
    stated = one.candidate.stated_quality
    return (
        one.fits is False,
        0.0 if one.overlap is None else -one.overlap.value,  # measured for all of them or for none
        KINDS.index(one.candidate.by),
        1.0 if stated is None else -stated,
        len(one.candidate.entries),
    )


def _overlap(true: Vectors, mapped: Vectors) -> Estimate:
    """Share of each row's nearest others among `true` that a search with it finds among `mapped`; both `(n, d)`."""
    pairs = zip(_nearest_others(true, true), _nearest_others(true, mapped), strict=True)
    shares = np.array([len(np.intersect1d(one, other)) / NEIGHBOURS for one, other in pairs])
    picks = np.random.default_rng(0).integers(0, len(shares), (_RESAMPLES, len(shares)))
    low, high = np.percentile(shares[picks].mean(axis=1), [2.5, 97.5])
    return Estimate(float(shares.mean()), float(low), float(high))


def _nearest_others(queries: Vectors, documents: Vectors) -> Ranking:
    found = search(queries, documents, NEIGHBOURS + 1)
    itself = found == np.arange(len(found))[:, None]
    itself[~itself.any(axis=1), -1] = True  # it is not among them: the farthest is one too many
    others: Ranking = found[~itself].reshape(len(found), NEIGHBOURS)
    return others


def _meaningful(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows of `(n, d)` are finite and not all zero."""
    return np.asarray(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1), dtype=np.bool_)
