"""Shorter documents are learned from first; only those that represent the collection judge."""

from __future__ import annotations

import numpy as np

from lightmigrate import CalibrationData, train
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.training.request import EmbeddingRequest
from tests.encoders import WordLlamaFunction
from tests.training.collections import CORPUS

NEW = WordLlamaFunction(128)
TEXTS = list(CORPUS.documents[:40])


def data(representative: int | None) -> CalibrationData:
    vectors = np.asarray(WordLlamaFunction(64).embed(TEXTS), dtype=np.float32)
    plain = CalibrationData(TEXTS, vectors, None, 1000, positions=np.arange(len(TEXTS)))
    return plain.shorter_first(representative)


def test_shorter_documents_come_after_the_representative_ones_and_rows_stay_together() -> None:
    drawn = data(10)
    assert drawn.texts[:10] == TEXTS[:10]
    lengths = [len(text) for text in drawn.texts[10:]]
    least = np.median([len(text) for text in TEXTS]) / 2
    shortness = [max(length, least) for length in lengths]
    assert shortness == sorted(shortness)
    assert shortness[0] < shortness[-1]
    assert drawn.positions is not None
    assert drawn.vectors is not None
    assert [TEXTS[row] for row in drawn.positions] == list(drawn.texts)
    np.testing.assert_allclose(drawn.vectors, WordLlamaFunction(64).embed(list(drawn.texts)), atol=1e-6)
    assert data(None).texts == TEXTS


def test_documents_of_less_than_half_the_usual_length_are_no_better_than_others_of_up_to_that_length() -> None:
    texts = ["a" * 40, "b" * 100, "c" * 60, "d" * 100, "ok", "e" * 70, "f" * 100, "no", "g" * 49]
    drawn = CalibrationData(texts, None, None, 1000).shorter_first(2)
    assert drawn.texts == [*texts[:2], "ok", "no", "g" * 49, "c" * 60, "e" * 70, "d" * 100, "f" * 100]


def test_extracts_are_of_short_and_long_documents_alike_and_so_are_half_of_them() -> None:
    texts = ["r" * 50, *("x" * length for length in range(100, 0, -10))]
    drawn = CalibrationData(texts, np.zeros((11, 1), np.float32), None, 1000).shorter_first(1).first(1, 4)
    lengths = [len(text) for text in drawn.extract_texts]
    assert lengths == [20, 60, 30, 80]
    assert sorted(len(text) for text in CalibrationData(texts, None, None, 9).first(1, 10).extract_texts) == list(
        range(10, 101, 10)
    )


def test_sentences_are_of_the_representative_documents_alone() -> None:
    drawn = data(10)
    request = EmbeddingRequest.of(drawn)
    assert request.query_rows is not None
    assert set(request.query_rows) <= set(range(10))
    assert drawn.first(5).judging == 5
    left = drawn.without({drawn.texts[3], drawn.texts[20]}, {12})
    assert left.judging == 9
    assert (len(left.texts), left.texts[9]) == (37, drawn.texts[10])


def test_a_training_is_judged_by_representative_documents_among_all() -> None:
    provider = ChromaProvider(NEW)
    training = train(data(10), provider, method="ridge", sentences=20)
    assert training.gate.n_documents == 40
    assert training.gate.n_queries <= 20
    assert training.judge.request.query_rows is not None
    assert max(training.judge.request.query_rows) < 10
