"""Carries out a plan: embeds what it allows, makes the projection, and records where each row's vector will come from.

Every embedding goes through a cache on disk before it is used, so that an interrupted run pays for nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.partly_exact import PartlyExact
from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.budget.quality_estimator import EVERYTHING, MOST_FITTED, sentences_for
from lightmigrate.budget.recorded import rows_of
from lightmigrate.errors import FailedGateError, ModelMismatchError
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.terms.extract import extract_of
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Gate
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.stores.base import Collection, Metric
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.source import form_to_json
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.sources import data_from_collection
from lightmigrate.training.text_digest import in_random_order, text_digest
from lightmigrate.training.train import Training, train

# Shares of exact rows for which the expected quality is stored, for `status`.
STATUS_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class CarriedOut:
    """What a plan's tokens bought.

    Attributes:
        projection: for the migration; it asks the new model, through its cache, for what was paid.
        training: of the projection, with its judgement.
    """

    projection: Projection
    training: Training


def carry_out(
    plan: BudgetPlan,
    collection: Collection,
    provider: Provider,
    provenance: Path,
    *,
    source_model: Model | None = None,
    queries: Sequence[str] = (),
    distance: Metric | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> CarriedOut:
    """Embed what a plan allows and make the projection. Calls the model; writes the provenance file and the cache.

    Args:
        plan: the plan.
        collection: the open collection, with the texts it was planned with; only read.
        provider: the new model, with a cache.
        provenance: path of the file that records where each row's vector will come from.
        source_model: the model of the stored vectors; unnamed by default.
        queries: the queries of users that the plan was made with.
        distance: that the collection will have; `None` if it keeps its own.
        force: go on although the gate's verdict is FAIL.
        on_progress: receives the progress.

    Raises:
        PlanOutdatedError: the collection, or the queries, are not those of the plan.
        FailedGateError: the gate's verdict is FAIL.
        ModelMismatchError: the provider is another model than the plan's.
    """
    report = reporting(on_progress, str(plan.address))
    if provider.name != plan.model:
        raise ModelMismatchError(
            f"the plan is for the model {plan.model}, not for {provider.name}: use {plan.model}, or plan again"
        )
    plan.query_set.require(queries)
    extract_words = plan.setting.extract_words
    lengths = [extract_words] if extract_words else []
    size = CollectionSize.of(collection, provider, lengths, lambda done, total: report("count", done, total))
    plan.require_unchanged(size)
    data = _data(plan, collection, queries, distance, on_progress)
    training = train(
        data,
        provider,
        source_model=source_model,
        extract_words=extract_words or None,
        sentences=sentences_for(len(data.texts)),
        seed=plan.seed,
        on_progress=on_progress,
    )
    without_texts = training.gate
    if size.texts < size.records and (extract_words or data.words is not None):
        sentences = sentences_for(len(data.texts))
        without_texts = train(data.without_texts(), provider, sentences=sentences, seed=plan.seed).gate
    fitted = {text_digest(text) for text in data.texts}
    exact = fitted | _embedded_whole(plan, collection, fitted)
    gate = training.gate_when_exact(len(exact) / max(1, size.texts))
    if gate.verdict == "FAIL" and not force:
        raise FailedGateError(
            f"collection {plan.address}: {gate.reason}; plan for more, embed everything again, or add --force"
        )
    facts = {
        "model": provider.name,
        "provider": plan.provider,
        "dimension": training.projection.info.target.dimension,
        "reads_texts": data.words is not None,
        "texts_file": plan.texts_file.to_json(),
        "text_form": form_to_json(collection.source.form) if isinstance(collection, WithTexts) else {},
        "expected": _expected_by_share(training, without_texts, size),
    }
    described = training.projection.with_facts(
        training={"embedded_whole": len(exact), "extract_words": extract_words},
        quality=gate.to_json(),
    )
    projection = PartlyExact.of(described, exact, provider.embed_each)
    with Provenance(provenance) as rows, rows.together():
        rows.start(plan.address, facts, training.projection)
        done = 0
        for page in collection.scan(PAGE_ROWS):
            rows.add(plan.address, rows_of(page, projection, extract_words, exact, fitted))
            done += len(page)
            report("embed", done, size.records)
    return CarriedOut(projection, training)


def _data(
    plan: BudgetPlan,
    collection: Collection,
    queries: Sequence[str],
    distance: Metric | None,
    on_progress: OnProgress | None,
) -> CalibrationData:
    """The calibration data of a plan: the documents embedded whole, and extracts of the other sampled documents."""
    sampled = data_from_collection(
        collection, plan.sampled, queries=queries, distance=distance, seed=plan.seed, on_progress=on_progress
    ).with_words(plan.words)
    fitted = min(plan.setting.documents, plan.sampled, MOST_FITTED)
    data = sampled.first(fitted, plan.sampled - fitted)
    return data if plan.setting.reads_texts else data.without_texts()


def _expected_by_share(
    training: Training, without_texts: Gate, size: CollectionSize
) -> list[tuple[float, dict[str, Any]]]:
    """The quality to expect for some shares of exact records, for `status`; records without a text stay projected."""
    texts = size.texts / max(1, size.records)
    of_texts = [(share, training.gate_when_exact(share).expected_retention) for share in STATUS_SHARES]
    if texts == 1:
        return [(share, expected.to_json()) for share, expected in of_texts]
    of_others = without_texts.expected_retention
    return [
        (share * texts, expected.mixed(of_others, texts).to_json())
        for share, expected in (*of_texts, (1.0, EVERYTHING))
    ]


def _embedded_whole(plan: BudgetPlan, collection: Collection, fitted: set[bytes]) -> set[bytes]:
    """Digests of the texts, besides the calibration documents, that the new model embeds whole.

    Random ones, as many as the plan allows, and all that are no longer than their extract.
    """
    others, whole, words = set[bytes](), set[bytes](), plan.setting.extract_words
    for page in collection.scan(PAGE_ROWS):
        for text in page.texts:
            if text and text.strip() and (digest := text_digest(text)) not in fitted:
                if words and extract_of(text, words) == text:
                    whole.add(digest)
                else:
                    others.add(digest)
    more = max(0, plan.setting.documents - len(fitted))
    whole.update(in_random_order(others, plan.seed)[:more])
    return whole
