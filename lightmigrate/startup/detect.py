"""Whose vectors does a collection hold? First by what is written down, which costs nothing; else by measuring."""

from __future__ import annotations

import types
from collections.abc import Mapping

from lightmigrate.errors import CostError
from lightmigrate.migration.baseline import sample_of
from lightmigrate.projection.vectors import evenly
from lightmigrate.quality.identity import identify
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.registry.library import same_name
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.purse import Purse
from lightmigrate.startup.report import Finding, Verdict
from lightmigrate.startup.wanted import Wanted, recorded_identity, recorded_model
from lightmigrate.stores.base import Collection, CollectionFacts

# What a comparison comes to for a server. Another prefix or another part of the text is still the same space.
VERDICTS: Mapping[str, Verdict] = types.MappingProxyType(
    {
        "same": "same",
        "variant": "same",
        "texts": "same",
        "mixed": "mixed",
        "other": "other model",
        "unknown": "unknown",
    }
)

# Stored documents that the new model is asked for to recognise itself, and vectors looked at for mixtures.
DOCUMENTS = 50
VECTORS = 1000


def glance(facts: CollectionFacts, wanted: Wanted, memory: Memory, *, to_migrate: bool = True) -> Finding | None:
    """What is known of a collection without opening the database; `None` when it must be looked into.

    Another dimension is another model for certain. Only if the collection is `to_migrate` does it matter whether its
    vectors are of one model or of two, which has to be looked at.

    Embeds one word at most, and none for a collection that records the application's own embedding function.
    """
    if facts.dimension is None or not facts.count:
        if facts.dimension is not None and wanted.said_dimension not in (None, facts.dimension):
            evidence = f"it is empty but keeps to {facts.dimension} dimensions: delete it and create it anew"
            return Finding.about(facts, wanted.said_dimension, "empty", evidence)
        return Finding.about(facts, wanted.said_dimension, "empty", "it holds no vectors")
    said = wanted.said_dimension
    recorded = recorded_identity(facts.embedding_function)
    if recorded is not None and recorded == wanted.identity and said in (None, facts.dimension):
        return Finding.about(facts, facts.dimension, "same", "it records the application's embedding function")
    if said in (None, facts.dimension) and memory.knows(facts, wanted):
        return Finding.about(facts, facts.dimension, "same", "its vectors were recognised at an earlier start")
    expected = said or wanted.dimension
    if expected is not None and expected != facts.dimension:
        return None if to_migrate else _other_dimension(facts, expected)
    if wanted.provider is not None:
        return None
    return _by_name(facts, wanted, memory)


def _other_dimension(facts: CollectionFacts, expected: int | None) -> Finding:
    evidence = f"its vectors have {facts.dimension} dimensions, the model makes {expected}"
    return Finding.about(facts, expected, "other dimension", evidence)


def _by_name(facts: CollectionFacts, wanted: Wanted, memory: Memory) -> Finding:
    """The new model cannot be asked: what the collection says of itself is all there is."""
    stored = memory.model(facts) or recorded_model(facts.embedding_function)
    if not wanted.model:
        return Finding.about(facts, wanted.dimension, "same", "its dimension is the one that was said")
    if stored and same_name(stored, wanted.model):
        return Finding.about(facts, wanted.dimension, "same", f"it is recorded as {stored}'s")
    if stored:
        return Finding.about(facts, wanted.dimension, "other model", f"it is recorded as {stored}'s")
    return Finding.about(
        facts, wanted.dimension, "unknown", "it does not say whose it is, and no model was given to ask"
    )


def look(facts: CollectionFacts, collection: Collection, wanted: Wanted, purse: Purse) -> Finding:
    """Measure whose vectors an open collection holds. Only reads; embeds some of its documents.

    What may not be paid for is not known.

    Raises:
        ProviderError: the embedding function fails.
    """
    expected = wanted.dimension
    page = sample_of(collection, VECTORS)
    mixture = find_mixture(page.vectors)
    if mixture is not None:
        return Finding.about(facts, expected, "mixed", str(mixture))
    if expected != facts.dimension:
        return _other_dimension(facts, expected)
    told = [row for row, text in enumerate(page.documents) if text and text.strip()]
    some = page.rows([told[at] for at in evenly(len(told), DOCUMENTS)])
    if wanted.provider is None or not len(some):
        return Finding.about(facts, expected, "unknown", "it stores no documents that could be embedded and compared")
    texts = [text or "" for text in some.documents]
    try:
        purse.pay(wanted.provider, wanted.provider.bill(texts).dollars, "recognising the model")
    except CostError as error:
        return Finding.about(facts, expected, "unknown", str(error))
    identity = identify(some.vectors, wanted.provider.embed(texts))
    return Finding.about(facts, expected, VERDICTS[identity.verdict], identity.reason)
