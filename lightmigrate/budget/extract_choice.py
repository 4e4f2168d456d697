"""The choice of which words stand best for the texts of a collection, measured on its calibration documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.budget.budget_split import middle_of
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.fit import fit_pairs
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import gate
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import tokens_of
from lightmigrate.training.sentences import pseudo_queries
from lightmigrate.vectors import finite_rows

# With fewer documents nothing can be compared; more would take tokens that documents embedded whole are worth more.
FEWEST_COMPARED, MOST_COMPARED = 10, 100


@dataclass(frozen=True)
class ExtractChoice:
    """The kind of extracts that was chosen.

    Attributes:
        kind: the chosen one.
        expected: of each kind what the gate expects searches to keep among documents that are projected with such
            extracts; empty where there was nothing to choose.
        tokens: that choosing took, for extracts that are not tried otherwise.
    """

    kind: ExtractKind
    expected: Mapping[ExtractKind, float]
    tokens: int


def choose_extracts(
    data: CalibrationData,
    lengths: Mapping[ExtractKind, Sequence[int]],
    provider: Provider,
    sentences: int,
    seed: int = 0,
) -> ExtractChoice:
    """Choose the kind with whose projection the gate expects most. Calls the model.

    A projection is fitted for each kind, because the best extracts alone are not the best beside the old vectors: these
    know the topic, and rare words tell what is particular (`benchmarks/results/extracts.md`). What the gate expects
    chooses better than either of what it stands on (`benchmarks/results/expectations.md`). The kinds are compared with
    the same number of words, the smallest of their middle lengths, on a hundred documents at most.

    Args:
        data: the calibration documents, with their stored vectors.
        lengths: to try, in words, by kind. Without any, first words are the choice.
        provider: the new model, with a cache.
        sentences: of the documents, at most: those that the gate searches for where there are no queries of users.
        seed: of every random choice.

    Raises:
        ProviderError: the model fails.
    """
    vectors = data.vectors
    if len(lengths) < 2 or vectors is None:
        return ExtractChoice(next(iter(lengths), "first"), {}, 0)
    searches, of_row = pseudo_queries(data.texts[: data.judging], sentences, seed)
    data = data.first(min(len(data.texts), MOST_COMPARED))
    words = min(middle_of(of_kind) for of_kind in lengths.values())
    rules = {kind: data.extract_rule(kind, words) for kind in lengths}
    true = provider.embed_each(data.texts)
    embedded = {kind: provider.embed_each([rule.of(text) for text in data.texts]) for kind, rule in rules.items()}
    taken = np.flatnonzero(np.all([finite_rows(vectors) for vectors in (true, *embedded.values())], axis=0))
    queries = provider.embed_each(searches, queries=True)
    asked = np.flatnonzero(finite_rows(queries) & np.isin(of_row, taken))
    own = np.searchsorted(taken, np.asarray(of_row, dtype=np.int64)[asked])
    if len(taken) < FEWEST_COMPARED or not len(asked):
        return ExtractChoice("first", {}, 0)
    expected: dict[ExtractKind, float] = {}
    for kind, rule in rules.items():
        fitted = fit_pairs(
            vectors[taken],
            true[taken],
            [data.texts[row] for row in taken.tolist()],
            method="extract",
            words=None,
            extracts=Extracts(rule, embedded[kind][taken]),
            prior=None,
            landmarks=1,
            seed=seed,
            source_model=None,
            target_model=None,
            only_with_text=True,
        )
        judged = gate(
            true=true[taken],
            projected=fitted.held_out,
            queries=queries[asked],
            taken_from=own.tolist(),
            collection_size=data.collection_size,
            metric=data.metric,
            seed=seed,
        )
        expected[kind] = judged.expected_retention.value
    chosen = max(expected, key=expected.__getitem__)
    extra = [
        rule.of(text)
        for kind, rule in rules.items()
        if kind != chosen or words not in lengths[kind]
        for text in data.texts
    ]
    # where there are queries of users, the gate asks those, and nothing else pays for the sentences
    return ExtractChoice(chosen, expected, tokens_of(provider, extra, searches if data.queries else ()))
