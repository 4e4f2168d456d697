"""Which lengths of extracts of each kind are tried: those that a budget buys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lightmigrate.budget.budget_split import TRIED_KINDS, lengths_within
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.projection.terms.extract_rule import ExtractKind, ExtractRule
from lightmigrate.providers.base import Provider
from lightmigrate.stores.joined import Readable
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import tokens_of

# Texts by which the tokens of rare words are estimated, before all texts are counted.
ESTIMATED_ON = 200


def extracts_within(
    collection: Readable,
    provider: Provider,
    size: CollectionSize,
    sampled: CalibrationData,
    lengths: Sequence[int],
    calibration: int,
    left: float | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[CollectionSize, Mapping[ExtractKind, Sequence[int]]]:
    """The lengths of extracts to try by kind, and the size of the collection with their tokens. Only reads.

    Without a budget all lengths of every kind, with one the longest of each kind that it buys. A kind that it does not
    buy is left out, and so is every kind but first words where nobody counted how rare words are. First words are left
    out where it buys no others to compare them with.

    Args:
        collection: that was counted; it is read once more, or a few times.
        provider: the new model.
        size: of the collection, with the tokens of its first words.
        sampled: documents of the collection.
        lengths: to choose from, in words.
        calibration: number of documents that the kind is chosen on, of which extracts of every kind are embedded.
        left: tokens that are left for the extracts; `None` without a budget.
        progress: called with the number of records read, and of all.
    """
    if left is not None and sampled.frequencies is not None:
        # what comparing the kinds takes; they may be compared with another length than the one that is used
        left /= 1 + len(TRIED_KINDS) * calibration / max(1, size.texts)
    first = lengths_within(size, left)
    tried: dict[ExtractKind, list[int]] = {"first": first} if first else {}
    kinds = TRIED_KINDS if sampled.frequencies is not None else ()
    for kind in kinds:
        if kind != "first":
            rules = [sampled.extract_rule(kind, words) for words in sorted(lengths)]
            tried[kind] = [
                rule.words for rule in rules if left is None or _estimated(size, sampled, provider, rule) <= left
            ]
            tried[kind] = tried[kind] if left is None else tried[kind][-1:]
    while True:
        tried = {kind: words for kind, words in tried.items() if words}
        missing = [
            sampled.extract_rule(kind, length)
            for kind, words in tried.items()
            for length in words
            if length not in size.extract_tokens.get(kind, {})
        ]
        if not missing:
            # first words are trusted only where they were better than others
            return size, {} if kinds and list(tried) == ["first"] else tried
        size = size.with_extracts(collection, provider, missing, progress)
        for rule in missing:  # what was estimated may be too long by a little
            if left is not None and size.extract_tokens[rule.kind][rule.words] > left:
                tried[rule.kind] = [words for words in sorted(lengths) if words < rule.words][-1:]


def _estimated(size: CollectionSize, sampled: CalibrationData, provider: Provider, rule: ExtractRule) -> float:
    """The tokens of the extracts of all texts, from those of some texts beside their first words."""
    texts = sampled.texts[:ESTIMATED_ON]
    first = ExtractRule(rule.words)
    some, of_first = (tokens_of(provider, [each.of(text) for text in texts]) for each in (rule, first))
    return size.extract_tokens["first"][rule.words] * some / max(1, of_first)
