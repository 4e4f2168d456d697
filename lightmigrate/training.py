"""From documents and two embedding models to a measured projection."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.calibration.sentences import pseudo_queries
from lightmigrate.calibration.words import FrequentWords
from lightmigrate.errors import LightmigrateError, MissingExtraError
from lightmigrate.estimators.beginnings import Beginnings, Others
from lightmigrate.estimators.fit import LANDMARKS, FittedPairs, fit_pairs
from lightmigrate.estimators.methods import FOLDS, Method
from lightmigrate.estimators.words import WordVectors
from lightmigrate.projection.abridged import abridge
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.quality.gate import Gate, Thresholds, gate
from lightmigrate.results import Result

Rows = npt.NDArray[np.int64]

# Sentences that stand in for queries of users: more of them hardly narrow the interval.
MOST_SENTENCES = 1000

# Called with what is being done, how much of it is done, and how much there is.
OnTraining = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Material:
    """What a projection is to be trained on.

    Attributes:
        texts: K different documents.
        vectors: their stored vectors `(K, d_in)`; `None` when the old model is to embed them.
        words: the frequent words of all the documents there are; `None` when the database stores no texts.
        collection_size: how many documents these K stand for.
        about: facts for the projection's header: where the texts are from.
        queries: what users of this database asked for, as many as there are at hand. The gate asks them instead of
            sentences of the documents, and is better at telling what to expect.
        more_texts: documents of which the new model reads only the first words, where it reads any.
        more_vectors: their stored vectors.
    """

    texts: Sequence[str]
    vectors: Vectors | None
    words: FrequentWords | None
    collection_size: int
    about: Mapping[str, Any] = field(default_factory=dict)
    queries: Sequence[str] = ()
    more_texts: Sequence[str] = ()
    more_vectors: Vectors | None = None


@dataclass(frozen=True)
class Training(Result):
    """What came of it.

    Attributes:
        projection: the projection, what the gate says in its header.
        gate: what to expect of it.
        embedded: texts the new model was asked for: documents, queries and words.
        bill: what they were estimated to cost.
        embedding_seconds: for all calls of models.
        fitting_seconds: for the fit.
        gate_when_exact: what the gate says when a share of the documents, in [0, 1], is embedded by the new model and
            only the others are mapped.
        gate_of_halves: what the gate says when each half of the documents is mapped by a fit to the other half: how
            much more of them would help.
    """

    projection: Projection
    gate: Gate
    embedded: int
    bill: Bill
    embedding_seconds: float
    fitting_seconds: float
    gate_when_exact: Callable[[float], Gate] = field(repr=False, compare=False)
    gate_of_halves: Callable[[], Gate] = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """What can be written down of it; not the numbers of the projection."""
        return {
            "projection": self.projection.info.to_json(),
            "gate": self.gate.to_json(),
            "embedded": self.embedded,
            "estimated_tokens": self.bill.tokens,
            "estimated_dollars": self.bill.dollars,
            "embedding_seconds": self.embedding_seconds,
            "fitting_seconds": self.fitting_seconds,
        }


@dataclass(frozen=True)
class Reading:
    """All the new model will be asked to embed.

    Attributes:
        documents: the calibration documents.
        queries: what the gate asks: the users' own queries, or sentences of the documents.
        taken_from: the row of the document each sentence is of; `None` for queries of users.
        words: single words, none when texts are not read.
        beginnings: the first words of the calibration documents and of more, none when they are not read.
    """

    documents: Sequence[str]
    queries: Sequence[str]
    taken_from: Sequence[int] | None
    words: Sequence[str]
    beginnings: Sequence[str] = ()

    @classmethod
    def of(
        cls, material: Material, seed: int = 0, first_words: int | None = None, sentences: int = MOST_SENTENCES
    ) -> Reading:
        """What this material asks for; calls nothing."""
        queries, taken_from = (
            (material.queries, None) if material.queries else pseudo_queries(material.texts, sentences, seed)
        )
        begun = [*material.texts, *material.more_texts]
        beginnings = [abridge(text, first_words) for text in begun] if first_words else ()
        return cls(material.texts, queries, taken_from, material.words.words if material.words else (), beginnings)

    def __len__(self) -> int:
        return len(self.documents) + len(self.queries) + len(self.words) + len(self.beginnings)

    def bill(self, provider: Provider) -> Bill:
        """What it costs; calls nothing."""
        return provider.bill([*self.documents, *self.words, *self.beginnings], self.queries)


def train(
    material: Material,
    target: Provider,
    source: Provider | None = None,
    *,
    source_model: Model | None = None,
    method: Method | Literal["mlp"] = "auto",
    first_words: int | None = None,
    sentences: int = MOST_SENTENCES,
    prior: Projection | None = None,
    landmarks: int = LANDMARKS,
    holdout: float = 0.0,
    thresholds: Thresholds | None = None,
    device: str | None = None,
    seed: int = 0,
    on_progress: OnTraining | None = None,
) -> Training:
    """Embed what is needed, fit, and let the gate judge by predictions for documents that were left out.

    Writes nothing but what a caching provider writes. Calls the models.

    Args:
        material: the documents, with their stored vectors or without.
        target: the new model.
        source: the old model; needed when there are no stored vectors. With it the gate also says what doing
            nothing gives.
        source_model: who made the stored vectors; by default `source`, or unnamed.
        method: see `lightmigrate.fit`; or `mlp`, a network on top of a kernel fit, which needs the `train` extra and
            reads no texts.
        first_words: make a projection that reads so many first words of every text with the new model.
        sentences: of the documents, at most so many, for the gate to ask when there are no queries of users.
        prior: see `lightmigrate.fit`.
        landmarks: see `lightmigrate.fit`.
        holdout: share of the documents that nothing is fitted to, in [0, 0.5]; the gate then judges by them alone.
            By default it judges by all, each left out of its own fit in closed form, which wastes none.
        thresholds: of the gate.
        device: `cuda` to fit with torch on a GPU; by default NumPy.
        seed: of every random choice.
        on_progress: hears how far embedding and fitting are.

    Raises:
        LightmigrateError: neither stored vectors nor an old model, or what `fit`, `gate` and providers raise.
    """
    say = on_progress or (lambda step, done, total: None)
    if not 0 <= holdout <= 0.5:
        raise LightmigrateError(f"a holdout of {holdout} is not a share between 0 and 0.5")
    if material.vectors is None and source is None:
        raise LightmigrateError("these texts have no stored vectors: name the old model too, or use a collection")
    reading = Reading.of(material, seed, first_words, sentences)
    bill = reading.bill(target)
    started = time.monotonic()
    found = _embed(material, reading, first_words, target, source, say)
    embedded = time.monotonic()

    say("fitting", 0, 1)
    texts = material.texts if material.words is not None else None
    count = len(reading.documents) - round(holdout * len(reading.documents))
    X, Y = found.old[:count], found.new[:count]
    old_model = source_model or (source.model if source is not None else None)

    def fitted_to(rows: Rows) -> FittedPairs:
        if method == "mlp":
            return _network(X[rows], Y[rows], old_model, target.model, device, seed)
        begun = found.beginnings
        return fit_pairs(
            _on(device, X[rows]),
            _on(device, Y[rows]),
            None if texts is None else [texts[row] for row in rows],
            method=method,
            words=found.words,
            beginnings=None if begun is None else replace(begun, vectors=begun.vectors[rows]),
            prior=prior,
            landmarks=landmarks,
            seed=seed,
            source_model=old_model,
            target_model=target.model,
        )

    fitted = fitted_to(np.arange(count))
    judges, mapped = slice(0, count), fitted.held_out
    if holdout:
        judges = slice(count, None)
        mapped = fitted.projection.apply(found.old[judges], None if texts is None else texts[judges])
    say("fitting", 1, 1)
    fitted_at = time.monotonic()
    judged = partial(_judge, found, reading, judges, material.collection_size, thresholds, seed)
    verdict = judged(mapped, 0.0)

    def halves() -> Gate:
        mapped = np.empty_like(Y)
        shuffled = np.random.default_rng(seed).permutation(count)
        for own, others in (np.array_split(shuffled, 2), np.array_split(shuffled, 2)[::-1]):
            said = None if texts is None else [texts[row] for row in others]
            mapped[others] = fitted_to(own).projection.apply(X[others], said)
        return _judge(found, reading, slice(0, count), material.collection_size, thresholds, seed, mapped, 0.0)

    projection = fitted.projection.with_facts(training=material.about, quality=verdict.to_json())
    return Training(
        projection,
        verdict,
        len(reading),
        bill,
        embedded - started,
        fitted_at - embedded,
        partial(judged, mapped),
        halves,
    )


@dataclass(frozen=True)
class _Embedded:
    """What the models said: documents and queries by both (queries by the old one only when it is at hand)."""

    old: Vectors
    new: Vectors
    old_queries: Vectors | None
    new_queries: Vectors
    words: WordVectors | None
    beginnings: Beginnings | None


def _embed(
    material: Material,
    reading: Reading,
    first_words: int | None,
    target: Provider,
    source: Provider | None,
    say: OnTraining,
) -> _Embedded:
    def progress(step: str) -> Callable[[int, int], None]:
        return lambda done, total: say(step, done, total)

    new = target.embed(reading.documents, progress("documents, new model"))
    new_queries = target.embed_queries(reading.queries, progress("queries, new model"))
    words = None
    if material.words is not None and len(reading.words):
        vectors = target.embed(reading.words, progress("words, new model"))
        words = WordVectors(reading.words, vectors, material.words.counts, material.words.documents)
    beginnings = None
    if first_words and len(reading.beginnings):
        vectors = target.embed(reading.beginnings, progress("first words, new model"))
        own, more = np.split(vectors, [len(material.texts)])
        others = (
            None
            if material.more_vectors is None or not len(more)
            else Others(material.more_vectors, material.more_texts, more)
        )
        beginnings = Beginnings(first_words, own, target.embed, others)
    old, old_queries = material.vectors, None
    if source is not None:
        if old is None:
            old = source.embed(reading.documents, progress("documents, old model"))
        old_queries = source.embed_queries(reading.queries, progress("queries, old model"))
        if old_queries.shape[1] != old.shape[1]:
            raise LightmigrateError(
                f"the stored vectors have {old.shape[1]} dimensions, {source.name} makes {old_queries.shape[1]}: "
                "it is not the model they came from"
            )
    return _Embedded(np.asarray(old), new, old_queries, new_queries, words, beginnings)


def _judge(
    found: _Embedded,
    reading: Reading,
    judges: slice,
    collection_size: int,
    thresholds: Thresholds | None,
    seed: int,
    mapped: Vectors,
    exact: float,
) -> Gate:
    """The gate, by the documents in `judges` and the sentences taken from them, or all queries of users.

    A share of the documents, `exact`, stands there as the new model embeds it, the others are mapped.
    """
    rows = np.arange(len(found.new))[judges]
    if exact:
        known = np.random.default_rng(seed).permutation(len(rows))[: round(exact * len(rows))]
        mapped = mapped.copy()
        mapped[known] = found.new[rows[known]]
    asked, taken_from = np.arange(len(reading.queries)), None
    if reading.taken_from is not None:
        origins = np.asarray(reading.taken_from, dtype=np.int64)
        asked = np.flatnonzero(np.isin(origins, rows))
        taken_from = (origins[asked] - rows[0]).tolist()
    return gate(
        true=found.new[rows],
        mapped=mapped,
        queries=found.new_queries[asked],
        taken_from=taken_from,
        collection_size=collection_size,
        begun=found.beginnings is not None,
        old=found.old[rows] if found.old_queries is not None else None,
        old_queries=found.old_queries[asked] if found.old_queries is not None else None,
        thresholds=thresholds,
        seed=seed,
    )


def _network(
    source: Vectors, target: Vectors, source_model: Model | None, target_model: Model, device: str | None, seed: int
) -> FittedPairs:
    """A network for all pairs, and one for each part of them that has not seen it, to be judged by."""
    try:
        from lightmigrate_train import fit_mlp
    except ImportError:
        raise MissingExtraError("torch", "train") from None
    fitted = partial(fit_mlp, source_model=source_model, target_model=target_model, device=device, seed=seed)
    held_out = np.empty_like(target)
    shuffled = np.random.default_rng(seed).permutation(len(source))
    for fold in np.array_split(shuffled, FOLDS):
        others = np.setdiff1d(shuffled, fold)
        held_out[fold] = fitted(source[others], target[others]).apply(source[fold])
    return FittedPairs(fitted(source, target).with_spaces(source, target), held_out)


def _on(device: str | None, vectors: Vectors) -> Any:
    if device is None or device == "cpu":
        return vectors
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "train") from None
    return torch.as_tensor(vectors, dtype=torch.float64, device=device)
