"""Pseudo-queries: sentences of documents that stand in for queries of users who look for these documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lightmigrate.projection.terms.words import count_words, first_words

FEWEST_WORDS, MOST_WORDS = 5, 40
# Chinese and Japanese have no space after the end of a sentence, but may close a quotation or bracket there.
_END = re.compile(r"(?<=[.!?।؟۔])\s+|(?<=[。！？｡])(?![。！？｡」』”’）)])\s*|(?<=[。！？｡][」』”’）)])\s*")


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
        sentences = [_cut(part) for part in _END.split(texts[row]) if count_words(part) >= FEWEST_WORDS]
        if len(sentences) < 2:
            sentences = [_part(texts[row], rng)]
        chosen = rng.permutation(len(sentences))[:each]
        queries += [sentences[number] for number in chosen]
        rows += [row] * len(chosen)
    return queries, rows


def _cut(sentence: str) -> str:
    return " ".join(first_words(sentence, MOST_WORDS).split())


def _part(text: str, rng: np.random.Generator) -> str:
    """Half of the words, consecutive ones; a text of one or two words as it is."""
    words = count_words(text)
    if words <= 2:
        return text
    size = max(1, min(MOST_WORDS, (words + 1) // 2))
    return " ".join(first_words(text, size, int(rng.integers(0, words - size + 1))).split())
