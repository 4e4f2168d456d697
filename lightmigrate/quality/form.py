"""Recognises one model's vectors in another form, and the arithmetic from one form to the other.

Forms: another length, the first numbers of a longer vector (Matryoshka representations), numbers rounded to 8 bits, and
their signs. What is a function of the stored vectors is computed exactly and costs nothing; nothing is learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.lengths import SAME_LENGTH, Lengths
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.steps import Length, Sum
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.quality.metrics import unit
from lightmigrate.results import Result

Kind = Literal["length", "shortened", "longer", "rounded", "signs"]
Rows = npt.NDArray[np.float64]

# Cosines of one text by one model: above SAME_COSINE in another length or cut, above ROUNDED_COSINE when one of both
# is rounded to 8 bits. Two models, and two texts, have less.
SAME_COSINE, ROUNDED_COSINE = 0.9998, 0.99

# The most of the model's variance between texts that may be lost by rounding to 8 bits, which loses a thousandth. The
# vectors of some models have so much in common that their mean alone has a higher cosine to each of them.
UNEXPLAINED = 0.1

# The share of the rows that have to agree, and of the signs.
AGREEING = 0.98

# Numbers rounded to 8 bits have at most so many values; signs have two.
LEVELS = 256

# The fewest rows from which a scale of each dimension is determined.
FEWEST_TO_SCALE = 20


@dataclass(frozen=True)
class Form(Result):
    """How stored vectors of a model differ from those that it makes now.

    Attributes:
        kind: length – only the lengths differ; shortened – the model's are the first numbers of the stored ones;
            longer – the stored ones are the first numbers of the model's; rounded – one of both is rounded to 8 bits;
            signs – one of both holds only the signs.
        description: in one line, with the numbers.
        is_exact: whether the model's vectors follow from the stored ones.
        is_rescaled: whether only lengths change; cosines do not see it.
        dimensions: of the stored vectors and of the model's.
        is_centred: whether the mean of each vector's numbers is subtracted before it is shortened.
        length: of all of the model's vectors; `None` where they have several.
        scales: by what each number is multiplied; one for all, or one for each of the model's dimensions.
        shifts: what is added to each number after that; empty for nothing.
    """

    kind: Kind
    description: str
    is_exact: bool
    is_rescaled: bool
    dimensions: tuple[int, int]
    is_centred: bool = False
    length: float | None = None
    scales: tuple[float, ...] = field(default=(1.0,), repr=False)
    shifts: tuple[float, ...] = field(default=(), repr=False)

    def projection(self, source: Model, target: Model) -> Projection | None:
        """The arithmetic as a projection; `None` where there is none.

        Args:
            source: the model as its vectors are stored.
            target: the model as it is now.
        """
        if not self.is_exact:
            return None
        old, new = self.dimensions
        weights = _matrix(old, new, self.is_centred) * np.asarray(self.scales)
        shifts = np.zeros(new) if not self.shifts else np.asarray(self.shifts)
        length = None if self.length in (None, 1.0) else Length(self.length or 1.0, self.length or 1.0)
        linear = Linear(np.ascontiguousarray(weights, dtype=np.float32))
        step = Sum(shifts.astype(np.float32), (linear,), normalise=self.length is not None, length=length)
        training = {"method": "arithmetic", "form": self.kind, "description": self.description}
        return Projection((step,), ProjectionInfo(source, target, training))


def find_form(stored: Rows, new: Rows) -> Form | None:
    """Recognise the model's vectors in another form. Writes nothing.

    Args:
        stored: `(n, d_old)`, finite and not zero.
        new: `(n, d_new)`, the same documents by the model, likewise.

    Returns:
        `None` when the vectors are the same, or no form of each other.
    """
    dimensions = (stored.shape[1], new.shape[1])
    if dimensions[0] < dimensions[1]:
        found = next((cut for cut, _ in _cuts(new, dimensions[0]) if _agree(stored, cut)), None)
        if found is None:
            return None
        return Form(
            "longer",
            f"the stored vectors are the first {dimensions[0]} of {dimensions[1]} numbers of this model's; the others "
            "cannot be computed",
            is_exact=False, is_rescaled=False, dimensions=dimensions,
        )  # fmt: skip
    for cut, is_centred in _cuts(stored, dimensions[1]):
        if _agree(cut, new):
            return _rescaled(cut, new, dimensions, is_centred=is_centred)
    return _rounded(stored, new) if dimensions[0] == dimensions[1] else None


def _cuts(rows: Rows, dimension: int) -> Iterator[tuple[Rows, bool]]:
    """The first numbers of each row, as they are and after subtracting the mean of the row's numbers."""
    for is_centred in (False, True) if dimension < rows.shape[1] else (False,):
        yield rows @ _matrix(rows.shape[1], dimension, is_centred), is_centred


