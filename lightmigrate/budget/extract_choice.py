"""The choice of which words stand best for the texts of a collection, measured on its calibration documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.budget.budget_split import middle_of
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Provider
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import tokens_of
from lightmigrate.vectors import finite_rows


@dataclass(frozen=True)
class ExtractChoice:
    """The kind of extracts that was chosen.

    Attributes:
        kind: the chosen one.
        overlaps: of each kind the share of the true nearest neighbours of calibration documents that searches among
            their extracts find; empty where there was nothing to choose.
        tokens: that choosing took, for extracts of the other kinds.
    """

    kind: ExtractKind
    overlaps: Mapping[ExtractKind, float]
    tokens: int


def choose_extracts(
    data: CalibrationData, lengths: Mapping[ExtractKind, Sequence[int]], provider: Provider, seed: int = 0
) -> ExtractChoice:
    """Choose the kind whose extracts are found where the whole documents are. Calls the model.

    Every calibration document is a query, and the extracts of all of them are searched: the whole documents are
    embedded anyway. What is compared is the middle length of each kind.

    Args:
        data: the calibration documents.
        lengths: to try, in words, by kind; without any, first words are the choice.
        provider: the new model, with a cache.
        seed: of every random choice.

    Raises:
        ProviderError: the model fails.
    """
    if len(lengths) < 2:
        return ExtractChoice(next(iter(lengths), "first"), {}, 0)
    extracts = {
        kind: [data.extract_rule(kind, middle_of(words)).of(text) for text in data.texts]
        for kind, words in lengths.items()
    }
    true = provider.embed_each(data.texts)
    embedded = {kind: provider.embed_each(texts) for kind, texts in extracts.items()}
    taken = finite_rows(true)
    for vectors in embedded.values():
        taken &= finite_rows(vectors)
    searches = HeldOutSearch(true[taken], seed, data.metric)
    overlaps = {kind: float(searches.overlaps(vectors[taken]).mean()) for kind, vectors in embedded.items()}
    chosen = max(overlaps, key=overlaps.__getitem__)
    others = [text for kind, texts in extracts.items() if kind != chosen for text in texts]
    return ExtractChoice(chosen, overlaps, tokens_of(provider, others))
