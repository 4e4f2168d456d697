"""Carries out a budget setting: embeds what it allows, and makes the projection for the rest.

Every embedding goes through a cache on disk before it is used, so that an interrupted run pays for nothing twice.

What was fitted while measuring is used where it is the same fit: in the same process, and where no more documents or
extracts are learned from. A plan in a file holds no fit. Nearly always it pays for more documents or extracts than were
measured with, and what is fitted to them is another projection. The exception is a quality that is reached at once
without extracts: then the fit is made again, in a second or two for the 300 documents that are measured on at most
unless somebody asks for more (`benchmarks/results/fit_seconds.md`). To save that, each plan would leave a projection on
disk, up to some ten megabytes with the words of the collection, to be found, checked and cleared away; as it is, a plan
is a page of text that is carried out on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.learned import Learned, expected_by_share, gates_of
from lightmigrate.budget.quality_estimator import MOST_FITTED, sentences_for
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.estimators.fit_memory import FitMemory
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Thresholds
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.texts.chosen import stated_form
from lightmigrate.texts.collection import WithTexts
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.seen_texts import SeenTexts
from lightmigrate.training.sources import data_from_readable
from lightmigrate.training.text_digest import first_in_random_order, text_digest
from lightmigrate.training.texts import NO_TEXTS, TextsFile
from lightmigrate.training.train import train


@dataclass(frozen=True)
class Sampling:
    """The choices that a setting was measured with, so that the same documents are embedded.

    Attributes:
        documents: number of documents to sample; the first of them are calibrated on, as many as are embedded whole.
        representative: how many of them represent the collection; see `CalibrationData.shorter_first`.
        words: number of single words to embed.
        seed: of every random choice.
        queries: of users; sentences of the documents stand in for them when there are none.
    """

    documents: int
    representative: int | None
    words: int
    seed: int = 0
    queries: Sequence[str] = ()


def carry_out(
    collection: JoinedCollections,
    provider: Cached,
    setting: BudgetSetting,
    size: CollectionSize,
    sampling: Sampling,
    *,
    opened_by: Mapping[str, Any],
    source_model: Model | None = None,
    texts_file: TextsFile = NO_TEXTS,
    thresholds: Thresholds | None = None,
    memory: FitMemory | None = None,
    on_progress: OnProgress | None = None,
) -> Learned:
    """Embed what a setting needs to be learned, and make the projection. Only reads; fills the model's cache.

    The extracts, and the documents embedded whole that it is not fitted to, are embedded when it is applied.

    Args:
        collection: the open collections of one model as one, with the texts it was measured with.
        provider: the new model.
        setting: what is embedded.
        size: of the collections.
        sampling: the choices that the setting was measured with.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.
        source_model: the model of the stored vectors; unnamed by default.
        texts_file: the file with the texts that the collections do not store.
        thresholds: of the gate.
        memory: what was fitted while the setting was measured; `None` in another process.
        on_progress: receives the progress.

    Raises:
        LightmigrateError: as `train`.
    """
    extract_words, memory = setting.extract_words, memory or FitMemory()
    data = _data(collection, setting, sampling, on_progress)
    rule = data.extract_rule(setting.extract_kind, extract_words) if extract_words else None
    training = train(
        data,
        provider,
        source_model=source_model,
        extract_words=extract_words or None,
        extract_kind=setting.extract_kind,
        sentences=sentences_for(data.judging),
        thresholds=thresholds,
        seed=sampling.seed,
        memory=memory,
        on_progress=on_progress,
    )
    with_text, without_texts = size.texts / max(1, size.records), None
    if with_text < 1:
        without_texts = training.gate
        if extract_words or data.words is not None:
            sentences = sentences_for(data.judging)
            alone = train(data.without_texts(), provider, sentences=sentences, seed=sampling.seed, memory=memory)
            without_texts = alone.gate
    memory.forget_parts()
    fitted = {text_digest(text) for text in data.texts}
    exact = fitted | _embedded_whole(collection, setting, rule, sampling.seed, fitted)
    gate = training.gate_when_exact(len(exact) / max(1, size.texts))
    facts = {
        "model": provider.name,
        "provider": opened_by,
        "dimension": training.projection.info.target.dimension,
        "reads_texts": data.words is not None,
        "texts_file": texts_file.to_json(),
        "expected": expected_by_share(training, without_texts, with_text),
        "extracts": "" if rule is None else str(rule),
    }
    projection = training.projection.with_facts(
        training={
            "embedded_whole": len(exact),
            "extract_words": extract_words,
            "extract_kind": setting.extract_kind if extract_words else None,
        },
        quality=gate.to_json(),
    )
    embedded = EmbeddedTexts(provider, exact, fitted, facts, extract_words)
    gates = gates_of(collection, training) if len(collection.members) > 1 else {collection.address: gate}
    kept = gate.expected_retention
    if without_texts is not None:
        kept = kept.mixed(without_texts.expected_retention, with_text)
    return Learned(projection, training, embedded, gates, size.records - size.texts, kept)


def _data(
    collection: JoinedCollections, setting: BudgetSetting, sampling: Sampling, on_progress: OnProgress | None
) -> CalibrationData:
    """The calibration data of a setting: the documents embedded whole, and extracts of the other sampled documents."""
    sampled = data_from_readable(
        collection,
        sampling.documents,
        queries=sampling.queries,
        about=stated_form([member for member in collection.members if isinstance(member, WithTexts)], None),
        seed=sampling.seed,
        on_progress=on_progress,
    )
    sampled = sampled.shorter_first(sampling.representative).with_words(sampling.words)
    fitted = min(setting.documents, sampling.documents, MOST_FITTED)
    data = sampled.first(fitted, sampling.documents - fitted)
    return data if setting.reads_texts else data.without_texts()


def _embedded_whole(
    collection: JoinedCollections, setting: BudgetSetting, rule: ExtractRule | None, seed: int, fitted: set[bytes]
) -> set[bytes]:
    """Digests of the texts, besides the calibration documents, that the new model embeds whole.

    Random ones, as many as the setting allows, and all that are no longer than their extract.
    """
    seen, whole = SeenTexts(), set[bytes]()

    def others() -> Iterator[bytes]:
        for page in collection.scan(PAGE_ROWS, vectors=False):
            for digest, text in seen.new(text for text in page.texts if text and text.strip()).items():
                if digest in fitted:
                    continue
                if rule is not None and rule.of(text) == text:
                    whole.add(digest)
                else:
                    yield digest

    chosen = first_in_random_order(others(), seed, max(0, setting.documents - len(fitted)))
    return whole.union(chosen)
