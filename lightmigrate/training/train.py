"""From calibration data and two embedding models to a judged projection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.estimators.fit import LANDMARKS
from lightmigrate.estimators.fit_memory import FitMemory
from lightmigrate.estimators.methods import Method
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.careful import Shortened
from lightmigrate.quality.gate import Gate, Thresholds
from lightmigrate.results import Result
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.embedded import embed_accepted
from lightmigrate.training.fitting import Fitter, Fitting, Rows
from lightmigrate.training.judge import Judge
from lightmigrate.training.request import MOST_SENTENCES, EmbeddingRequest
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Training(Result):
    """A projection, and what to expect of it.

    Attributes:
        projection: the projection; its header holds the judgement.
        gate: the judgement.
        embedded: number of texts that the new model was asked for: documents, queries, words and extracts.
        bill: their estimated cost.
        embedding_seconds: for all calls of models.
        fitting_seconds: for the fit; what was handed on to it counts as when it was made.
        shortened: the texts that the new model did not take whole; refused ones were left out.
        data: what it was trained on.
        judge: judges projections of these documents.
        judges: rows of the documents that judge, ascending, int64 `(n,)`.
        held_out: projections of these by fits that have not seen them, float32 `(n, d_out)`.
        fitting: how projections are fitted to these documents.
    """

    projection: Projection
    gate: Gate
    embedded: int
    bill: Bill
    embedding_seconds: float
    fitting_seconds: float
    data: CalibrationData = field(repr=False, compare=False)
    shortened: Shortened
    judge: Judge = field(repr=False, compare=False)
    judges: Rows = field(repr=False, compare=False)
    held_out: Vectors = field(repr=False, compare=False)
    fitting: Fitting = field(repr=False, compare=False)

    def gate_when_exact(self, share: float) -> Gate:
        """The judgement when a share of the documents, in [0, 1], is exact and only the others are projected.

        Only what is expected differs, for which `gate.expected_retention.when_exact` is quicker.
        """
        return self.judge.judge(self.held_out, self.judges, share)

    def gate_of_half_extracts(self) -> Gate:
        """The judgement of a fit with half of the other documents of which only extracts were embedded.

        It tells how much more extracts would help.
        """
        predicted = self.fitting.predict_with_half_of_extracts(self._fitted)
        return self.judge.judge(predicted, np.arange(self._fitted))

    def gate_of(self, numbers: Rows, collection_size: int) -> Gate:
        """The judgement by some of the documents that judge, which tells how one of several collections fares.

        Args:
            numbers: of these documents among those that judge, ascending, int64 `(m,)`.
            collection_size: number of documents that they represent.
        """
        return self.judge.judge(self.held_out[numbers], self.judges[numbers], collection_size=collection_size)

    @property
    def _fitted(self) -> int:
        """Number of documents it was fitted to, the first ones."""
        count, total = len(self.judges), len(self.judge.embedded.new)
        return count if self.judges[0] == 0 else total - count

    def to_json(self) -> dict[str, Any]:
        """All but the numbers of the projection, as plain JSON values."""
        return {
            "projection": self.projection.info.to_json(),
            "gate": self.gate.to_json(),
            "embedded": self.embedded,
            "estimated_tokens": self.bill.tokens,
            "estimated_dollars": self.bill.dollars,
            "embedding_seconds": self.embedding_seconds,
            "fitting_seconds": self.fitting_seconds,
            "shortened": self.shortened.to_json(),
        }


def train(
    data: CalibrationData,
    target: Provider,
    source: Provider | None = None,
    *,
    source_model: Model | None = None,
    method: Method | Literal["mlp"] = "auto",
    fitter: Fitter | None = None,
    extract_words: int | None = None,
    extract_kind: ExtractKind = "first",
    sentences: int = MOST_SENTENCES,
    prior: Projection | None = None,
    landmarks: int = LANDMARKS,
    holdout: float = 0.0,
    thresholds: Thresholds | None = None,
    device: str | None = None,
    seed: int = 0,
    memory: FitMemory | None = None,
    on_progress: OnProgress | None = None,
) -> Training:
    """Embed the calibration data, fit a projection, and judge it by documents that the fit has not seen.

    Calls the models. Writes nothing but what a caching provider writes.

    Args:
        data: the documents, with or without their stored vectors.
        target: the new model.
        source: the old model; needed when there are no stored vectors. With it the gate also measures what doing
            nothing gives.
        source_model: the model of the stored vectors; by default `source`, or unnamed.
        method: see `lightmigrate.fit`; or `mlp`, which needs a `fitter`.
        fitter: fits in place of `method`, and reads no texts: `lightmigrate_train.fit_network` fits a network.
        extract_words: make a projection that embeds an extract (so many words) of every text.
        extract_kind: which words; see `ExtractRule`.
        sentences: at most so many sentences of the documents stand in for queries of users, when there are none.
        prior: see `lightmigrate.fit`.
        landmarks: see `lightmigrate.fit`.
        holdout: share of the documents, in [0, 0.5], that are left out of the fit and alone judge it. By default all
            judge, each left out of its own fit in closed form, which wastes none.
        thresholds: of the gate.
        device: `cuda` to fit with torch on a GPU; by default NumPy.
        seed: of every random choice.
        memory: what was fitted already, for several trainings on the same documents; see `FitMemory`.
        on_progress: receives the progress of embedding and fitting.

    Raises:
        LightmigrateError: neither stored vectors nor an old model, or what `fit`, `gate` and providers raise.
    """
    report = reporting(on_progress)
    if not 0 <= holdout <= 0.5:
        raise LightmigrateError(f"a holdout of {holdout} is not a share between 0 and 0.5")
    if data.vectors is None and source is None:
        raise LightmigrateError("these texts have no stored vectors: name the old model too, or use a collection")
    if method == "mlp" and fitter is None:
        raise LightmigrateError("the method 'mlp' needs a fitter: pass fitter=lightmigrate_train.fit_network")
    rule = None if extract_words is None else data.extract_rule(extract_kind, extract_words)
    request = EmbeddingRequest.of(data, seed, rule, sentences)
    bill = request.bill(target)
    started = time.monotonic()
    data, request, embedded = embed_accepted(
        data,
        lambda given: EmbeddingRequest.of(given, seed, rule, sentences),
        rule,
        target,
        source,
        report,
    )
    embedding_ended = time.monotonic()

    report("fit", 0, 1)
    fitting = Fitting(
        embedded=embedded,
        texts=data.texts if data.words is not None else None,
        source_model=source_model or (source.model if source is not None else None),
        target_model=target.model,
        method="auto" if method == "mlp" else method,
        fitter=fitter,
        prior=prior,
        landmarks=landmarks,
        device=device,
        seed=seed,
        memory=memory,
    )
    total, handed_on = len(request.documents), _handed_on(memory)
    count = total - round(holdout * total)
    fitted = fitting.fit(np.arange(count))
    judges, predicted = np.arange(count), fitted.held_out
    if holdout:
        judges = np.arange(count, total)
        predicted = fitted.projection.apply(embedded.old[judges], fitting.texts_of(judges))
    report("fit", 1, 1)
    fitting_ended = time.monotonic()

    judge = Judge(embedded, request, data.collection_size, data.metric, thresholds, seed)
    gate = judge.judge(predicted, judges)
    return Training(
        projection=fitted.projection.with_facts(training=data.about, quality=gate.to_json()),
        gate=gate,
        embedded=len(request),
        bill=bill,
        embedding_seconds=embedding_ended - started,
        fitting_seconds=fitting_ended - embedding_ended + _handed_on(memory) - handed_on,
        data=data,
        shortened=target.shortened,
        judge=judge,
        judges=judges,
        held_out=predicted,
        fitting=fitting,
    )


def _handed_on(memory: FitMemory | None) -> float:
    return 0.0 if memory is None else memory.handed_on_seconds
