"""Pseudo-queries: what somebody might search for who wants these documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

FEWEST_WORDS, MOST_WORDS = 5, 40
_END = re.compile(r"(?<=[.!?。！？])\s+")


def pseudo_queries(texts: Sequence[str], most: int = 1000, seed: int = 0) -> tuple[list[str], list[int]]:
    """Sentences of documents, and for each the row of the document it was taken from.

    As many of each document as `most` allows, at least one of each until there are `most`. Of a document that is
    a single sentence a part is taken: a query that is the whole document says nothing.

    Args:
        texts: the documents.
        most: sentences at most.
        seed: which ones.
    """
    rng = np.random.default_rng(seed)
    each = max(1, most // max(1, len(texts)))
    found: list[tuple[str, int]] = []
    for row in rng.permutation(len(texts))[:most].tolist():
        sentences = [s for s in (_cut(part) for part in _END.split(texts[row])) if len(s.split()) >= FEWEST_WORDS]
        if len(sentences) < 2:
            sentences = _parts(texts[row], rng)
        found += [(sentences[one], row) for one in rng.permutation(len(sentences))[:each]]
    return [sentence for sentence, _ in found], [row for _, row in found]


def _cut(sentence: str) -> str:
    return " ".join(sentence.split()[:MOST_WORDS])


def _parts(text: str, rng: np.random.Generator) -> list[str]:
    """A run of half the words, or the text itself when it is of one or two words."""
    words = text.split()
    size = max(1, min(MOST_WORDS, (len(words) + 1) // 2))
    start = int(rng.integers(0, len(words) - size + 1)) if len(words) > 2 else 0
    return [" ".join(words[start : start + size]) if len(words) > 2 else text]
