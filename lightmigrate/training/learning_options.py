"""How a projection is learned: what it builds on, within which limits, and who hears about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Thresholds
from lightmigrate.training.limits import Deadline, SpendingLimit
from lightmigrate.training.request import MOST_SENTENCES


def _nobody(line: str) -> None:
    """Nobody hears what is embedded."""


@dataclass(frozen=True)
class LearningOptions:
    """What all that learns a projection on collections of one model takes.

    Attributes:
        source_model: the model of the stored vectors.
        priors: projections between the same spaces to build on, `None` for none. Each is tried, and the one with the
            highest expected retention is returned: a general projection helps on texts like those it was trained on,
            and harms on others.
        previous: the old model, where it is available: then the gate also measures what doing nothing gives.
        limit: of the cost.
        deadline: of the time.
        thresholds: of the gate.
        sentences: at most so many sentences of the documents stand in for queries of users.
        on_progress: receives the progress of embedding and fitting.
        announce: receives a line with the number of texts and their cost before anything is embedded.
    """

    source_model: Model
    priors: Sequence[Projection | None] = (None,)
    previous: Provider | None = None
    limit: SpendingLimit = field(default_factory=lambda: SpendingLimit(None))
    deadline: Deadline = field(default_factory=lambda: Deadline(None))
    thresholds: Thresholds | None = None
    sentences: int = MOST_SENTENCES
    on_progress: OnProgress | None = None
    announce: Callable[[str], None] = _nobody
