"""Are these the vectors of one model, or of two? Told without either model.

Vectors of one model vary along the same few directions whatever they are about; those of another model vary along
others. So the rows are parted in two Gaussians of low rank (Tipping and Bishop 1999), from several beginnings, and if
there is a parting whose halves vary along each other's directions no more than by chance, they are of two models.
The topics of one model, or two corpora, are far from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.space import LIKE, TELLING
from lightmigrate.projection.vectors import Vectors, meaningful
from lightmigrate.results import Result

Labels = npt.NDArray[np.bool_]

# More rows than this tell nothing new, fewer tell nothing.
MOST_ROWS, FEWEST_ROWS = 1000, 100
FEWEST_OF_A_PART = 30

# Directions of each part, of all rows that the parting is done in, rounds of it, and partings that are looked at.
DIRECTIONS, REDUCED, ROUNDS, CANDIDATES = 16, 96, 15, 4


@dataclass(frozen=True)
class Mixture(Result):
    """Vectors of two models in one collection.

    Attributes:
        rows: looked at.
        fewer: of them in the smaller part.
        likeness: how much each part varies along the other's main directions relative to chance, the larger of the two.
        own: how much each part varies along its own, the smaller of the two.
    """

    rows: int
    fewer: int
    likeness: float
    own: float

    def __str__(self) -> str:
        return (
            f"{self.fewer} of {self.rows} vectors looked at are of another model than the others: each part varies "
            f"{self.likeness:.2f} times as much along the other's main directions as by chance, {self.own:.1f} times "
            "along its own"
        )


def find_mixture(vectors: Vectors, seed: int = 0) -> Mixture | None:
    """Look for two models in vectors `(n, d)`; `None` when there is one, or when that cannot be told.

    A tenth of 1,000 rows is usually found, a twentieth seldom; see `benchmarks/results/identity.md`.
    """
    rows = _unit(vectors[meaningful(vectors)])
    if len(rows) > MOST_ROWS:
        rows = rows[np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]]
    if len(rows) < FEWEST_ROWS:
        return None
    centred = rows - rows.mean(axis=0)
    reduced = centred @ _main(centred, min(REDUCED, rows.shape[1]))
    partings = []
    for start in _beginnings(reduced):
        part = _parted(reduced, start)
        if part is not None:
            partings.append((max(_likeness(reduced, part, DIRECTIONS), _likeness(reduced, ~part, DIRECTIONS)), part))
    for _, part in sorted(partings, key=lambda one: one[0])[:CANDIDATES]:
        found = _judged(rows, part)
        if found.likeness < LIKE and found.own >= TELLING:
            return found
    return None


def _judged(rows: Vectors, part: Labels) -> Mixture:
    """How alike the two halves of a parting are, in all dimensions."""
    k = max(2, min(DIRECTIONS, int(min(part.sum(), (~part).sum())) // 8))
    own = []
    for half in (rows[part], rows[~part]):
        turn = np.arange(len(half)) % 2 == 0
        own.append(_likeness(half, turn, k))
    likeness = max(_likeness(rows, part, k), _likeness(rows, ~part, k))
    return Mixture(len(rows), int(min(part.sum(), (~part).sum())), likeness, min(own))


def _likeness(rows: Vectors, part: Labels, k: int) -> float:
    """How much the other rows vary along the main directions of a part, relative to chance, which is 1."""
    directions = _main(rows[part] - rows[part].mean(axis=0), k)
    others = rows[~part] - rows[~part].mean(axis=0)
    along, total = float(np.sum((others @ directions) ** 2)), float(np.sum(others**2))
    return along / total * rows.shape[1] / directions.shape[1] if total else 1.0


def _main(centred: Vectors, k: int) -> Vectors:
    """The k directions `(d, k)` along which rows vary most."""
    if len(centred) < centred.shape[1]:  # the smaller of the two products
        _, left = np.linalg.eigh(centred @ centred.T)
        found = centred.T @ left[:, ::-1][:, :k]
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=0), np.finfo(np.float32).tiny))
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.asarray(directions[:, ::-1][:, :k])


def _beginnings(reduced: Vectors) -> Iterator[Labels]:
    """First guesses: the sides of the main directions, and the rows that these say least, or most, of."""
    for direction in range(3):
        yield reduced[:, direction] > 0
    total = np.maximum(np.sum(reduced**2, axis=1), np.finfo(np.float32).tiny)
    for directions in (2, 8, 32):
        order = np.argsort(np.sum(reduced[:, :directions] ** 2, axis=1) / total)
        for share in (0.5, 0.2, 0.07):
            count = max(FEWEST_OF_A_PART, int(share * len(order)))
            for rows in (order[:count], order[-count:]):
                chosen = np.zeros(len(order), dtype=np.bool_)
                chosen[rows] = True
                yield chosen


def _parted(reduced: Vectors, part: Labels) -> Labels | None:
    """Every row goes to the Gaussian it is likelier in, until none moves; `None` when one half dies out."""
    for _ in range(ROUNDS):
        if min(part.sum(), (~part).sum()) < FEWEST_OF_A_PART:
            return None
        one, other = (_log_likelihood(reduced, half) for half in (part, ~part))
        moved = one > other
        if (moved == part).all():
            break
        part = moved
    return part if min(part.sum(), (~part).sum()) >= FEWEST_OF_A_PART else None


def _log_likelihood(rows: Vectors, half: Labels) -> Vectors:
    """Of every row in the Gaussian of some of them: main directions with their variances, one variance for the rest."""
    members = rows[half]
    mean = members.mean(axis=0)
    variances, directions = np.linalg.eigh((members - mean).T @ (members - mean) / len(members))
    k = min(DIRECTIONS, len(members) // 3)
    main, rest = np.maximum(variances[::-1][:k], 1e-9), float(max(variances[::-1][k:].mean(), 1e-9))
    apart = rows - mean
    along = apart @ directions[:, ::-1][:, :k]
    remainder = np.sum(apart**2, axis=1) - np.sum(along**2, axis=1)
    volume = np.log(main).sum() + (rows.shape[1] - k) * np.log(rest) - 2 * np.log(half.mean())
    return np.asarray(-0.5 * (np.sum(along**2 / main, axis=1) + remainder / rest + volume))


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True), dtype=np.float64)
