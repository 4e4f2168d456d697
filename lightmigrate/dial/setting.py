"""The settings of the dial, and what one of them costs and is expected to keep."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result


@dataclass(frozen=True)
class Setting(Result):
    """How far the dial is turned.

    Attributes:
        reads_texts: whether the map reads the stored texts.
        first_words: how many first words of every text the new model embeds; 0 for none.
        documents: that it embeds whole; the map is fitted to them, or to 4,000 of them.
    """

    reads_texts: bool
    first_words: int
    documents: int


@dataclass(frozen=True)
class Option(Result):
    """One point of the curve.

    Attributes:
        setting: of the dial.
        tokens: that the new model reads in all, calibration included; an estimate.
        share_of_tokens: of what embedding everything takes.
        dollars: for these tokens; `None` when no price is known.
        seconds: for these tokens, at the pace seen while calibrating; `None` when everything was on disk already.
        expected: nDCG@10 to expect, as a share of what embedding everything gives.
    """

    setting: Setting
    tokens: int
    share_of_tokens: float
    dollars: float | None
    seconds: float | None
    expected: Estimate
