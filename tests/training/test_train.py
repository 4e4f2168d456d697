"""Training with a fitter that was handed in, judged by documents that it has not seen, and what a training asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import LightmigrateError
from lightmigrate.estimators.fit import FittedPairs, fit
from lightmigrate.progress import Progress
from lightmigrate.projection.model import Model
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.frequent_words import FrequentWords
from lightmigrate.training.request import EmbeddingRequest, tokens_of
from lightmigrate.training.train import train
from lightmigrate.vectors import Vectors
from tests.encoders import WordLlamaFunction
from tests.training.collections import CORPUS

TEXTS = list(CORPUS.documents[:100])
NEW = WordLlamaFunction(64)
DATA = CalibrationData(TEXTS, CORPUS.old_documents[:100], None, 1000, {"corpus": "abstracts"})


def fit_ridge(
    source: Vectors,
    target: Vectors,
    *,
    source_model: Model | None,
    target_model: Model,
    device: str | None,
    seed: int,
) -> FittedPairs:
    """A fitter whose predictions leave out the half that they are for."""
    held_out = np.empty_like(target)
    halves = np.array_split(np.arange(len(source)), 2)
    for own, others in (halves, halves[::-1]):
        held_out[others] = fit(source[own], target[own], method="ridge", seed=seed).apply(source[others])
    projection = fit(source, target, method="ridge", source_model=source_model, target_model=target_model, seed=seed)
    return FittedPairs(projection, held_out)


class Counting(ChromaProvider):
    """The new model, which keeps the texts it embedded."""

    def __init__(self) -> None:
        super().__init__(NEW)
        self.documents: list[str] = []
        self.queries: list[str] = []

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        (self.queries if queries else self.documents).extend(texts)
        return super().encode(texts, queries)


def test_a_fitter_fits_in_place_of_the_method_and_the_gate_judges_what_it_left_out() -> None:
    events: list[Progress] = []
    source_model = Model("potion-base-8M", 256)
    training = train(
        DATA, ChromaProvider(NEW), method="mlp", fitter=fit_ridge, source_model=source_model, on_progress=events.append
    )
    new = np.asarray(NEW.embed(TEXTS), dtype=np.float32)
    expected = fit_ridge(
        CORPUS.old_documents[:100],
        new,
        source_model=source_model,
        target_model=ChromaProvider(NEW).model,
        device=None,
        seed=0,
    )
    np.testing.assert_allclose(
        training.projection.apply(CORPUS.old_documents[:100]),
        expected.projection.apply(CORPUS.old_documents[:100]),
        atol=1e-6,
    )
    assert training.gate.cosine < 0.98  # the projection itself, which has seen the documents, reaches more
    seen = np.sum(training.projection.apply(CORPUS.old_documents[:100]) * new, axis=1)
    assert seen.mean() > training.gate.cosine
    assert training.projection.info.training["corpus"] == "abstracts"
    assert (training.gate.n_documents, training.gate.collection_size) == (100, 1000)
    assert [event.step for event in events][-2:] == ["fit", "fit"]


def test_a_network_needs_a_fitter() -> None:
    with pytest.raises(LightmigrateError, match=r"'mlp' needs a fitter: pass fitter=lightmigrate_train.fit_network"):
        train(DATA, ChromaProvider(NEW), method="mlp")


def test_texts_without_vectors_need_the_old_model() -> None:
    with pytest.raises(LightmigrateError, match="no stored vectors: name the old model too"):
        train(CalibrationData(TEXTS, None, None, 100), ChromaProvider(NEW))


def test_a_model_of_another_dimension_is_not_the_old_one() -> None:
    with pytest.raises(
        LightmigrateError, match="stored vectors have 256 dimensions, wordllama-128 makes 128: it is not"
    ):
        train(DATA, ChromaProvider(NEW), ChromaProvider(WordLlamaFunction(128)))


def test_more_exact_documents_are_expected_to_keep_more() -> None:
    training = train(DATA, ChromaProvider(NEW), fitter=fit_ridge)
    kept = [training.gate_when_exact(share).expected_retention.value for share in (0.0, 0.5, 1.0)]
    assert kept == sorted(kept)
    assert kept[0] == training.gate.expected_retention.value
    assert kept[-1] == 1.0
    half, alone = training.gate_when_exact(0.5), training.gate
    assert half.expected_retention == alone.expected_retention.when_exact(0.5)
    assert half.expected_retention.low < half.expected_retention.value < 1, "the other half is projected"
    assert half.migrated == alone.migrated, "which is what was measured"


def test_a_training_embeds_what_its_request_says() -> None:
    words = FrequentWords(["flow", "wing", "shock"], [30, 20, 10], 100)
    data = CalibrationData(
        TEXTS[:60],
        CORPUS.old_documents[:60],
        words,
        100,
        extract_texts=TEXTS[60:80],
        extract_vectors=CORPUS.old_documents[60:80],
    )
    request = EmbeddingRequest.of(data, rule=ExtractRule(5), sentences=90)
    assert (len(request.documents), len(request.queries), len(request.words), len(request.extracts)) == (60, 60, 3, 80)
    assert all(len(extract.split()) <= 5 for extract in request.extracts)
    assert request.query_rows is not None
    for query, row in zip(request.queries, request.query_rows, strict=True):
        assert query in " ".join(TEXTS[row].split())
    provider = Counting()
    training = train(data, provider, extract_words=5, sentences=90)
    assert training.embedded == len(request) == 203
    assert set(provider.queries) == set(request.queries)
    embedded = set(provider.documents) - {"dimension"}
    assert set(request.documents) | set(request.words) | set(request.extracts) <= embedded
    assert training.bill == request.bill(provider)
    expected = tokens_of(provider, [*request.documents, *request.words, *request.extracts], request.queries)
    assert training.bill.tokens == expected


def test_queries_of_users_are_asked_in_place_of_sentences() -> None:
    data = CalibrationData(TEXTS, CORPUS.old_documents[:100], None, 100, queries=list(CORPUS.queries[:40]))
    request = EmbeddingRequest.of(data)
    assert (list(request.queries), request.query_rows) == (list(CORPUS.queries[:40]), None)
    gate = train(data, ChromaProvider(NEW), fitter=fit_ridge).gate
    assert (gate.n_queries, gate.by_users) == (40, True)


def test_held_out_documents_alone_judge() -> None:
    gate = train(DATA, ChromaProvider(NEW), fitter=fit_ridge, holdout=0.25).gate
    assert gate.n_documents == 25


def test_an_old_model_of_another_dimension_is_refused_before_the_new_one_is_paid_for() -> None:
    new = Counting()
    with pytest.raises(LightmigrateError, match=r"have 256 dimensions, .* makes 128: it is not the model"):
        train(DATA, new, source=ChromaProvider(WordLlamaFunction(128)))
    assert new.documents == new.queries == []
