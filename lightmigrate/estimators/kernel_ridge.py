"""Kernel ridge regression: ridge in its dual form, from similarities between pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightmigrate.estimators.arrays import Array, namespace

# Penalties compared, relative to the mean eigenvalue of the centred similarities.
PENALTIES = np.logspace(-5, 2, 15).tolist()
MIDDLE = len(PENALTIES) // 2

# Eigenvalues of the basis below this share of the largest are rounding errors.
SMALLEST = 1e-10

# The same for the exact fit. Similarities of words are computed in float32 and not quite symmetric. The direction that
# centring removes must have the eigenvalue zero exactly: a rounding error there spoils the left-out residuals of few
# pairs.
SMALLEST_OF_ALL = 1e-6


@dataclass(frozen=True)
class KernelRidgeFit:
    """The result of a kernel ridge fit: `ŷ(x) = offset + Σ_i coefficients_i · similarity(x, basis_i)`.

    Attributes:
        coefficients: `(M, d_out)`, one row for each pair of the basis.
        offset: `(d_out,)`.
        penalty: the chosen λ, relative to the mean eigenvalue.
        leave_one_out_error: mean squared length of the residual of each pair when it is left out.
        leave_one_out: the predictions those residuals belong to, `(K, d_out)`.
    """

    coefficients: Array
    offset: Array
    penalty: float
    leave_one_out_error: float
    leave_one_out: Array


@dataclass(frozen=True)
class KernelRidge:
    """Decomposed similarities, to which any number of targets can be fitted.

    With H the centring matrix and HGH = Q·Λ·Qᵀ, the left-out residual of pair i is
    `(y_i - ŷ_i) / (1 - h_i)`, `h_i = 1/K + Σ_j q_ij² λ_j/(λ_j + λ)`: one decomposition serves all λ
    (Rifkin and Lippert, Notes on Regularized Least Squares, 2007).

    Attributes:
        values: Λ, `(M,)`.
        directions: Q, `(K, M)`.
        lift: `(M, M)`, multiplied with the rotated and shrunk target it gives the coefficients.
        column_means: mean similarity of all pairs to each pair of the basis, `(M,)`.
    """

    values: Array
    directions: Array
    lift: Array
    column_means: Array

    @classmethod
    def of(cls, similarity: Array) -> KernelRidge:
        """The exact fit, with every pair in the basis. `similarity` is `(K, K)`, positive semi-definite."""
        xp = namespace(similarity)
        column_means = xp.mean(similarity, axis=0)
        centred = similarity - column_means - column_means[:, None] + xp.mean(column_means)
        values, Q = xp.linalg.eigh((centred + centred.T) / 2)
        nonzero = values > SMALLEST_OF_ALL * values[-1]
        return cls(xp.where(nonzero, values, xp.zeros_like(values)), Q, Q, column_means)

    @classmethod
    def on_basis(cls, similarity: Array, among: Array) -> KernelRidge:
        """The approximate fit with M pairs in the basis (Nyström; Williams and Seeger 2001).

        Args:
            similarity: of all pairs to the pairs of the basis, `(K, M)`.
            among: of the pairs of the basis to each other, `(M, M)`.
        """
        xp = namespace(similarity)
        levels, V = xp.linalg.eigh(among)
        kept = levels > SMALLEST * levels[-1]
        root = V[:, kept] / xp.sqrt(levels[kept])
        column_means = xp.mean(similarity, axis=0)
        features = (similarity - column_means) @ root
        values, rotation = xp.linalg.eigh(features.T @ features)
        nonzero = values > SMALLEST * values[-1]
        values, rotation = values[nonzero], rotation[:, nonzero]
        scale = xp.sqrt(values)
        return cls(values, features @ rotation / scale, (root @ rotation) * scale, column_means)

    def fit(self, target: Array, start: int = MIDDLE) -> KernelRidgeFit:
        """Ridge with an unpenalised intercept, λ by exact leave-one-out error; `target` is `(K, d_out)`, K ≥ 2.

        `start` is the number of the penalty in `PENALTIES` from which the best one is looked for.
        """
        xp = namespace(target)
        K = len(target)
        mean = xp.mean(target, axis=0)
        residual_target = target - mean
        if self.level(K) <= 0:  # all sources are equal: the best prediction for each pair is the mean of the others
            others = mean - residual_target / (K - 1)
            error = float(xp.mean(xp.sum((target - others) ** 2, axis=1)))
            nothing = xp.zeros_like(self.column_means)[:, None] * mean
            return KernelRidgeFit(nothing, mean, 1.0, error, others)
        errors = _LeaveOneOut(self, residual_target)
        best = errors.least(start)
        penalty = PENALTIES[best]
        coefficients = self.lift @ (errors.rotated / (self.values + penalty * self.level(K))[:, None])
        offset = mean - self.column_means @ coefficients
        return KernelRidgeFit(coefficients, offset, penalty, errors.of(best), target - errors.residuals(best))

    def least_error(self, target: Array, start: int = MIDDLE) -> tuple[float, int]:
        """The smallest leave-one-out error of `fit`, and the number of its penalty in `PENALTIES`."""
        xp = namespace(target)
        mean = xp.mean(target, axis=0)
        if self.level(len(target)) <= 0:
            return self.fit(target).leave_one_out_error, start
        errors = _LeaveOneOut(self, target - mean)
        best = errors.least(start)
        return errors.of(best), best

    def level(self, pairs: int) -> float:
        """The mean eigenvalue, by which penalties are scaled."""
        return float(namespace(self.values).sum(self.values)) / pairs


class _LeaveOneOut:
    """The left-out residuals of one decomposition for one centred target `(K, d_out)`, for each penalty.

    Attributes:
        rotated: the target along the directions, `(M, d_out)`.
    """

    def __init__(self, ridge: KernelRidge, target: Array) -> None:
        self._ridge, self._target = ridge, target
        self._level = ridge.level(len(target))
        self._squares = ridge.directions**2
        self.rotated = ridge.directions.T @ target
        self._errors: dict[int, float] = {}

    def of(self, penalty: int) -> float:
        """The mean squared length of the residuals; `penalty` is a number in `PENALTIES`."""
        if penalty not in self._errors:
            xp, residuals = namespace(self._target), self.residuals(penalty)
            self._errors[penalty] = float(xp.mean(xp.sum(residuals**2, axis=1)))
        return self._errors[penalty]

    def least(self, start: int) -> int:
        """The penalty with the smallest error.

        The error falls and then rises with the penalty, so only those between `start` and the best one are tried.
        """
        best = start
        while (better := min(range(max(0, best - 1), min(best + 2, len(PENALTIES))), key=self.of)) != best:
            best = better
        return best

    def residuals(self, penalty: int) -> Array:
        """The residual of each pair when it is left out, `(K, d_out)`."""
        values, directions = self._ridge.values, self._ridge.directions
        shrink = values / (values + PENALTIES[penalty] * self._level)
        predicted = directions @ (shrink[:, None] * self.rotated)
        return (self._target - predicted) / (1 - 1 / len(self._target) - self._squares @ shrink)[:, None]
