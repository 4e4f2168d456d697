"""Reads from a collection what its cost–quality curve is measured on: counts it, samples it, splits the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lightmigrate.budget.budget_split import (
    LENGTHS,
    MEASURING_SHARE,
    SHOWN,
    WORDS_SHARE,
    drawn_samples,
    measuring_within,
    middle_of,
    more_extracts,
    usual_samples,
    words_within,
)
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.extract_choice import MOST_COMPARED
from lightmigrate.budget.extract_lengths import extracts_within
from lightmigrate.budget.measuring_options import DEFAULT_MEASURING, MeasuringOptions
from lightmigrate.budget.quality_estimator import tokens_to_measure
from lightmigrate.errors import NotEnoughTextsError, RefusedError
from lightmigrate.progress import reporting
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Provider
from lightmigrate.stores.base import Address
from lightmigrate.stores.joined import Readable
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import tokens_of
from lightmigrate.training.sources import data_from_readable

# How much more projections that read the texts kept than projections of the vectors alone, as a share of what embedding
# everything keeps: least, median and most of 34 cases, upgrades of SciFact and Cranfield
# (benchmarks/results/retention.jsonl).
GAINS = (0.02, 0.12, 0.35)


@dataclass(frozen=True)
class CurveData:
    """What `measure_curve` needs of a collection, which may be closed by then.

    Attributes:
        data: the first calibration documents, and more of which only extracts are embedded.
        size: of the collection.
        lengths: lengths of extracts to try, in words, by their kind.
        sampled_tokens: of each document that was sampled, in the order in which they are embedded whole.
    """

    data: CalibrationData
    size: CollectionSize
    lengths: Mapping[ExtractKind, Sequence[int]]
    sampled_tokens: Sequence[int]


def read_curve_data(
    collection: Readable,
    provider: Provider,
    options: MeasuringOptions = DEFAULT_MEASURING,
    *,
    measuring_share: float | None = None,
) -> CurveData:
    """Count and sample a collection for its curve, within a budget. Only reads; calls no model.

    Args:
        collection: an open collection, with the embedded texts (`with_texts`).
        provider: the new model.
        options: on how much is measured, within which budget.
        measuring_share: without a budget and `samples`: measuring takes at most this share of embedding everything;
            with a budget that everything can be embedded for, a tenth, where a tenth is enough to measure with.

    Raises:
        NotEnoughTextsError: the collection does not store enough documents.
        RefusedError: measuring would take more than the budget.
    """
    report, samples = reporting(options.on_progress, collection.address.name), options.samples
    known = options.lengths or (SHOWN if options.tokens is None and options.token_share is None else LENGTHS)
    size = CollectionSize.of(collection, provider, known, lambda done, total: report("count", done, total))
    allowed = options.tokens if options.token_share is None else options.token_share * size.tokens
    calibration = samples or usual_samples(size, allowed)
    for_words = None if allowed is None else WORDS_SHARE * allowed
    if allowed is not None and allowed >= size.tokens and measuring_within(size, MEASURING_SHARE * size.tokens):
        allowed, measuring_share = None, MEASURING_SHARE  # everything can be embedded: little is paid to compare it
    if measuring_share is not None and samples is None and allowed is None:
        measuring = measuring_share * size.tokens
        within = measuring_within(size, measuring)
        if within is None:
            raise RefusedError(
                f"measuring projections would take more than {measuring:,.0f} of {size.tokens:,} tokens: name how many "
                "documents to calibrate on (--samples 50)"
            )
        calibration, known, for_words = within
    if max(1, calibration) > size.texts:
        raise too_few_texts(collection.address, size.texts, size.records, max(1, calibration))
    sampled = data_from_readable(
        collection,
        max(calibration, drawn_samples(size)),
        fewest=calibration,  # some texts may be stored twice
        queries=options.queries,
        seed=options.seed,
        on_progress=options.on_progress,
    ).shorter_first(calibration)
    if sampled.words is not None:
        sampled = replace(sampled, words=words_within(sampled.words, provider, for_words))
    left = None
    if allowed is not None:
        left = _left(allowed, tokens_to_measure(sampled.first(calibration), provider), size)
    size, tried = extracts_within(
        collection, provider, size, sampled, known, calibration, left, lambda done, total: report("count", done, total)
    )
    more = more_extracts(size, tried, calibration, allowed)
    while more and allowed is not None and _measuring(sampled.first(calibration, more), tried, provider) > allowed:
        more //= 2
    data = sampled.first(calibration, more)
    if allowed is not None and _measuring(data, tried, provider) > allowed:
        tried = {}
    return CurveData(data, size, tried, [tokens_of(provider, [text]) for text in sampled.texts])


def _measuring(data: CalibrationData, tried: Mapping[ExtractKind, Sequence[int]], provider: Provider) -> int:
    """Tokens that measuring takes at most: whichever kind of extracts is chosen, those of all kinds are compared."""
    compared, of_kind = 0, [0]
    for kind, lengths in tried.items():
        rules = {words: data.extract_rule(kind, words) for words in lengths}
        compared += tokens_of(provider, [rules[middle_of(lengths)].of(text) for text in data.texts[:MOST_COMPARED]])
        texts = [*data.texts, *data.extract_texts]
        of_kind.append(tokens_of(provider, [rule.of(text) for rule in rules.values() for text in texts]))
    return tokens_to_measure(data, provider) + compared + max(of_kind)


def _left(allowed: float, measuring: int, size: CollectionSize) -> float:
    """Tokens of the budget that measuring leaves.

    Raises:
        RefusedError: it takes all of them, and the budget is too small for embedding everything; nothing was paid.
    """
    if measuring > allowed and allowed < size.tokens:
        way_out = "allow more, or calibrate on fewer documents (--samples)"
        if measuring >= size.tokens:
            way_out = "embed everything (--budget 100%)"
        raise RefusedError(
            f"{allowed:,.0f} tokens are allowed, measuring alone would take {measuring:,}, and embedding everything "
            f"{size.tokens:,}: {way_out}"
        )
    return allowed - measuring


def too_few_texts(address: Address, texts: int, records: int, needed: int) -> NotEnoughTextsError:
    """The error for a collection with too few texts to calibrate on, with what can be done.

    Args:
        address: of the collection.
        texts: different texts that it has.
        records: that it has.
        needed: texts that are needed.
    """
    least, median, most = GAINS
    return NotEnoughTextsError(
        f"collection {address}: {texts} of {records} records have a text, {needed} are needed to "
        "calibrate on. If the texts are kept elsewhere, give them by id (--texts FILE.jsonl, a line {id, text}): they "
        f"keep {least:.2f} to {most:.2f} more of the quality (median {median:.2f}, benchmarks/results/retention.md). "
        "Otherwise project the vectors with a projection trained on texts of the same kind:  lightmigrate train "
        "--texts FILE --source-model OLD --target-model NEW; and then  lightmigrate migrate DATABASE -p FILE",
        asked=needed,
        available=texts,
    )
