"""How a budget is split: what may be spent on measuring, so that enough is left for what is measured.

A large collection does not feel what measuring takes, a small one does. So the first calibration documents are few, and
of first words only the most are tried that what is left will buy. Fewer, and whole documents for the rest, were worse:
sentences of a hundred documents do not tell which is better, and took the wrong one (Cranfield, potion → MiniLM, 55
documents; SciFact, half of the tokens, four pairs: `benchmarks/dial.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from lightmigrate.calibration.words import FrequentWords, first_of
from lightmigrate.dial.census import Census, tokens_of
from lightmigrate.dial.study import MOST_FITTED
from lightmigrate.providers.base import Provider

# Numbers of first words to choose from, and those that are shown when nobody says what may be spent.
LENGTHS = (8, 10, 12, 16, 20, 24, 32, 40, 48, 56, 64, 80, 96, 128)
SHOWN = (8, 24, 96)

# Documents to calibrate on first: this share of those there are or that a budget buys, within these bounds. Enough to
# measure what the rest is best spent on, and no more: what a small collection is measured with, more first words cost.
FIRST_SHARE = 0.05
FIRST_SHARE_OF_BUDGET = 0.1
FEWEST, MOST = 20, 300
ENOUGH, SHARE_OF_ENOUGH = 100, 0.02

# The part of a budget that single words may take.
WORDS_SHARE = 0.1

# Documents of which only the first words are read, to see what many of them teach: at most so many, for at most this
# part of a budget; without one, as many as there are calibration documents.
MOST_MORE = 500
MORE_SHARE = 0.25


def usual_samples(census: Census, allowed: float | None) -> int:
    """How many documents to calibrate on first when nothing is said.

    Args:
        census: of the collection.
        allowed: tokens that may be spent in all, `None` without a budget.
    """
    if allowed is None:
        wanted = FIRST_SHARE * census.texts
    else:
        enough = max(ENOUGH, SHARE_OF_ENOUGH * census.texts)
        wanted = min(FIRST_SHARE_OF_BUDGET * allowed / _tokens_each(census), enough)
    return int(max(2, min(max(wanted, FEWEST), MOST, census.texts)))


def drawn_samples(census: Census) -> int:
    """How many documents to draw, of which the first are calibrated on: as many as the fit can use."""
    return min(MOST_FITTED, census.texts)


def words_within(words: FrequentWords, provider: Provider, tokens: float | None) -> FrequentWords:
    """The most frequent of the words that this part of a budget buys; all of them without one."""
    if tokens is None:
        return words
    bought = accumulate(tokens_of(provider, [word]) for word in words.words)
    return first_of(words, sum(cost <= WORDS_SHARE * tokens for cost in bought))


def lengths_within(census: Census, left: float | None) -> list[int]:
    """The numbers of first words to try: the most that can be read of every text.

    Args:
        census: of the collection, with the lengths to choose from.
        left: tokens that are left when they are paid; `None` without a budget: then all are tried.
    """
    if left is None:
        return sorted(census.beginnings)
    return [words for words, needed in sorted(census.beginnings.items()) if needed <= left][-1:]


def more_beginnings(census: Census, lengths: Sequence[int], calibration: int, allowed: float | None) -> int:
    """Of how many documents beside the calibration documents the first words are read, to measure."""
    if not lengths:
        return 0
    each = sum(census.beginnings[words] for words in lengths) / max(1, census.texts)
    paid = calibration if allowed is None else MORE_SHARE * allowed / max(1.0, each)
    return int(max(0, min(paid, MOST_MORE, census.texts - calibration)))


def _tokens_each(census: Census) -> float:
    return max(1.0, census.tokens / max(1, census.texts))
