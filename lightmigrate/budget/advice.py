"""Which is better, by what is expected: to stay with the old model, to project, or to embed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lightmigrate.quality.gate import Thresholds
from lightmigrate.quality.retention import QualityEstimate

Way = Literal["stay", "project", "embed again"]

# As people say it.
IN_WORDS: Mapping[Way, str] = {
    "stay": "stay with the old model",
    "project": "project",
    "embed again": "embed again",
}


def better(kept: QualityEstimate | None, nothing: QualityEstimate | None, everything: bool) -> Way:
    """What is better: the best way to the new model that can be taken, or to stay where no more is expected of it.

    Args:
        kept: what is expected of that way; `None` where none can be taken.
        nothing: what is expected of doing nothing; `None` where nobody knows.
        everything: whether that way embeds everything.
    """
    if kept is None or (nothing is not None and nothing.value >= kept.value):
        return "stay"
    return "embed again" if everything else "project"


def not_worth_it(kept: QualityEstimate, nothing: QualityEstimate | None) -> str | None:
    """Why a projection is not worth it that keeps little, and no more than doing nothing; `None` where it is.

    Where the old model is of little use, little is worth having: what is below the gate's threshold is not refused as
    long as more is expected of it than of doing nothing.
    """
    least = Thresholds().failing
    if kept.value >= least or (nothing is not None and kept.value > nothing.value):
        return None
    beside = "" if nothing is None else f", and doing nothing {nothing.value:.2f}"
    said = f"it is expected to keep {kept.value:.2f} of what embedding again gives{beside}"
    return f"{said}; below {least:.2f} it is not worth it"


def certain(kept: QualityEstimate, nothing: QualityEstimate) -> bool:
    """Whether the intervals tell which of both keeps more."""
    return kept.low > nothing.high or kept.high < nothing.low
