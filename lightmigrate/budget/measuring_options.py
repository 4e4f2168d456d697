"""How cost and quality are measured before a migration: on how much, within which budget, judged by what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider


@dataclass(frozen=True)
class MeasuringOptions:
    """What a cost–quality curve and a comparison of routes take.

    Attributes:
        samples: documents to measure on first; then that may take more than a tenth of embedding everything. See
            `usual_samples` for the default.
        lengths: lengths of extracts, in words. Without a budget all are tried, by default 8, 24 and 96; with one only
            the longest that it buys, by default of 6 to 128.
        tokens: budget in tokens, for everything: only what it buys is measured.
        token_share: the same as a share of what embedding everything takes.
        queries: queries of users, to judge by; sentences of the documents stand in for them when there are none.
        previous: the old model, where it is available: then doing nothing is measured, too.
        source_model: the model of the stored vectors; by default `previous`, or unnamed.
        seed: of every random choice.
        on_progress: receives the progress.
    """

    samples: int | None = None
    lengths: Sequence[int] | None = None
    tokens: float | None = None
    token_share: float | None = None
    queries: Sequence[str] = ()
    previous: Provider | None = None
    source_model: Model | None = None
    seed: int = 0
    on_progress: OnProgress | None = None

    @property
    def asked_for(self) -> bool:
        """Whether somebody said how much to measure on, or what for."""
        return not (self.samples is None and self.tokens is None and self.token_share is None)


DEFAULT_MEASURING = MeasuringOptions()
