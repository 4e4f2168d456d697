"""From a prediction to a vector of length 1: along the ray from the mean of the target model's vectors.

A regression shrinks what it predicts towards the mean of its targets, the more the less it knows of a text; true
vectors have length 1, all of them. What is predicted is how a vector differs from the mean, so that is made longer
until the vector has length 1. Dividing the whole vector by its length instead, the ray from the origin, leaves
vectors near the mean where the mean is long, as it is for models whose vectors are all alike (a mean cosine of .86 for
multilingual-e5-small): there they are a little nearer to every query than true ones, which are hardly found among
them (`benchmarks/beside_exact.py`).
"""

from __future__ import annotations

import numpy as np

from lightmigrate.vectors import Vectors, normalise_rows, squares

# Of a vector that is nearer to the mean, float32 does not tell the direction in which it differs.
NEAREST = np.float32(1e-4)

# The mean of unit vectors is shorter than 1, or 1 where they are all the same. Rounding may make its square so much,
# and what it lacks to 1 is so much at least.
LONGEST_CENTRE, LEAST_MISSING = 1.0001, np.float32(2e-6)


def extend_from(centre: Vectors, deviations: Vectors) -> None:
    """Turn deviations from a centre, in place, into the vectors of length 1 in their directions from it.

    `c + t·e` with the positive root t of `|e|²t² + 2(c·e)t + |c|² - 1 = 0`. A deviation of no length, or of one whose
    square float32 cannot hold, is added to the centre, and the sum divided by its length.

    Args:
        centre: c, float32 `(d,)`, shorter than 1.
        deviations: e, float32 `(n, d)`.
    """
    squared = squares(deviations)
    unusual = ~((squared > NEAREST**2) & (squared < np.inf))  # also what is not a number
    left = deviations[unusual] + centre
    squared[unusual] = 1
    along = deviations @ centre
    missing = missing_from(centre)
    with np.errstate(invalid="ignore", over="ignore"):
        root = np.sqrt(along**2 + squared * missing)
        # of two forms of the same root the one that does not subtract nearly equal numbers
        times = np.where(along > 0, missing / (root + along), (root - along) / squared)
        deviations *= times[:, None]
        deviations += centre
    if len(left):
        normalise_rows(left)
        deviations[unusual] = left


def missing_from(centre: Vectors) -> np.float32:
    """What the square of a centre's length lacks to 1, above 0."""
    return max(np.float32(1 - float(centre @ centre)), LEAST_MISSING)
