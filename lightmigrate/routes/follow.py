"""Takes a route: embeds what it needs, and gives what the collections are migrated with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lightmigrate.budget.carry_out import Sampling, carry_out
from lightmigrate.budget.embed_everything import embed_everything
from lightmigrate.budget.learned import Learned, embedded_texts
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.migration.history import Compared
from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Thresholds
from lightmigrate.quality.retention import EVERYTHING
from lightmigrate.routes.compare import Comparison
from lightmigrate.routes.known import KnownProjection
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.texts import NO_TEXTS, TextsFile


def follow(
    comparison: Comparison,
    collection: JoinedCollections,
    provider: Cached,
    *,
    opened_by: Mapping[str, Any],
    source_model: Model,
    texts_file: TextsFile = NO_TEXTS,
    queries: Sequence[str] = (),
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Learned:
    """Take the chosen route of a comparison. Calls the model; only reads, and fills the model's cache.

    Args:
        comparison: of these collections, with the route that was chosen.
        collection: the open collections as one, with their embedded texts.
        provider: the new model.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.
        source_model: the model of the stored vectors.
        texts_file: the file with the texts that the collections do not store.
        queries: that were compared with.
        seed: that was compared with.
        on_progress: receives the progress.

    Raises:
        LightmigrateError: no route was chosen, or as `embed_everything` and `carry_out`.
    """
    learned = _taken(
        comparison,
        collection,
        provider,
        opened_by=opened_by,
        source_model=source_model,
        texts_file=texts_file,
        queries=queries,
        seed=seed,
        on_progress=on_progress,
    )
    return replace(learned, projection=learned.projection.with_facts(training={"compared": _compared(comparison)}))


def _compared(comparison: Comparison) -> list[dict[str, Any]]:
    """The routes, for the header of the projection and the history of the database."""
    chosen = comparison.chosen
    return [
        Compared(route.description, route.tokens, route.expected, chosen=route == chosen).to_json()
        for route in comparison.routes
    ]


def _taken(
    comparison: Comparison,
    collection: JoinedCollections,
    provider: Cached,
    *,
    opened_by: Mapping[str, Any],
    source_model: Model,
    texts_file: TextsFile,
    queries: Sequence[str],
    seed: int,
    on_progress: OnProgress | None,
) -> Learned:
    """What the chosen route gives."""
    route, curve = comparison.chosen, comparison.curve
    if route is None or route.kind in ("own", "computed"):  # nothing is embedded for these
        raise LightmigrateError(comparison.reason)
    if route.kind == "known" and comparison.known is not None:
        return _known(comparison.known, collection, provider, opened_by, texts_file)
    if route.setting is None or curve is None:
        return embed_everything(
            collection,
            provider,
            opened_by=opened_by,
            source_model=source_model,
            texts_file=texts_file,
            on_progress=on_progress,
        )
    return carry_out(
        collection,
        provider,
        route.setting,
        curve.size,
        Sampling(curve.sampled, curve.calibration, curve.words, seed, queries),
        opened_by=opened_by,
        source_model=source_model,
        texts_file=texts_file,
        # the goal decided: what was expected of the route is not judged again by other bounds
        thresholds=Thresholds(passing=0.0, failing=0.0),
        memory=curve.memory,
        on_progress=on_progress,
    )


def _known(
    known: KnownProjection,
    collection: JoinedCollections,
    provider: Cached,
    opened_by: Mapping[str, Any],
    texts_file: TextsFile,
) -> Learned:
    """An existing projection, and the texts that were embedded to measure it."""
    expected = known.gate.expected_retention
    facts = {
        "model": provider.name,
        "provider": opened_by,
        "dimension": provider.model.dimension,
        "reads_texts": True,
        "texts_file": texts_file.to_json(),
        "expected": [(0.0, expected.to_json()), (1.0, EVERYTHING.to_json())],
    }
    digests = embedded_texts(collection, provider)
    embedded = EmbeddedTexts(provider, digests, frozenset(), facts)
    share = min(1.0, len(digests) / max(1, collection.count()))
    gates = {member.address: known.gate for member in collection.members}
    return Learned(known.projection, None, embedded, gates, 0, EVERYTHING.mixed(expected, share))
