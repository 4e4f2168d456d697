"""How the length of a projected vector is found: it is predicted apart from the direction.

Regressing directions and the logarithm of the length finds more, in l2 and by the inner product, than regressing the
vectors themselves, whose lengths shrink, and than one length for all (`benchmarks/vector_lengths.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lightmigrate.estimators.arrays import Array, as_float32, as_numpy, beside, namespace
from lightmigrate.estimators.methods import Regression
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.projection.lengths import Lengths
from lightmigrate.projection.steps import Length
from lightmigrate.projection.unit_sphere import extend_from

# Where a matrix explains all but this share of the variance, nothing is shrunk: it gives lengths, too.
UNEXPLAINED = 0.01


@dataclass(frozen=True)
class TargetLengths:
    """The lengths of the targets of some pairs.

    Attributes:
        lengths: their description.
        scale: by what each target is divided for its direction, `(K, 1)`; 1 for a target that is zero.
        is_affine: whether the targets are an affine function of the sources. Then they are regressed as they are.
    """

    lengths: Lengths
    scale: Array
    is_affine: bool

    @classmethod
    def of(cls, source: Array, target: Array) -> TargetLengths:
        """The lengths of targets `(K, d_out)` and how they depend on sources `(K, d_in)`."""
        xp = namespace(target)
        lengths = Lengths.of(as_numpy(target))
        norms = xp.sqrt(xp.sum(target**2, axis=1))[:, None]
        if lengths.kind == "spread":
            variance = float(xp.mean(xp.sum((target - xp.mean(target, axis=0)) ** 2, axis=1)))
            if fit_ridge(source, target).leave_one_out_error <= UNEXPLAINED * variance:
                return cls(lengths, xp.ones_like(norms), True)
        return cls(lengths, xp.where(norms > 0, norms, xp.ones_like(norms)), False)

    def fit(self, regress: Callable[[Array], Regression]) -> tuple[Length | None, Array]:
        """The length of a projected vector, and held-out predictions of it for the pairs, `(K, 1)`."""
        xp, lengths = namespace(self.scale), self.lengths
        if lengths.kind != "spread":
            constant = 1.0 if lengths.kind == "unit" else lengths.median
            length = None if lengths.kind == "unit" else Length(constant, constant)
            return length, xp.ones_like(self.scale) * constant
        bounded = beside(np.clip(as_numpy(self.scale), lengths.shortest, lengths.longest), self.scale)
        regression = regress(xp.log(bounded))
        held_out = xp.exp(xp.clip(regression.held_out, float(np.log(lengths.shortest)), float(np.log(lengths.longest))))
        return Length(lengths.shortest, lengths.longest, regression.step), held_out


def extended_from(centre: Array, vectors: Array) -> Array:
    """Rows `(n, d)` with length 1, on the rays from a centre `(d,)` through them; see `projection.unit_sphere`."""
    rows = as_float32(vectors - centre)
    extend_from(as_float32(centre), rows)
    return beside(rows.astype(np.float64), vectors)