def _matrix(old: int, new: int, is_centred: bool) -> Rows:
    """The matrix `(old, new)` that cuts, and before it subtracts the mean of each row."""
    whole = np.eye(old) - 1 / old if is_centred else np.eye(old)
    return np.asarray(whole[:, :new])


def _agree(some: Rows, others: Rows, cosine: float = SAME_COSINE) -> bool:
    return bool(np.mean(np.sum(unit(some) * unit(others), axis=1) >= cosine) >= AGREEING)


def _explains(computed: Rows, new: Rows) -> bool:
    """Whether computed vectors tell how the model's differ from each other, and not only what all have in common."""
    around = np.sum((new - new.mean(axis=0)) ** 2)
    left = np.sum((new - computed) ** 2) + np.finfo(np.float32).eps * np.sum(new**2)  # vectors may have all in common
    return bool(left <= UNEXPLAINED * around)


def _rescaled(cut: Rows, new: Rows, dimensions: tuple[int, int], *, is_centred: bool) -> Form | None:
    """The form of vectors of the same directions; `None` when their lengths are the same and nothing was cut."""
    was, now = Lengths.of(cut), Lengths.of(new)
    ratios = np.linalg.norm(new, axis=1) / np.linalg.norm(cut, axis=1)
    factor = float(np.median(ratios))
    is_shortened = dimensions[0] > dimensions[1]
    is_constant = bool(np.mean(np.abs(ratios / factor - 1) <= SAME_LENGTH) >= AGREEING)
    if is_constant and abs(factor - 1) <= SAME_LENGTH and not is_shortened:
        return None
    lengths = f"the stored vectors have {was}, this model's {now}"
    description = lengths
    if is_shortened:
        centred = ", centred" if is_centred else ""
        description = f"this model's vectors are the first {dimensions[1]} of {dimensions[0]} stored numbers{centred}"
    length = None if now.kind == "spread" else 1.0 if now.kind == "unit" else now.median
    if length is None and not is_constant:
        description += "; the lengths that differ between texts cannot be computed"
    return Form(
        "shortened" if is_shortened else "length",
        description,
        is_exact=length is not None or is_constant,
        is_rescaled=not is_shortened,
        dimensions=dimensions,
        is_centred=is_centred,
        length=length,
        scales=(1.0 if length is not None else factor,),
    )


def _rounded(stored: Rows, new: Rows) -> Form | None:
    """The form of vectors one of which is rounded to 8 bits, or holds only signs."""
    levels = [len(np.unique(rows.astype(np.float32))) for rows in (stored, new)]
    if min(levels) > LEVELS or levels[0] == levels[1]:
        return None
    which = "stored vectors" if levels[0] < levels[1] else "model's vectors"
    dimensions = (stored.shape[1], new.shape[1])
    if min(levels) <= 2:
        few, many = (stored, new) if levels[0] < levels[1] else (new, stored)
        middle = (few.min() + few.max()) / 2
        if np.mean((few > middle) == (many > 0)) < AGREEING:
            return None
        description = f"the {which} hold only signs; the numbers behind them cannot be computed"
        if few is new:
            description = f"the {which} hold only signs, of the stored numbers"
        return Form("signs", description, is_exact=False, is_rescaled=False, dimensions=dimensions)
    if len(stored) < FEWEST_TO_SCALE:
        return None
    halves = np.arange(len(stored)) % 2 == 0
    scales, shifts = _line(stored[halves], new[halves])
    computed, others = stored[~halves] * scales + shifts, new[~halves]
    if not _agree(computed, others, ROUNDED_COSINE) or not _explains(computed, others):
        return None
    scales, shifts = _line(stored, new)
    now = Lengths.of(new)
    return Form(
        "rounded",
        f"the {which} are rounded to {min(levels)} values, the others are not",
        is_exact=True,
        is_rescaled=False,
        dimensions=dimensions,
        length=None if now.kind == "spread" else 1.0 if now.kind == "unit" else now.median,
        scales=tuple(scales.tolist()),
        shifts=tuple(shifts.tolist()),
    )


def _line(stored: Rows, new: Rows) -> tuple[Rows, Rows]:
    """The scale and shift of each dimension, by least squares: `new ≈ stored · scale + shift`."""
    means = stored.mean(axis=0), new.mean(axis=0)
    around = stored - means[0], new - means[1]
    squares = np.sum(around[0] ** 2, axis=0)
    scales = np.divide(np.sum(around[0] * around[1], axis=0), squares, out=np.zeros_like(squares), where=squares > 0)
    return scales, means[1] - means[0] * scales
