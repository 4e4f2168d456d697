"""Checks whether a model made the stored vectors, by embedding some stored documents again and comparing.

One model's vectors of one text agree up to rounding; with another prefix, precision or truncation the cosine is high;
with another model of the same dimension it is about zero. Vectors that follow from each other by arithmetic are one
model's in another form. A low cosine may also mean that a text other than the stored
one was embedded. Such a vector still lies along the main directions of the model's vectors: it is *at home*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.quality.form import SAME_COSINE, Form, find_form
from lightmigrate.quality.metrics import Array, unit
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result
from lightmigrate.vectors import Metric, meaningful

Verdict = Literal["same", "form", "variant", "texts", "mixed", "other", "unknown"]
Kind = Literal["same", "near", "text", "foreign", "left out"]

KINDS: tuple[Kind, ...] = ("same", "near", "text", "foreign", "left out")
SAME, NEAR, TEXT, FOREIGN, LEFT_OUT = range(5)

# Cosines of one text by the same model: above SAME_COSINE after rounding (to 16 or 8 bits per number), above
# NEAR_COSINE with prefixes, 8-bit weights, or a part of the text. `benchmarks/identity.py` measures both.
NEAR_COSINE = 0.7

# The fewest rows for a verdict, and for the main directions.
FEWEST_ROWS, FEWEST_AT_HOME = 5, 16
MOST_DIRECTIONS = 32

# A row is at home from BEYOND_CHANCE standard deviations above chance, or from the cosine TEXT_COSINE. When no row has
# a high cosine, all rows are at home if their median is above that of the model's own rows to the power AT_HOME.
BEYOND_CHANCE, TEXT_COSINE, AT_HOME = 2.5, 0.5, 0.75

# The main directions of a model decide nothing when its own rows have less along them (isotropic vectors).
TELLING = 1.6

# Below the share MIXED the rows of another model are outliers, not a mixture; nearly equal rows likewise below VARIANT.
MIXED, VARIANT = 0.02, 0.1

# Single rows are noisy: so small a minority among the rows with a low cosine gets the kind of the majority.
STRAY = 0.2

# Draws from the posterior of the shares in the collection, and its Dirichlet prior: below Jeffreys' 1/2, because most
# collections have rows of one kind.
DRAWS, PRIOR = 2000, 0.1


@dataclass(frozen=True)
class Identity(Result):
    """The result of comparing stored vectors with a model.

    Attributes:
        verdict: same – this model's, of these texts; form – this model's in another form, which searches in the
            collection's distance see (`form`); variant – this model's with another prefix, precision, revision or
            part of the text; texts – of this model's space, but not of the stored texts; mixed – some rows are this
            model's and some another's; other – another model's; unknown – too few rows.
        confidence: probability that the verdict holds for the whole collection these rows were drawn from.
        reason: one line, with the numbers.
        share: of the rows that are this model's, with any text and prefix; with its 95 % interval.
        cosine: median cosine of the stored and the new vector of the same document; NaN for other dimensions.
        chance: mean cosine of vectors of different documents, likewise.
        same: rows that are equal up to rounding.
        near: rows that are nearly equal.
        text: rows of this model's space, but of another text.
        foreign: rows of another model.
        left_out: rows without a text, or with NaN, infinity or only zeros.
        rows: the kind of each of the n rows: same, near, text, foreign or left out.
        cosines: of each row; NaN where it was left out.
        form: how the form of the stored vectors differs from that of this model's, also where searches do not see it;
            `None` where it does not.
    """

    verdict: Verdict
    confidence: float
    reason: str
    share: QualityEstimate
    cosine: float
    chance: float
    same: int
    near: int
    text: int
    foreign: int
    left_out: int
    rows: tuple[Kind, ...]
    cosines: tuple[float, ...]
    form: Form | None = None

    def exact(self, source: Model, target: Model) -> Projection | None:
        """The arithmetic from stored vectors to this model's; `None` where there is none, or none is needed.

        Args:
            source: the model as its vectors are stored.
            target: the model as it is now.
        """
        return None if self.form is None or self.verdict != "form" else self.form.projection(source, target)


def identify(
    stored: Array, recomputed: Array, documents: Sequence[str | None] | None = None, *, metric: Metric = "l2"
) -> Identity:
    """Compare stored vectors with the new model's of the same documents. Writes nothing.

    Args:
        stored: `(n, d)` of any length and float dtype, a random sample of a collection; 50 suffice to recognise
            a model, 100 or more to detect a small share of another.
        recomputed: `(n, d)`, the stored documents embedded again, row i for row i.
        documents: the n texts, used only to leave out empty ones.
        metric: the distance of the collection; by cosine, vectors that differ only in length are the same.

    Raises:
        LightmigrateError: the numbers of vectors or documents differ.
    """
    n = len(stored)
    if stored.ndim != 2 or recomputed.ndim != 2 or len(recomputed) != n or (documents and len(documents) != n):
        raise LightmigrateError(
            f"{stored.shape} stored vectors and {recomputed.shape} new ones do not match: give both for "
            "the same documents, in the same order"
        )
    good = meaningful(stored) & meaningful(recomputed)
    if documents is not None:
        good &= [bool(text and text.strip()) for text in documents]
    form = None
    if good.sum() >= FEWEST_ROWS:
        form = find_form(*(np.asarray(vectors, np.float64)[good] for vectors in (stored, recomputed)))
    if stored.shape[1] != recomputed.shape[1]:
        kinds = np.where(good, FOREIGN if form is None else SAME, LEFT_OUT)
        reason = f"the stored vectors have {stored.shape[1]} numbers, this model makes {recomputed.shape[1]}"
        found = _identity(kinds, np.full(n, np.nan), float("nan"), reason if n else None)
        return found if form is None else _in_another_form(found, form)
    held, new = (unit(np.asarray(vectors, np.float64)[good]) for vectors in (stored, recomputed))
    cosines = np.full(n, np.nan)
    cosines[good] = np.sum(held * new, axis=1)
    kinds = np.full(n, LEFT_OUT)
    kinds[good] = _kinds(held, new, cosines[good])
    m = len(held)
    chance = float((held.sum(0) @ new.sum(0) - cosines[good].sum()) / (m * (m - 1))) if m > 1 else float("nan")
    found = _identity(kinds, cosines, chance, None)
    if form is None or (form.is_rescaled and metric == "cosine"):
        return replace(found, form=form)
    return _in_another_form(found, form)


def _in_another_form(found: Identity, form: Form) -> Identity:
    """The result for vectors that are this model's in another form."""
    return replace(
        found,
        verdict="form",
        confidence=found.confidence if found.verdict == "same" else 1.0,
        reason=f"same model, other form: {form.description}",
        form=form,
    )


