"""Which model a collection's vectors are of: first from records, which costs nothing, then by measuring."""

from __future__ import annotations

import types
from collections.abc import Mapping

from lightmigrate.errors import CostError
from lightmigrate.migration.baseline import sample_of
from lightmigrate.quality.identity import identify
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.registry.library import same_name
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.report import StartupFinding, Verdict
from lightmigrate.startup.target_model import TargetModel, recorded_identity, recorded_model
from lightmigrate.stores.base import Collection, CollectionFacts
from lightmigrate.training.limits import SpendingLimit
from lightmigrate.vectors import evenly, finite_rows

# The verdict for a server. Another prefix, or another part of the text, is still the same space.
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

# Stored documents that the new model embeds to recognise its own vectors, and vectors examined for mixtures.
DOCUMENTS = 50
VECTORS = 1000


def from_records(
    facts: CollectionFacts, target: TargetModel, memory: Memory, *, to_migrate: bool = True
) -> StartupFinding | None:
    """What is known without opening the database; `None` when the collection has to be measured.

    Another dimension certainly means another model. If the collection is `to_migrate`, it has to be measured all the
    same: its vectors may be of two models.

    Embeds at most one word, and none for a collection that records the application's own embedding function.
    """
    stated = target.stated_dimension
    if facts.dimension is None or not facts.count:
        return _empty(facts, target)
    recorded = recorded_identity(facts.embedding_function)
    if recorded is not None and recorded == target.identity and stated in (None, facts.dimension):
        return StartupFinding.about(facts, facts.dimension, "same", "it records the application's embedding function")
    if stated in (None, facts.dimension) and memory.knows(facts, target):
        return StartupFinding.about(facts, facts.dimension, "same", "its vectors were recognised at an earlier start")
    expected = stated or target.dimension
    if expected is not None and expected != facts.dimension:
        return None if to_migrate else _other_dimension(facts, expected)
    if target.provider is not None:
        return None
    return _by_name(facts, target, memory)


def _empty(facts: CollectionFacts, target: TargetModel) -> StartupFinding:
    """The finding about a collection without records, which may still take vectors of one dimension only."""
    expected = target.stated_dimension
    if facts.dimension is not None and facts.count == 0 and expected is None:
        recorded = recorded_identity(facts.embedding_function)
        known = recorded is not None and recorded == target.identity
        expected = facts.dimension if known else target.dimension
    if facts.count == 0 and None not in (facts.dimension, expected) and facts.dimension != expected:
        evidence = f"it is empty but only takes vectors of {facts.dimension} dimensions, the model makes {expected}"
        return StartupFinding.about(facts, expected, "empty", evidence)
    return StartupFinding.about(facts, target.stated_dimension, "empty", "it holds no vectors")


def _other_dimension(facts: CollectionFacts, expected: int | None) -> StartupFinding:
    evidence = f"its vectors have {facts.dimension} dimensions, the model makes {expected}"
    return StartupFinding.about(facts, expected, "other dimension", evidence)


def _by_name(facts: CollectionFacts, target: TargetModel, memory: Memory) -> StartupFinding:
    """The finding when the new model cannot be called: what the collection records is all there is."""
    stored = memory.model(facts) or recorded_model(facts.embedding_function)
    if not target.model:
        return StartupFinding.about(facts, target.dimension, "same", "its dimension is the expected one")
    if stored:
        verdict: Verdict = "same" if same_name(stored, target.model) else "other model"
        return StartupFinding.about(facts, target.dimension, verdict, f"it records the model {stored}")
    evidence = "it records no model, and no embedding function was given to compare with"
    return StartupFinding.about(facts, target.dimension, "unknown", evidence)


def by_measuring(
    facts: CollectionFacts, collection: Collection, target: TargetModel, limit: SpendingLimit
) -> StartupFinding:
    """Measure which model the vectors of an open collection are of. Only reads; embeds some of its documents.

    If embedding them exceeds the limit, the verdict is `unknown`.

    Raises:
        ProviderError: the embedding function fails.
    """
    expected = target.dimension
    page = sample_of(collection, VECTORS)
    mixture = find_mixture(page.vectors)
    if mixture is not None:
        return StartupFinding.about(facts, expected, "mixed", str(mixture))
    if expected != facts.dimension:
        return _other_dimension(facts, expected)
    with_text = [row for row, text in enumerate(page.texts) if text and text.strip()]
    compared = page.rows([with_text[place] for place in evenly(len(with_text), DOCUMENTS)])
    if target.provider is None or not len(compared):
        evidence = "it stores no documents that could be embedded and compared"
        return StartupFinding.about(facts, expected, "unknown", evidence)
    texts = [text or "" for text in compared.texts]
    try:
        limit.pay(target.provider, target.provider.bill(texts).dollars, "recognising the model")
    except CostError as error:
        return StartupFinding.about(facts, expected, "unknown", str(error))
    embedded = target.provider.embed_each(texts)
    taken = finite_rows(embedded)
    if not taken.any():
        return StartupFinding.about(facts, expected, "unknown", "the model refuses its documents")
    identity = identify(compared.vectors[taken], embedded[taken])
    return StartupFinding.about(facts, expected, VERDICTS[identity.verdict], identity.reason)
