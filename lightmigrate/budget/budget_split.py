"""How a budget is split between measuring and what is measured.

A part of the budget calibrates first, which decides how the rest is spent: on extracts of every document, the longest
that it buys, or on whole documents. Shorter extracts, with the rest spent on whole documents, were worse: sentences of
a hundred documents do not tell which is better, and chose the wrong one (Cranfield, potion → MiniLM, 55 documents;
SciFact, half of the tokens, four pairs of models; by the script before `benchmarks/plan_end_to_end.py`, which says what
is kept now).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.quality_estimator import MOST_FITTED, sentences_for
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Provider
from lightmigrate.training.frequent_words import FrequentWords
from lightmigrate.training.request import tokens_of

# Lengths of extracts, in words, to choose from, and those that are shown when no budget is given.
LENGTHS = (6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 56, 64, 80, 96, 128)
SHOWN = (8, 24, 96)

# Kinds of extracts to choose from. The rarest words are left out: sentences of a document hold them, so that more was
# expected of them than they kept, by .15 twice (SciFact's and Cranfield's chunks, 30 % of the tokens).
TRIED_KINDS: tuple[ExtractKind, ...] = ("first", "content")

# Documents to calibrate on first: a share of the collection, or of what a budget buys, within these bounds. With a
# tenth of the budget it was not seen that whole documents are better than first words where texts have no titles
# (`benchmarks/results/extracts.md`).
FIRST_SHARE = 0.05
FIRST_SHARE_OF_BUDGET = 0.25
FEWEST, MOST = 20, 300

# Where nobody says how many documents to calibrate on, measuring takes at most this share of embedding everything.
MEASURING_SHARE = 0.1

# Tokens that a sentence of a long document has, about.
SENTENCE_TOKENS = 30

# Share of a budget that single words may take. All frequent words are a few hundredths of the tokens of everything and
# help more than documents for the same tokens; some hundred are worse than none
# (`benchmarks/results/short_documents.md`). Where that leaves too little to measure with, they take the smaller share.
WORDS_SHARE, SMALLER_WORDS_SHARE = 0.3, 0.1

# More documents of which only the extracts are embedded, to measure how much many extracts help: at most so many, for
# at most this share of a budget. Without a budget, as many as there are calibration documents.
MOST_EXTRACTS = 500

# Rare words have more letters than others, so extracts of them take up to so many times the tokens of first words.
MORE_OF_RARE_WORDS = 1.3
EXTRACTS_SHARE = 0.05


def usual_samples(size: CollectionSize, allowed: float | None) -> int:
    """How many documents to calibrate on first, when the user does not say.

    Args:
        size: of the collection.
        allowed: tokens that may be spent in all; `None` without a budget.
    """
    documents = FIRST_SHARE * size.texts if allowed is None else FIRST_SHARE_OF_BUDGET * allowed / _tokens_each(size)
    return int(max(2, min(max(documents, FEWEST), MOST, size.texts)))


class Measuring(NamedTuple):
    """What is measured with so many tokens.

    Attributes:
        documents: to calibrate on.
        lengths: of extracts that are tried, in words.
        words: tokens that single words may take.
    """

    documents: int
    lengths: list[int]
    words: float


def measuring_within(size: CollectionSize, tokens: float) -> Measuring | None:
    """What can be measured with these tokens: as many documents as usual if possible, then as many lengths as possible.

    `None` if not even the fewest documents can be measured.

    Args:
        size: of the collection, with the lengths to choose from.
        tokens: that measuring may take.
    """
    each, first = _tokens_each(size), size.extract_tokens["first"]
    for words in (WORDS_SHARE * tokens, SMALLER_WORDS_SHARE * tokens):
        documents = usual_samples(size, None)
        while documents >= min(FEWEST, size.texts):
            spent = documents * each + sentences_for(documents) * min(each, SENTENCE_TOKENS) + words
            lengths = sorted(first)
            while lengths:
                # those of more documents too, and one length of all kinds to choose the kind, perhaps another one
                compared = (len(TRIED_KINDS) + 1) * first[middle_of(lengths)]
                read = 2 * sum(first[length] for length in lengths) + compared
                extracts = MORE_OF_RARE_WORDS * documents * read / max(1, size.texts)
                if spent + extracts <= tokens:
                    return Measuring(documents, lengths, words)
                lengths.pop()
            documents = documents * 3 // 4
    return None


def middle_of(lengths: Sequence[int]) -> int:
    """The length by which the kind of the extracts is chosen: the middle one, of two the longer one."""
    return sorted(lengths)[len(lengths) // 2]


def drawn_samples(size: CollectionSize) -> int:
    """How many documents to sample, of which the first are calibrated on: as many as a fit can use."""
    return min(MOST_FITTED, size.texts)


def words_within(words: FrequentWords, provider: Provider, tokens: float | None) -> FrequentWords:
    """The most frequent words that these tokens buy; all where nothing limits them."""
    if tokens is None:
        return words
    costs = accumulate(tokens_of(provider, [word]) for word in words.words)
    return words.first(sum(cost <= tokens for cost in costs))


def lengths_within(size: CollectionSize, left: float | None) -> list[int]:
    """The lengths of first words to try: the longest that can be embedded of every text.

    Args:
        size: of the collection, with the lengths to choose from.
        left: tokens that are left for the extracts; `None` without a budget: then all lengths are tried.
    """
    counted = sorted(size.extract_tokens["first"].items())
    if left is None:
        return [words for words, _ in counted]
    return [words for words, tokens in counted if tokens <= left][-1:]


def more_extracts(
    size: CollectionSize, lengths: Mapping[ExtractKind, Sequence[int]], calibration: int, allowed: float | None
) -> int:
    """Of how many documents, besides the calibration documents, the extracts of one kind are embedded to measure."""
    if not any(lengths.values()):
        return 0
    most = max(sum(size.extract_tokens[kind][words] for words in lengths[kind]) for kind in lengths)
    each = most / max(1, size.texts)
    affordable = calibration if allowed is None else EXTRACTS_SHARE * allowed / max(1.0, each)
    return int(max(0, min(affordable, MOST_EXTRACTS, size.texts - calibration)))


def _tokens_each(size: CollectionSize) -> float:
    return max(1.0, size.tokens / max(1, size.texts))