def _kinds(held: Array, new: Array, cosines: Array) -> Array:
    """The kind of each row."""
    kinds = np.where(cosines >= SAME_COSINE, SAME, np.where(cosines >= NEAR_COSINE, NEAR, FOREIGN))
    low = np.flatnonzero(cosines < NEAR_COSINE)
    if not len(low) or len(held) < FEWEST_AT_HOME:
        return kinds
    k = max(1, min(MOST_DIRECTIONS, len(held) // 2, held.shape[1] // 4))
    halves = [_main_directions(new[start::2], k) for start in range(2)]
    own = float(np.median(_home(new, halves)))
    if own < TELLING:
        return kinds
    home = _home(held, halves)[low]
    if len(low) > (1 - MIXED) * len(held):  # no row has a high cosine: one kind for all
        kinds[low] = TEXT if np.median(home) >= own**AT_HOME else FOREIGN
        return kinds
    # The share of a random vector's length along k directions has a standard deviation of √(2/k) of its mean.
    at_home = (home >= 1 + BEYOND_CHANCE * np.sqrt(2 / k)) | (cosines[low] >= TEXT_COSINE)
    kinds[low[at_home]] = TEXT
    if at_home.mean() >= 1 - STRAY:
        kinds[low] = TEXT
    elif at_home.mean() <= STRAY:
        kinds[low] = FOREIGN
    return kinds


def _home(rows: Array, halves: Sequence[Array]) -> Array:
    """The part of each row `(n, d)` along the main directions of the model, relative to chance (1).

    The directions are those of the other half of the documents, so that a row's own text does not count.
    """
    parts = np.empty(len(rows))
    for start, directions in enumerate(reversed(halves)):
        along = np.sum((rows[start::2] @ directions.T) ** 2, axis=1)
        parts[start::2] = along * rows.shape[1] / len(directions)
    return parts


def _main_directions(rows: Array, k: int) -> Array:
    """The k directions, or all, along which the rows `(n, d)` are longest, mean included: `(k, d)`."""
    return np.asarray(np.linalg.svd(rows, full_matrices=False)[2][:k])


def _identity(kinds: Array, cosines: Array, chance: float, dimensions: str | None) -> Identity:
    counts = np.bincount(kinds, minlength=len(KINDS))
    same, near, text, foreign, left_out = counts.tolist()
    n = same + near + text + foreign
    known = cosines[~np.isnan(cosines)]
    cosine = float(np.median(known)) if len(known) else float("nan")
    verdict: Verdict = "unknown"
    confidence = 0.0
    if dimensions is not None:
        verdict, confidence = "other", 1.0
    elif n >= FEWEST_ROWS:
        # The verdicts of the collections that these rows may be a sample of.
        shares = np.random.default_rng(0).dirichlet(counts[:LEFT_OUT] + PRIOR, DRAWS)
        verdict = _verdict(counts[:LEFT_OUT] / n)
        confidence = sum(_verdict(draw) == verdict for draw in shares) / DRAWS
    middle = f"median cosine {cosine:.4f}, {chance:.2f} between different documents"
    reasons = {
        "same": f"{same:,} of {n:,} vectors are this model's to the last digits; {middle}",
        "variant": f"{near:,} of {n:,} vectors are nearly this model's: another prefix, precision, revision, or part "
        f"of the text; {middle}",
        "texts": f"{text:,} of {n:,} vectors are of this model's space, but not of the stored texts; {middle}",
        "mixed": f"{n - foreign:,} of {n:,} vectors are this model's, {foreign:,} are another's; {middle}",
        "other": f"{foreign:,} of {n:,} vectors are another model's; {middle}",
        "unknown": f"too few vectors for a verdict: {n:,}, at least {FEWEST_ROWS} are needed",
    }
    return Identity(
        verdict=verdict,
        confidence=confidence,
        reason=dimensions or reasons[verdict],
        share=_wilson(n - foreign, n),
        cosine=cosine,
        chance=chance,
        same=same,
        near=near,
        text=text,
        foreign=foreign,
        left_out=left_out,
        rows=tuple(KINDS[kind] for kind in kinds),
        cosines=tuple(cosines.tolist()),
    )


def _verdict(shares: npt.NDArray[Any]) -> Verdict:
    same, near, text, foreign = shares.tolist()
    if min(foreign, 1 - foreign) >= MIXED:
        return "mixed"
    if foreign > 0.5:
        return "other"
    if text > 0.5:
        return "texts"
    return "variant" if near > VARIANT * (same + near) else "same"


def _wilson(successes: int, n: int, z: float = 1.96) -> QualityEstimate:
    """A share with its 95 % score interval (Wilson 1927), valid also for few rows and for shares of 0 and 1."""
    if not n:
        return QualityEstimate(float("nan"), 0.0, 1.0)
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return QualityEstimate(share, max(0.0, middle - half), min(1.0, middle + half))
