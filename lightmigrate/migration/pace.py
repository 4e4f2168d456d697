"""How long will it take on this machine? Foretold from what there is to do, and a probe of a fifth of a second.

The coefficients are in units of the probe's time, so that they hold for faster and slower machines alike; they were
fitted to migrations by `benchmarks/pace.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.projection.projection import Projection

# The probe's work: as much JSON and SHA-256, as many numbers copied and multiplied, as a page of records takes.
_ROWS, _NUMBERS, _REPEATS = 1000, 512, 5

# Texts as long as these, and so many, show how long a projection that reads them takes.
_TEXT = "forty words of nothing in particular to be read " * 4
_TEXTS = 300

# For `Work.terms` and `Work.index_terms`.
_KEPT = (16.4, 6.69e-8, 1.14e-3, 3.34e-6, 3.97e-6)
_REBUILT = (4.46, 8.02e-7, 4.64e-9)


@dataclass(frozen=True)
class Work:
    """What a migration has to do.

    Attributes:
        stored_bytes: of the folder that is copied.
        collections: of each that is migrated the number of records, their dimension, and the new one.
    """

    stored_bytes: int
    collections: Sequence[tuple[int, int, int]]

    def terms(self) -> list[float]:
        """What the time depends on when an index's graph is kept: opening, copying, reading, projecting, comparing."""
        read, written = (sum(one[0] * one[place] for one in self.collections) for place in (1, 2))
        return [1, self.stored_bytes, sum(one[0] for one in self.collections), read, written]

    def index_terms(self) -> list[float]:
        """What it depends on besides when every index is built anew.

        Each record looks for its place among the others. The third power is what was seen of Chroma between 10,000 and
        400,000 records: more steps, over more of each other's memory.
        """
        looked = [(count * math.log2(count + 1) ** 3, dimension) for count, _, dimension in self.collections]
        return [len(looked), sum(one for one, _ in looked), sum(one * dimension for one, dimension in looked)]


def seconds_for(work: Work, projections: Sequence[Projection]) -> tuple[float, float]:
    """Seconds it takes here when every index's graph is kept, and when every index has to be built anew.

    Args:
        work: what there is to do.
        projections: one for each collection.
    """
    unit = machine_seconds()
    applied = sum(
        2 * count * _seconds_to_apply(projection)  # once to write, once to compare
        for (count, _, _), projection in zip(work.collections, projections, strict=True)
    )
    kept = unit * float(np.dot(work.terms(), _KEPT)) + applied
    return kept, kept + unit * float(np.dot(work.index_terms(), _REBUILT))


def machine_seconds() -> float:
    """Seconds this machine takes for a little of what a migration does most; the fastest of five times."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((_ROWS, _NUMBERS), dtype=np.float32)
    weights = rng.standard_normal((_NUMBERS, _NUMBERS), dtype=np.float32)
    said = [["an-id", "some words of a document, and some more of them " * 5, {"key": "value", "number": 1}]] * _ROWS
    best = math.inf
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for row, vector in zip(said, vectors @ weights, strict=True):
            hashlib.sha256(json.dumps(row, sort_keys=True).encode()).update(vector.tobytes())
        np.array(vectors.tolist(), dtype=np.float32)
        best = min(best, time.perf_counter() - started)
    return best


def _seconds_to_apply(projection: Projection) -> float:
    """Of one vector; nothing for a projection that asks a model, whose pace nobody knows here."""
    if projection.first_words is not None:
        return 0.0
    vectors = np.random.default_rng(0).standard_normal((_TEXTS, projection.info.source.dimension), dtype=np.float32)
    started = time.perf_counter()
    projection.apply(vectors, [_TEXT] * _TEXTS)
    return (time.perf_counter() - started) / _TEXTS
