"""Ranks projections for a sample of stored vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.space import FEWEST_VECTORS
from lightmigrate.quality.metrics import Ranking, search
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.registry.library import KINDS, Candidate
from lightmigrate.results import Result, plain
from lightmigrate.vectors import Vectors, meaningful

# With fewer documents the overlap is too noisy to measure.
FEWEST_DOCUMENTS = 30

NEIGHBOURS = 10

_RESAMPLES = 2000

logger = logging.getLogger("lightmigrate")


@dataclass(frozen=True)
class Ranked(Result):
    """A candidate, compared with a sample of stored vectors.

    Attributes:
        candidate: its origin.
        projection: the loaded projection.
        fits: whether the stored vectors are of its source space; `None` when its file has no sketch of that space, or
            the vectors are too few to tell.
        likeness: of the stored vectors to its source space: about 1 for another model, clearly more for the right one.
        overlap: share of each document's 10 nearest neighbours, as re-embedding gives them, that a search with its
            re-embedded vector finds among the projected ones; `None` when not measured. Too optimistic
            for a projection that was fitted to the same documents.
    """

    candidate: Candidate
    projection: Projection
    fits: bool | None
    likeness: float | None
    overlap: QualityEstimate | None

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; of the projection its `info`."""
        return {name: plain(self.projection.info.to_json() if name == "projection" else self[name]) for name in self}


def rank(
    candidates: Sequence[Candidate], stored: Vectors, texts: Sequence[str | None], recomputed: Vectors | None
) -> list[Ranked]:
    """Load the candidates, compare them with stored vectors, and sort them, best first. Writes nothing.

    Those with another source space come last. Before that the best measured overlap comes first; where nothing
    is measured, the better kind of match, then the better stated quality, then fewer links, then the order given.
    A candidate that cannot be loaded, or has other dimensions, is left out with a warning.

    Args:
        candidates: from `Library.find`.
        stored: `(n, d)`, a sample of the stored vectors.
        texts: the n stored documents, `None` for one without; empty when there are none.
        recomputed: `(n, d_out)`, the same documents embedded by the new model. With fewer than 30 of them, or none,
            nothing is measured.

    Raises:
        ValueError: the numbers of texts, recomputed and stored vectors differ.
    """
    if (texts and len(texts) != len(stored)) or (recomputed is not None and len(recomputed) != len(stored)):
        raise ValueError("stored vectors, texts and recomputed vectors must be of the same documents")
    valid = meaningful(stored) if recomputed is None else meaningful(stored) & meaningful(recomputed)
    rows = stored[valid]
    documents = [text for text, kept in zip(texts, valid.tolist(), strict=True) if kept] if texts else []
    goal = None if recomputed is None else recomputed[valid]
    ranked = []
    for candidate in candidates:
        try:
            ranked.append(_compare(candidate, rows, documents, goal))
        except (LightmigrateError, OSError) as error:
            logger.warning("left out %s: %s", candidate.description, error)
    return sorted(ranked, key=_order)


def _compare(candidate: Candidate, stored: Vectors, texts: Sequence[str | None], recomputed: Vectors | None) -> Ranked:
    projection = candidate.load()
    projection.check_input(stored.shape[1])
    space = projection.spaces[0]
    likeness = None if space is None or not len(stored) else space.likeness(stored)
    fits = None if space is None or len(stored) < FEWEST_VECTORS else space.holds(stored)
    overlap = None
    if recomputed is not None:
        given = projection.info.target.dimension
        if given != recomputed.shape[1]:
            raise LightmigrateError(f"it gives {given} dimensions, the new model {recomputed.shape[1]}")
        if len(stored) >= FEWEST_DOCUMENTS:
            readable = any(text and text.strip() for text in texts)
            overlap = _overlap(recomputed, projection.apply(stored, texts if readable else None))
    return Ranked(candidate, projection, fits, likeness, overlap)


def _order(ranked: Ranked) -> tuple[bool, float, int, float, int]:
    stated = ranked.candidate.stated_quality
    return (
        ranked.fits is False,
        0.0 if ranked.overlap is None else -ranked.overlap.value,  # measured for all of them or for none
        KINDS.index(ranked.candidate.by),
        1.0 if stated is None else -stated,
        len(ranked.candidate.entries),
    )


def _overlap(true: Vectors, projected: Vectors) -> QualityEstimate:
    """Share of each row's nearest others among `true` that a search with it finds among `projected`; both `(n, d)`."""
    pairs = zip(_nearest_others(true, true), _nearest_others(true, projected), strict=True)
    shares = np.array([len(np.intersect1d(expected, found)) / NEIGHBOURS for expected, found in pairs])
    picks = np.random.default_rng(0).integers(0, len(shares), (_RESAMPLES, len(shares)))
    low, high = np.percentile(shares[picks].mean(axis=1), [2.5, 97.5])
    return QualityEstimate(float(shares.mean()), float(low), float(high))


def _nearest_others(queries: Vectors, documents: Vectors) -> Ranking:
    ranking = search(queries, documents, NEIGHBOURS + 1)
    itself = ranking == np.arange(len(ranking))[:, None]
    itself[~itself.any(axis=1), -1] = True  # not among them: drop the farthest
    others: Ranking = ranking[~itself].reshape(len(ranking), NEIGHBOURS)
    return others
