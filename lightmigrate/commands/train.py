"""`train`: calibrate on documents, judge, save."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightmigrate.commands.arguments import ModelChoice, TextsChoice, read_queries
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_collection
from lightmigrate.commands.estimate import Estimate
from lightmigrate.errors import LightmigrateError, MissingExtraError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.estimators.methods import Method
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.base import Provider
    from lightmigrate.training.calibration_data import CalibrationData
    from lightmigrate.training.fitting import Fitter
    from lightmigrate.training.train import Training
    from lightmigrate.vectors import Metric


@dataclass(frozen=True)
class Documents:
    """The documents to calibrate on.

    Attributes:
        database: take them from a collection of this database, with their stored vectors; `None` for `texts`.
        collection: its name; empty for all collections, which must be of one model: they teach one projection.
        texts: without a database: file of texts, `None` for the packaged corpus. With one: its texts by id.
        text_key: field or column of the texts.
        id_key: field of the ids.
        text_field: with a database: the field of the metadata that was embedded; see `TextsChoice`, also below.
        text_template: with a database: a template of what was embedded.
        samples: how many documents.
        queries: file with queries of users, by which the gate then judges.
        reads_texts: whether the projection may read texts; `None` decides by whether a migration will have them.
        distance: to judge by, where the migration will change it; `None` for that of the collection.
    """

    database: DatabaseChoice | None = None
    collection: str = ""
    texts: Path | None = None
    text_key: str = "text"
    id_key: str = "id"
    text_field: str = ""
    text_template: str = ""
    samples: int = 1000
    queries: Path | None = None
    reads_texts: bool | None = None
    distance: Metric | None = None


@dataclass(frozen=True)
class FitOptions:
    """How a projection is fitted and judged.

    Attributes:
        method: see `lightmigrate.fit`; or `mlp`, a network, which needs torch.
        prior: file of a projection between the same models to build on.
        device: `cuda` or `cpu`; empty for `cuda` where torch finds one.
        seed: of every random choice.
        holdout: share of the documents only to judge by; 0 judges by all, each left out of its own fit.
        passing: expected retention that passes the gate.
        failing: expected retention below which it fails.
    """

    method: str = "auto"
    prior: Path | None = None
    device: str = ""
    seed: int = 0
    holdout: float = 0.0
    passing: float = 0.85
    failing: float = 0.6


@dataclass(frozen=True)
class Output:
    """Where a training writes.

    Attributes:
        folder: for the projection; it is listed there.
        onnx: whether it is also written as `.onnx`.
        cache: file that keeps embeddings; the default one when `None`.
    """

    folder: Path = Path("projections")
    onnx: bool = False
    cache: Path | None = None


DEFAULT_FIT, DEFAULT_OUTPUT = FitOptions(), Output()


@dataclass(frozen=True)
class Trained(Result):
    """A trained projection.

    Attributes:
        training: the projection and the judgement of it.
        files: what was written.
    """

    training: Training
    files: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """The files and the training, as plain JSON values."""
        return {"files": [str(path) for path in self.files], **self.training.to_json()}


def train(
    documents: Documents,
    target: ModelChoice,
    source: ModelChoice | None = None,
    fit: FitOptions = DEFAULT_FIT,
    output: Output = DEFAULT_OUTPUT,
    *,
    max_cost: float | None = None,
    conversation: Conversation,
) -> Trained:
    """Train a projection, let the gate judge it, and save it. Calls the models; asks about the cost; writes only files.

    Args:
        documents: what to calibrate on.
        target: the new model.
        source: the old model. Needed without a database. With one, a model without a provider is only named in the
            header of the projection; one with a provider serves to measure what doing nothing gives.
        fit: how to fit and judge.
        output: where to write.
        max_cost: dollars that may be spent on the new model.
        conversation: with the caller; shown the estimates before it is asked.

    Raises:
        MissingExtraError: a library that the models or the method need is not installed; nothing was read.
        RefusedError: the answer was no.
        LightmigrateError: what reading, embedding and fitting raise.
    """
    from lightmigrate.estimators.methods import EXTRACT_METHODS, METHODS
    from lightmigrate.projection.projection import Projection
    from lightmigrate.quality.gate import Thresholds
    from lightmigrate.training.train import train as train_on

    methods = ("auto", *(name for name in METHODS if name not in EXTRACT_METHODS), "mlp")
    if fit.method not in methods:
        raise LightmigrateError(f"no method {fit.method!r}; there are: {', '.join(methods)}")
    named = source is not None and bool(source.model or source.provider)
    if not named and documents.database is None:
        raise LightmigrateError("without --from the old model is needed too: --source-model")
    if fit.method == "mlp" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "train")
    source_name = source.model if source is not None else ""
    thresholds = Thresholds(fit.passing, fit.failing)
    device = fit.device or _best_device()
    provider = _open(target, output.cache, device, **target.limited(max_cost))
    previous = None
    if source is not None and named and (source.provider or documents.database is None):
        previous = _open(source, output.cache, device)
    prior = Projection.load(fit.prior) if fit.prior is not None else None
    data = _data(documents, fit.seed, conversation)
    _require_consent(data, provider, previous, fit.seed, max_cost, conversation)
    training = train_on(
        data,
        provider,
        previous,
        source_model=None if previous is not None else _stored_model(data, prior, source_name),
        method=_method(fit.method),
        fitter=_fitter() if fit.method == "mlp" else None,
        prior=prior,
        holdout=fit.holdout,
        thresholds=thresholds,
        device=device,
        seed=fit.seed,
        on_progress=conversation.on_progress,
    )
    return Trained(training, _save(training.projection, output))


def _open(model: ModelChoice, cache: Path | None, device: str, **more: object) -> Provider:
    return model.open(cache, **more, **({"device": device} if model.opened_by == "sentence-transformers" else {}))


def _data(documents: Documents, seed: int, conversation: Conversation) -> CalibrationData:
    from lightmigrate.training.sources import data_from_file

    if documents.database is None:
        data = data_from_file(
            documents.texts,
            documents.samples,
            text_key=documents.text_key,
            reads_texts=documents.reads_texts,
            seed=seed,
        )
    else:
        choice = TextsChoice(
            documents.texts, documents.text_key, documents.id_key, documents.text_field, documents.text_template
        )
        embedded = choice.read()
        migrator = documents.database.open(conversation)
        data = migrator.calibration_data(
            only_collection(migrator, documents.collection) if documents.collection else None,
            documents.samples,
            texts=embedded,
            reads_texts=documents.reads_texts,
            seed=seed,
        )
    queries = read_queries(documents.queries, seed, documents.text_key)
    return replace(data, queries=queries, metric=documents.distance or data.metric)


def _require_consent(
    data: CalibrationData,
    provider: Provider,
    previous: Provider | None,
    seed: int,
    max_cost: float | None,
    conversation: Conversation,
) -> None:
    """Show what the models will be asked to embed, and ask before one is called if that costs money.

    Raises:
        CostError: the new model is expected to cost more than `max_cost`.
    """
    from lightmigrate.training.limits import SpendingLimit
    from lightmigrate.training.request import EmbeddingRequest

    request = EmbeddingRequest.of(data, seed)
    bills = [(provider, len(request.documents), len(request.words), request.bill(provider))]
    if previous is not None:
        documents = request.documents if data.vectors is None else ()
        bills.append((previous, len(documents), 0, previous.bill(documents, request.queries)))
    for model, number, words, bill in bills:
        if model is provider or bill.dollars != 0:
            conversation.show(Estimate(model.name, number, len(request.queries), words, bill.tokens, bill.dollars))
    SpendingLimit(max_cost).pay(provider, bills[0][-1].dollars, f"embedding {bills[0][1]} documents")
    paid = [model.name for model, _, _, bill in bills if bill.dollars != 0]
    if paid:
        conversation.require(f"Embed with {' and '.join(paid)}?", "embed")


def _stored_model(data: CalibrationData, prior: Projection | None, name: str) -> Any:
    """The model of the stored vectors: that of the projection to build on, or one of that name."""
    from lightmigrate.projection.model import Model

    if data.vectors is None:
        return None
    return prior.info.source if prior is not None else Model(name or "unnamed", data.vectors.shape[1])


def _save(projection: Projection, output: Output) -> tuple[Path, ...]:
    from lightmigrate.registry.names import file_name_of
    from lightmigrate.registry.registry import Registry

    name = file_name_of(projection.info.source, projection.info.target)
    Registry(output.folder).add(projection, name)
    file = output.folder / name
    return (file, projection.export_onnx(file.with_suffix(".onnx"))) if output.onnx else (file,)


def _fitter() -> Fitter:
    """The fit of `mlp`, which belongs to the training package."""
    from lightmigrate_train import fit_network

    return fit_network


def _method(name: str) -> Method | Literal["mlp"]:
    return name  # type: ignore[return-value]  # it was looked up above


def _best_device() -> str:
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
