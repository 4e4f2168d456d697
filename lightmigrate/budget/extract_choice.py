"""The choice of which words stand best for the texts of a collection, measured on its calibration documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lightmigrate.budget.budget_split import middle_of
from lightmigrate.budget.quality_estimator import sentences_for
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Provider
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import tokens_of
from lightmigrate.training.train import train


@dataclass(frozen=True)
class ExtractChoice:
    """The kind of extracts that was chosen.

    Attributes:
        kind: the chosen one.
        overlaps: of each kind the overlap@10 of searches among documents that are projected with such extracts, each
            left out of the fit, with searches among the embedded ones; empty where there was nothing to choose.
        tokens: that choosing took, for extracts of the other kinds.
    """

    kind: ExtractKind
    overlaps: Mapping[ExtractKind, float]
    tokens: int


def choose_extracts(
    data: CalibrationData, lengths: Mapping[ExtractKind, Sequence[int]], provider: Provider, seed: int = 0
) -> ExtractChoice:
    """Choose the kind whose projection keeps most of the searches. Calls the model.

    A projection is fitted for each kind, because the best extracts alone are not the best beside the old vectors: these
    know the topic, and rare words tell what is particular (`benchmarks/results/extracts.md`).

    Args:
        data: the calibration documents.
        lengths: to try, in words, by kind; the middle length of each kind is compared. Without any, first words are
            the choice.
        provider: the new model, with a cache.
        seed: of every random choice.

    Raises:
        LightmigrateError: what `train` raises.
    """
    if len(lengths) < 2:
        return ExtractChoice(next(iter(lengths), "first"), {}, 0)
    data = replace(data, extract_texts=(), extract_vectors=None)
    overlaps: dict[ExtractKind, float] = {}
    for kind, words in lengths.items():
        training = train(
            data,
            provider,
            extract_words=middle_of(words),
            extract_kind=kind,
            sentences=sentences_for(len(data.texts)),
            seed=seed,
        )
        overlaps[kind] = training.gate.migrated.overlap.value
    chosen = max(overlaps, key=overlaps.__getitem__)
    others = [
        data.extract_rule(kind, middle_of(words)).of(text)
        for kind, words in lengths.items()
        if kind != chosen
        for text in data.texts
    ]
    return ExtractChoice(chosen, overlaps, tokens_of(provider, others))
