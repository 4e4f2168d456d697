"""Predicts how long a migration takes on this machine, from its size and a speed probe of a fifth of a second.

The coefficients are multiples of the probe's time, so that they hold on faster and slower machines. They were fitted
to measured migrations by `benchmarks/pace.py`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.projection.projection import Projection

# The probe does the work of one page of records: JSON, SHA-256, copying and multiplying numbers.
_ROWS, _NUMBERS, _REPEATS = 1000, 512, 5

# What `machine_seconds` is on a machine that is ten times as slow as usual ones.
_SLOW = 0.3

# Sample texts, and their number, on which a projection that reads texts is timed.
_TEXT = "forty words of nothing in particular to be read " * 4
_TEXTS = 300

# Coefficients of `Work.terms` and `Work.index_terms`.
_KEPT = (16.4, 6.69e-8, 1.14e-3, 3.34e-6, 3.97e-6)
_REBUILT = (4.46, 8.02e-7, 4.64e-9)


@dataclass(frozen=True)
class Work:
    """The size of a migration.

    Attributes:
        stored_bytes: bytes of the folder that is copied.
        collections: for each migrated collection the number of records, the dimension now, and the new dimension.
    """

    stored_bytes: int
    collections: Sequence[tuple[int, int, int]]

    def terms(self) -> list[float]:
        """The terms when the graph of every index is kept: opening, copying, reading, projecting, comparing."""
        records = sum(count for count, _, _ in self.collections)
        read = sum(count * dimension for count, dimension, _ in self.collections)
        written = sum(count * dimension for count, _, dimension in self.collections)
        return [1, self.stored_bytes, records, read, written]

    def index_terms(self) -> list[float]:
        """The additional terms when every index is rebuilt.

        Each insertion searches the records inserted before. The third power of the logarithm was measured on Chroma
        between 10,000 and 400,000 records: a larger index takes more steps, over more memory.
        """
        searches = [(count * math.log2(count + 1) ** 3, dimension) for count, _, dimension in self.collections]
        return [len(searches), sum(steps for steps, _ in searches), sum(steps * size for steps, size in searches)]


def seconds_for(work: Work, projections: Sequence[Projection]) -> tuple[float, float]:
    """Predicted seconds when the graph of every index is kept, and when every index is rebuilt.

    Args:
        work: size of the migration.
        projections: one for each collection, in the order of `work.collections`.
    """
    applied = sum(
        2 * count * _seconds_to_apply(projection)  # once to write, once to compare
        for (count, _, _), projection in zip(work.collections, projections, strict=True)
    )
    kept, rebuilt = seconds_to_write(work)
    return kept + applied, rebuilt + applied


def seconds_to_write(work: Work) -> tuple[float, float]:
    """The same without the time that applying the projections takes."""
    return _seconds_to_write(work, machine_seconds())


def seconds_on_a_slow_machine(work: Work) -> float:
    """The same, with new indexes, on a machine ten times as slow as usual ones; without the probe."""
    return _seconds_to_write(work, _SLOW)[1]


def _seconds_to_write(work: Work, unit: float) -> tuple[float, float]:
    kept = unit * float(np.dot(work.terms(), _KEPT))
    return kept, kept + unit * float(np.dot(work.index_terms(), _REBUILT))


@functools.cache  # it takes a third of a second, which every plan of a process would pay anew
def machine_seconds() -> float:
    """Seconds that this machine takes for the work of one page of records; the fastest of five runs of this process."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((_ROWS, _NUMBERS), dtype=np.float32)
    weights = rng.standard_normal((_NUMBERS, _NUMBERS), dtype=np.float32)
    rows = [["an-id", "some words of a document, and some more of them " * 5, {"key": "value", "number": 1}]] * _ROWS
    best = math.inf
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for row, vector in zip(rows, vectors @ weights, strict=True):
            hashlib.sha256(json.dumps(row, sort_keys=True).encode()).update(vector.tobytes())
        np.array(vectors.tolist(), dtype=np.float32)
        best = min(best, time.perf_counter() - started)
    return best


def _seconds_to_apply(projection: Projection) -> float:
    """Seconds to project one vector; 0 for a projection that calls a model, whose speed is unknown here."""
    if projection.extract_rule is not None:
        return 0.0
    vectors = np.random.default_rng(0).standard_normal((_TEXTS, projection.info.source.dimension), dtype=np.float32)
    started = time.perf_counter()
    projection.apply(vectors, [_TEXT] * _TEXTS)
    return (time.perf_counter() - started) / _TEXTS
