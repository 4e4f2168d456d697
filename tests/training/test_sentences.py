"""Pseudo-queries come from the documents they are said to come from, and are not the documents themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.training.sentences import MOST_WORDS, pseudo_queries

TEXTS = list(load_corpus().documents[:100])


@pytest.mark.parametrize(("most", "each"), [(40, 1), (100, 1), (300, 3)])
def test_as_many_of_each_document_as_there_is_room_for(most: int, each: int) -> None:
    sentences, rows = pseudo_queries(TEXTS, most)
    assert len(sentences) == len(rows) <= most
    assert len(set(rows)) == min(most, 100)
    assert max(Counter(rows).values()) == each
    for sentence, row in zip(sentences, rows, strict=True):
        document = " ".join(TEXTS[row].split())
        assert sentence in document
        assert len(sentence) < len(document)
        assert 5 <= len(sentence.split()) <= MOST_WORDS


def test_a_single_sentence_gives_a_part_of_itself() -> None:
    (part,), rows = pseudo_queries(["one two three four five six seven eight"])
    assert rows == [0]
    assert len(part.split()) == 4
    assert pseudo_queries(["two words", "word"], seed=1)[0] != []


def test_the_same_seed_gives_the_same_queries() -> None:
    assert pseudo_queries(TEXTS, 50, seed=3) == pseudo_queries(TEXTS, 50, seed=3) != pseudo_queries(TEXTS, 50, seed=4)
