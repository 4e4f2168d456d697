"""A budget is split so that enough is left for what was measured."""

from __future__ import annotations

import pytest

from lightmigrate.budget.budget_split import LENGTHS, lengths_within, more_extracts, usual_samples, words_within
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.training.frequent_words import FrequentWords
from tests.budget.collections import NEW

# A thousand texts of 200 tokens.
EXTRACT_TOKENS = {words: 1300 * words for words in LENGTHS}
SIZE = CollectionSize(1000, 1000, 200_000, {"first": EXTRACT_TOKENS}, dict.fromkeys(LENGTHS, 0), "", 256)


@pytest.mark.parametrize(
    ("left", "tried"),
    [(None, list(LENGTHS)), (5000, []), (8000, [6]), (10_400, [8]), (20_000, [12]), (64_000, [48]), (1e9, [128])],
)
def test_the_longest_that_is_paid_is_tried(left: float | None, tried: list[int]) -> None:
    assert lengths_within(SIZE, left) == tried


def test_calibration_takes_its_part_of_a_budget_but_enough_to_measure() -> None:
    assert [usual_samples(SIZE, share * 200_000) for share in (0.05, 0.5, 3.0)] == [20, 125, 300]
    large = CollectionSize(20_000, 20_000, 4_000_000, {"first": EXTRACT_TOKENS}, dict.fromkeys(LENGTHS, 0), "", 256)
    assert usual_samples(large, 4_000_000) == 300
    assert usual_samples(SIZE, None) == 50


def test_more_extracts_take_no_more_than_their_part() -> None:
    for allowed in (20_000, 60_000):
        tried = lengths_within(SIZE, 0.7 * allowed)
        more = more_extracts(SIZE, {"first": tried}, 50, allowed)
        assert 0 < more * sum(EXTRACT_TOKENS[words] for words in tried) / 1000 <= 0.05 * allowed
    assert more_extracts(SIZE, {"first": [8]}, 50, 1e9) == 500
    assert more_extracts(SIZE, {"first": [8]}, 990, 1e9) == 10
    assert more_extracts(SIZE, {"first": [8]}, 50, None) == 50
    assert more_extracts(SIZE, {"first": []}, 50, 1e9) == 0


def test_words_take_no_more_than_their_part() -> None:
    words = FrequentWords([f"word{row}" for row in range(100)], [2] * 100, 1000)
    found = words_within(words, ChromaProvider(NEW), 100)
    assert 0 < len(found.words) < 100
    assert list(found.words) == list(words.words[: len(found.words)])
    assert words_within(words, ChromaProvider(NEW), None) is words
