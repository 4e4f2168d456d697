"""The lengths of a model's vectors, which are a part of its space: l2 and inner products see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from lightmigrate.results import Result
from lightmigrate.vectors import meaningful

Kind = Literal["unit", "constant", "spread"]

# Lengths that differ by less are equal: rounding to 16 bits, or to 8, changes them by less than this share.
SAME_LENGTH = 0.01


@dataclass(frozen=True)
class Lengths(Result):
    """The lengths of some vectors of one model.

    Attributes:
        kind: unit – all are 1; constant – all are equal; spread – they differ between texts.
        shortest: the shortest length.
        median: the median length.
        longest: the longest length.
    """

    kind: Kind
    shortest: float
    median: float
    longest: float

    @classmethod
    def of(cls, vectors: Any) -> Lengths:
        """The lengths of vectors `(n, d)`; zero and invalid vectors do not count. Without others: unit."""
        rows = np.asarray(vectors, dtype=np.float32)
        lengths = np.linalg.norm(rows[meaningful(rows)].astype(np.float64), axis=1)
        if not len(lengths):
            return cls("unit", 1.0, 1.0, 1.0)
        shortest, median, longest = (float(value) for value in np.percentile(lengths, [0, 50, 100]))
        kind: Kind = "spread"
        if longest - shortest <= 2 * SAME_LENGTH * median:
            kind = "unit" if shortest > 1 - SAME_LENGTH and longest < 1 + SAME_LENGTH else "constant"
        return cls(kind, shortest, median, longest)

    @classmethod
    def from_json(cls, fields: object) -> Lengths | None:
        """Read back what `to_json` wrote; `None` for anything else, such as the header of an older file."""
        if not isinstance(fields, Mapping) or fields.get("kind") not in get_args(Kind):
            return None
        numbers = [fields.get(name) for name in ("shortest", "median", "longest")]
        if not all(isinstance(number, (int, float)) and number > 0 for number in numbers):
            return None
        return cls(fields["kind"], *(float(number) for number in numbers if number is not None))

    def __str__(self) -> str:
        if self.kind == "unit":
            return "length 1"
        if self.kind == "constant":
            return f"length {self.median:.4g}"
        return f"lengths {self.shortest:.4g} to {self.longest:.4g}, median {self.median:.4g}"
