"""Pseudo-queries: sentences of documents that stand in for queries of users who look for these documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

FEWEST_WORDS, MOST_WORDS = 5, 40
_END = re.compile(r"(?<=[.!?。！？])\s+")


def pseudo_queries(texts: Sequence[str], most: int = 1000, seed: int = 0) -> tuple[list[str], list[int]]:
    """Sentences of documents, and for each the row of its document.

    Every document gives the same number of sentences, as far as `most` allows; with more documents than `most`, a
    random part of them gives one each. Of a document with a single sentence a part is taken: a query that is the whole
    document measures nothing.

    Args:
        texts: the documents.
        most: sentences at most.
        seed: of every random choice.
    """
    rng = np.random.default_rng(seed)
    each = max(1, most // max(1, len(texts)))
    queries: list[str] = []
    rows: list[int] = []
    for row in rng.permutation(len(texts))[:most].tolist():
        sentences = [s for s in (_cut(part) for part in _END.split(texts[row])) if len(s.split()) >= FEWEST_WORDS]
        if len(sentences) < 2:
            sentences = [_part(texts[row], rng)]
        chosen = rng.permutation(len(sentences))[:each]
        queries += [sentences[number] for number in chosen]
        rows += [row] * len(chosen)
    return queries, rows


def _cut(sentence: str) -> str:
    return " ".join(sentence.split()[:MOST_WORDS])


def _part(text: str, rng: np.random.Generator) -> str:
    """Half of the words, consecutive ones; a text of one or two words as it is."""
    words = text.split()
    size = max(1, min(MOST_WORDS, (len(words) + 1) // 2))
    start = int(rng.integers(0, len(words) - size + 1)) if len(words) > 2 else 0
    return " ".join(words[start : start + size]) if len(words) > 2 else text
