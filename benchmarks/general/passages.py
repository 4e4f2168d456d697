"""Documents cut into passages: sentences, paragraphs and longer stretches, because collections hold all three."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator

# A sentence ends at these when white space and something that begins a sentence follow.
_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”’)]))\s+(?=[\"“(]?[A-Z0-9])")

FEWEST_WORDS, MOST_WORDS = 5, 200

# At most so many words in a passage, and how often; 0 is a single sentence. Long passages are what takes the time.
LENGTHS, SHARES = (0, 80, 180), (0.4, 0.4, 0.2)


def passages(documents: Iterable[str], rng: random.Random) -> list[str]:
    """All passages of some documents, one after the other without overlap."""
    return [passage for document in documents for passage in _cut(document, rng)]


def _cut(document: str, rng: random.Random) -> Iterator[str]:
    passage: list[str] = []
    limit = _limit(rng)
    for sentence in _END.split(" ".join(document.split())):
        words = sentence.split()[:MOST_WORDS]
        if passage and len(passage) + len(words) > limit:
            yield from _kept(passage)
            passage, limit = [], _limit(rng)
        passage += words
    yield from _kept(passage)


def _limit(rng: random.Random) -> int:
    return rng.choices(LENGTHS, SHARES)[0]


def _kept(words: list[str]) -> Iterator[str]:
    """A passage, unless it is too short or not prose: formulas, code and tables have few letters."""
    text = " ".join(words)
    letters = sum(character.isalpha() or character == " " for character in text)
    if len(words) >= FEWEST_WORDS and letters >= 0.85 * len(text):
        yield text
