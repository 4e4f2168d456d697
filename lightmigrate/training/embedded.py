"""Calibration data as both models embed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import LightmigrateError, TextsRefusedError
from lightmigrate.estimators.extracts import Extracts, OtherExtracts
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.progress import Report
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.base import Provider
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.frequent_words import FrequentWords
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.vectors import Vectors

BatchProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class EmbeddedData:
    """The vectors of an `EmbeddingRequest`.

    Attributes:
        old: float32 `(K, d_in)`, the calibration documents in the old space.
        new: float32 `(K, d_out)`, the same documents in the new space.
        old_queries: float32 `(q, d_in)`; `None` without the old model.
        new_queries: float32 `(q, d_out)`.
        words: the frequent words in the new space; `None` for a projection that reads no texts.
        extracts: the extracts in the new space; `None` if none were asked for.
    """

    old: Vectors
    new: Vectors
    old_queries: Vectors | None
    new_queries: Vectors
    words: WordVectors | None
    extracts: Extracts | None


def embed_data(
    data: CalibrationData,
    request: EmbeddingRequest,
    rule: ExtractRule | None,
    target: Provider,
    source: Provider | None,
    report: Report,
) -> EmbeddedData:
    """Embed a request. Calls the models; writes nothing but what a caching provider writes.

    Args:
        data: the calibration data, with stored vectors if there is no `source`.
        request: of this data.
        rule: makes the extracts; `None` for none.
        target: the new model.
        source: the old model, where it is available.
        report: receives the progress.

    Raises:
        LightmigrateError: the old model makes vectors of another dimension than the stored ones.
        TextsRefusedError: a model refuses some of the texts.
        ProviderError: a model fails.
    """

    def progress(step: str) -> BatchProgress:
        return lambda done, total: report(step, done, total)

    if source is not None and data.vectors is not None:
        _require_same_dimension(data.vectors, source, request.queries[:1])  # before the new model is paid for
    new = target.embed(request.documents, progress("embed documents"))
    new_queries = target.embed_queries(request.queries, progress("embed queries"))
    words = extracts = None
    if data.words is not None and len(request.words):
        words = embed_words(data.words, target, progress("embed words"))
    if rule is not None:
        extracts = embed_extracts(
            data.texts, rule, target, data.extract_texts, data.extract_vectors, progress("embed extracts")
        )
    old, old_queries = data.vectors, None
    if source is not None:
        if old is None:
            old = source.embed(request.documents, progress("embed documents, old model"))
        old_queries = source.embed_queries(request.queries, progress("embed queries, old model"))
    return EmbeddedData(np.asarray(old), new, old_queries, new_queries, words, extracts)


def _require_same_dimension(stored: Vectors, source: Provider, query: Sequence[str]) -> None:
    made = source.embed_queries(query).shape[1]
    if made != stored.shape[1]:
        raise LightmigrateError(
            f"the stored vectors have {stored.shape[1]} dimensions, {source.name} makes {made}: it is not the model of "
            "the stored vectors; name that one, or leave the old model out"
        )


def embed_accepted(
    data: CalibrationData,
    requested: Callable[[CalibrationData], EmbeddingRequest],
    rule: ExtractRule | None,
    target: Provider,
    source: Provider | None,
    report: Report,
) -> tuple[CalibrationData, EmbeddingRequest, EmbeddedData]:
    """Embed calibration data without the texts that a model refuses; see `embed_data`.

    Args:
        data: the calibration data.
        requested: makes the request of some data.
        rule: see `embed_data`, here and below.
        target: the new model.
        source: the old model.
        report: receives the progress.

    Returns:
        The data that was embedded, its request and its vectors.

    Raises:
        TextsRefusedError: a model refuses all documents but one, or more.
        ProviderError: a model fails.
    """
    while True:
        request = requested(data)
        try:
            return data, request, embed_data(data, request, rule, target, source, report)
        except TextsRefusedError as error:
            rest = _without_refused(data, request, frozenset(error.texts), rule)
            if len(rest.texts) < 2 or _size(rest) == _size(data):
                raise
            data = rest


def _without_refused(
    data: CalibrationData, request: EmbeddingRequest, refused: AbstractSet[str], rule: ExtractRule | None
) -> CalibrationData:
    """The data without refused texts, and without documents whose extract or sentence was refused."""
    rows, texts = set[int](), set(refused)
    if request.query_rows is not None:
        pairs = zip(request.query_rows, request.queries, strict=True)
        rows.update(row for row, sentence in pairs if sentence in refused)
    if rule is not None:
        whole = (*data.texts, *data.extract_texts)
        texts.update(text for text in whole if rule.of(text) in refused)
    return data.without(texts, rows)


def _size(data: CalibrationData) -> tuple[int, ...]:
    words = 0 if data.words is None else len(data.words.words)
    return len(data.texts), len(data.extract_texts), len(data.queries), words


def embed_words(words: FrequentWords, provider: Provider, progress: BatchProgress | None = None) -> WordVectors:
    """Embed the frequent words of a collection with the new model; calls it."""
    return WordVectors(words.words, provider.embed(words.words, progress), words.counts, words.documents)


def embed_extracts(
    texts: Sequence[str],
    rule: ExtractRule,
    provider: Provider,
    more_texts: Sequence[str] = (),
    more_vectors: Vectors | None = None,
    progress: BatchProgress | None = None,
) -> Extracts:
    """Embed extracts of documents with the new model; calls it.

    Args:
        texts: K calibration documents.
        rule: makes the extracts.
        provider: the new model.
        more_texts: M more documents, of which only the extracts are known in the new space.
        more_vectors: their old vectors, float32 `(M, d_in)`.
        progress: called with the number of extracts embedded, and of all.
    """
    extracts = [rule.of(text) for text in (*texts, *more_texts)]
    own, more = np.split(provider.embed(extracts, progress), [len(texts)])
    others = None if more_vectors is None or not len(more) else OtherExtracts(more_vectors, more_texts, more)
    return Extracts(rule, own, provider.embed_each, others)
