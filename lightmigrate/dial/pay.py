"""Doing what was planned: the new model is asked for all that the plan allows, and a projection is made of it.

Everything it says goes through a cache on disk before it is used, so that an interrupted run pays for nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.calibration.collection import sample_collection
from lightmigrate.calibration.words import first_of
from lightmigrate.dial.budget import BudgetPlan
from lightmigrate.dial.census import PAGE_ROWS, Census
from lightmigrate.dial.known import Known, digest_of_text
from lightmigrate.dial.marks import marks_of
from lightmigrate.dial.provenance import Kind, Provenance, Row
from lightmigrate.dial.study import MOST_FITTED, sentences_for
from lightmigrate.errors import FailedGateError, ModelMismatchError
from lightmigrate.migration.job import project
from lightmigrate.projection.abridged import abridge
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Gate
from lightmigrate.quality.retention import Estimate
from lightmigrate.stores.base import Collection, Page
from lightmigrate.training import Material, OnTraining, Training, train

# Shares of exact rows at which the expected quality is noted, for `status`.
NOTED_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Paid:
    """What the plan's tokens have bought.

    Attributes:
        projection: maps the collection; asks the new model, through its cache, for what was paid.
        training: how it was made, and what the gate says.
    """

    projection: Projection
    training: Training


def pay(
    plan: BudgetPlan,
    collection: Collection,
    provider: Provider,
    provenance: Path,
    *,
    source_model: Model | None = None,
    queries: Sequence[str] = (),
    force: bool = False,
    on_progress: OnTraining | None = None,
) -> Paid:
    """Embed what a plan allows and make the projection. Calls the model; writes the provenance file and the cache.

    Args:
        plan: what was decided.
        collection: it, open, with the texts it was planned with; only read.
        provider: the new model, with a cache.
        provenance: file for where each row's vector will come from.
        source_model: who made the stored vectors; unnamed by default.
        queries: what users asked, when the plan was made with that: the same.
        force: go on although the gate says no.
        on_progress: hears how far it is.

    Raises:
        PlanOutdatedError: the collection, or what users asked, is not what was planned with.
        FailedGateError: the gate says no.
        ModelMismatchError: the provider is another model than the plan's.
    """
    say = on_progress or (lambda step, done, total: None)
    if provider.name != plan.model:
        raise ModelMismatchError(f"the plan is for the model {plan.model}, not for {provider.name}; plan again")
    plan.asked.require(queries)
    words = plan.setting.first_words
    census = Census.of(collection, provider, [words] if words else [], _told(say, "counting"))
    plan.require_unchanged(census)
    sample = sample_collection(collection, plan.sampled, seed=plan.seed, progress=_told(say, "reading"))
    fitted = min(plan.setting.documents, plan.sampled, MOST_FITTED)
    about = {"corpus": f"collection {plan.address}", **sample.report.to_json()}
    read = first_of(sample.words, plan.words) if plan.setting.reads_texts else None
    material = Material(
        sample.texts[:fitted],
        sample.vectors[:fitted],
        read,
        sample.report.usable,
        about,
        queries,
        more_texts=sample.texts[fitted:],
        more_vectors=sample.vectors[fitted:],
    )
    training = train(
        material,
        provider,
        source_model=source_model,
        first_words=words or None,
        sentences=sentences_for(fitted),
        seed=plan.seed,
        on_progress=on_progress,
    )
    mapped_alone = training.gate
    if census.texts < census.records and (words or read is not None):
        mapped_alone = train(
            replace(material, words=None), provider, sentences=sentences_for(fitted), seed=plan.seed
        ).gate
    calibrated = {digest_of_text(text) for text in material.texts}
    exact = calibrated | _drawn(plan, collection, calibrated)
    gate = training.gate_when_exact(len(exact) / max(1, census.texts))
    if gate.verdict == "FAIL" and not force:
        raise FailedGateError(f"collection {plan.address}: {gate.reason}; plan for more, embed again, or add --force")
    facts = {
        "model": provider.name,
        "provider": plan.provider,
        "dimension": training.projection.info.target.dimension,
        "reads_texts": read is not None,
        "texts_file": plan.texts_file.to_json(),
        "expected": _noted(training, mapped_alone, census),
    }
    (step,) = training.projection.steps
    info = training.projection.with_facts(
        training={"embedded_whole": len(exact), "first_words": words},
        quality=gate.to_json(),
    ).info
    projection = Projection((Known(step, exact, provider.embed),), info, spaces=training.projection.spaces)
    with Provenance(provenance) as known:
        known.begin(plan.address, facts, training.projection)
        done = 0
        for page in collection.pages(PAGE_ROWS):
            known.add(plan.address, rows_of(page, projection, words, exact, calibrated))
            done += len(page)
            say("embedding", done, census.records)
    return Paid(projection, training)


def _noted(training: Training, mapped_alone: Gate, census: Census) -> list[tuple[float, dict[str, Any]]]:
    """What is expected at some shares of exact records, for `status`; those without a text stay mapped."""
    texts = census.texts / max(1, census.records)
    of_texts = [(share, training.gate_when_exact(share).expected_retention) for share in NOTED_SHARES]
    if texts == 1:
        return [(share, kept.to_json()) for share, kept in of_texts]
    of_others = mapped_alone.expected_retention
    everything = (1.0, Estimate(1.0, 1.0, 1.0))
    return [(share * texts, kept.mixed(of_others, texts).to_json()) for share, kept in (*of_texts, everything)]


def _drawn(plan: BudgetPlan, collection: Collection, calibrated: set[bytes]) -> set[bytes]:
    """Digests of the texts that are embedded whole beside the calibration documents: at random, as many as allowed.

    And those that are no longer than the beginning that is embedded of every text.
    """
    found, drawn, words = set[bytes](), set[bytes](), plan.setting.first_words
    for page in collection.pages(PAGE_ROWS):
        for text in page.documents:
            if text and text.strip() and (digest := digest_of_text(text)) not in calibrated:
                if words and abridge(text, words) == text:
                    drawn.add(digest)
                else:
                    found.add(digest)
    more = max(0, plan.setting.documents - len(calibrated))
    drawn.update(in_random_order(list(found), plan.seed)[:more])
    return drawn


def in_random_order(digests: Sequence[bytes], seed: int) -> list[bytes]:
    """The same order for the same seed, whatever order they come in."""
    key = seed.to_bytes(8, "big", signed=True)
    return sorted(digests, key=lambda digest: hashlib.blake2b(digest, key=key, digest_size=8).digest())


def rows_of(
    page: Page, projection: Projection, words: int, exact: AbstractSet[bytes], calibrated: AbstractSet[bytes]
) -> list[Row]:
    """What is to be noted of the rows of a page, old vectors in it. The projection asks the new model, and so pays.

    Args:
        page: of the collection before the migration.
        projection: what the migration uses.
        words: how many first words it reads; 0 for none.
        exact: digests of the texts that the new model reads whole.
        calibrated: digests of those that the map was fitted to.
    """
    rows = []
    marks = marks_of(project(projection, page))
    for one, vector, text, mark in zip(page.ids, page.vectors, page.documents, marks, strict=True):
        digest = digest_of_text(text) if text else b""
        begun = words and text and text.strip()
        kind = Kind.EXACT if digest in exact else Kind.ABRIDGED if begun else Kind.MAPPED
        rows.append(Row(one, kind, np.asarray(vector), mark, digest in calibrated))
    return rows


def _told(say: OnTraining, step: str) -> Callable[[int, int], None]:
    return lambda done, total: say(step, done, total)
