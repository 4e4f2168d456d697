"""Which model a collection's vectors are of: what was measured before costs nothing; the rest is measured.

What a collection records of its model is a hint: stores record their default function whatever made the vectors.
"""

from __future__ import annotations

import contextlib
import types
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightmigrate.errors import CostError
from lightmigrate.quality.identity import FEWEST_AT_HOME, Kind, identify
from lightmigrate.registry.library import same_name
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.report import StartupFinding, Verdict
from lightmigrate.startup.target_model import TargetModel, is_default, recorded_identity, recorded_model
from lightmigrate.stores.base import Address, CollectionFacts, Page
from lightmigrate.stores.distance import space_of
from lightmigrate.stores.joined import Collections
from lightmigrate.training.grouping import Grouping, ModelGroup, group_by_model
from lightmigrate.training.limits import SpendingLimit
from lightmigrate.training.other_form import compared, measure_form
from lightmigrate.vectors import Metric, evenly, finite_rows

# The verdict for a server. Other texts than the stored ones are still of the same space.
VERDICTS: Mapping[str, Verdict] = types.MappingProxyType(
    {
        "same": "same",
        "form": "other form",
        "variant": "variant",
        "texts": "same",
        "mixed": "mixed",
        "other": "other model",
        "unknown": "unknown",
    }
)

# The same for a collection with few rows, by the kind of most of them.
KINDS: Mapping[Kind, Verdict] = types.MappingProxyType(
    {"same": "same", "near": "variant", "text": "same", "foreign": "other model", "left out": "unknown"}
)

# Stored documents that the new model embeds to recognise its own vectors: of each collection, of all together, and at
# least of each.
DOCUMENTS, DOCUMENTS_IN_ALL, FEWEST_DOCUMENTS = 50, 1000, 3

# How the evidence of a finding begins that was remembered.
RECALLED = "its vectors were recognised at an earlier start: "

# The same for all collections of one model that makes vectors of another dimension: its vectors can only be the
# model's own in another form, which a few documents show.
DOCUMENTS_OF_OTHER_DIMENSION = 10


def from_records(
    facts: CollectionFacts, target: TargetModel, memory: Memory, *, to_migrate: bool = True
) -> StartupFinding | None:
    """What is known without opening the database; `None` when the collection has to be measured.

    Another dimension certainly means another model. If the collection is `to_migrate`, it has to be measured all the
    same: its vectors may be of several models.

    Embeds at most two short texts in a run: one that tells the dimension, and one that tells whether the model is
    still the one that earlier starts measured with.
    """
    stated = target.stated_dimension
    if facts.dimension is None or not facts.count:
        return _empty(facts, target)
    remembered = memory.recall(facts, target) if stated in (None, facts.dimension) else None
    if remembered is not None:
        evidence = f"{RECALLED}{remembered.evidence}"
        return StartupFinding.about(facts, facts.dimension, remembered.verdict, evidence)
    if to_migrate and target.provider is not None:
        return None
    expected = stated or target.dimension
    if expected is not None and expected != facts.dimension:
        return None if to_migrate else other_dimension(facts, expected)
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


def other_dimension(facts: CollectionFacts, expected: int | None) -> StartupFinding:
    """The finding about a collection whose vectors have another dimension than the model's."""
    evidence = f"its vectors have {facts.dimension} dimensions, the model makes {expected}"
    return StartupFinding.about(facts, expected, "other dimension", evidence)


def _by_name(facts: CollectionFacts, target: TargetModel, memory: Memory) -> StartupFinding:
    """The finding when the new model cannot be called: names are all there is, and only a measured one is believed."""
    if not target.model:
        return StartupFinding.about(facts, target.dimension, "same", "its dimension is the expected one")
    measured, recorded = memory.model(facts), recorded_model(facts.embedding_function)
    if measured:
        verdict: Verdict = "same" if same_name(measured, target.model) else "other model"
        return StartupFinding.about(facts, target.dimension, verdict, f"it was measured to be of the model {measured}")
    if recorded and not same_name(recorded, target.model) and not is_default(facts.embedding_function):
        return StartupFinding.about(facts, target.dimension, "other model", f"it records the model {recorded}")
    evidence = (
        f"it records the model {recorded}, which may not have made its vectors" if recorded else "it records none"
    )
    evidence += ": give the embedding function, to measure that"
    return StartupFinding.about(facts, target.dimension, "unknown", evidence)


@dataclass(frozen=True)
class Measured:
    """What was measured of some collections.

    Attributes:
        findings: one for each.
        grouping: which of them are of one model.
    """

    findings: Mapping[Address, StartupFinding]
    grouping: Grouping


def by_measuring(
    store: Collections,
    collections: Sequence[CollectionFacts],
    target: TargetModel,
    limit: SpendingLimit,
    names: Mapping[Address, str],
    distance: Metric | None = None,
) -> Measured:
    """Measure which models the vectors of some collections are of. Only reads; embeds some of their documents.

    If embedding them exceeds the limit, the verdict is `unknown`.

    Args:
        store: the open database.
        collections: those to measure.
        target: the application's model.
        limit: of what may be spent on it.
        names: of the models that the collections record, as hints.
        distance: that the collections get; `None` if they keep theirs.

    Raises:
        ProviderError: the embedding function fails.
    """
    grouping = group_by_model(store, collections, names)
    _begin_with_documents(grouping, target, limit)
    expected = target.dimension
    findings: dict[Address, StartupFinding] = {}
    equal: list[CollectionFacts] = []
    for facts in collections:
        if facts.address in grouping.mixed:
            reason = grouping.mixed[facts.address]
            findings[facts.address] = StartupFinding.about(facts, expected, "mixed", reason)
        elif facts.dimension != expected:
            findings[facts.address] = other_dimension(facts, expected)
        else:
            equal.append(facts)
    findings.update(_identified(store, equal, target, limit, grouping.samples, distance))
    for group in grouping.groups:
        if group.dimension != expected:
            findings.update(_of_other_dimension(group, target, limit, grouping.samples))
    return Measured(findings, grouping)


def _begin_with_documents(grouping: Grouping, target: TargetModel, limit: SpendingLimit) -> None:
    """Embed the documents by which another dimension is checked in the call that asks for the dimension.

    Only where calls run at the same time and the dimension is not known yet: then they take no time of their own.
    """
    provider = target.provider
    if provider is None or provider.parallel_calls == 1 or provider.asked or target.stated_dimension is not None:
        return
    pools = [Page.joined([grouping.samples[facts.address] for facts in group.members]) for group in grouping.groups]
    texts = [text or "" for pool in pools for text in compared(pool, DOCUMENTS_OF_OTHER_DIMENSION).texts]
    if not texts:
        return
    with contextlib.suppress(CostError):
        limit.pay(provider, provider.bill(texts).dollars, "recognising the model")
        provider.embed_each(texts)


def _of_other_dimension(
    group: ModelGroup, target: TargetModel, limit: SpendingLimit, samples: Mapping[Address, Page]
) -> dict[Address, StartupFinding]:
    """Findings about collections of one model and another dimension: they may be shortened or longer vectors."""
    plain = {facts.address: other_dimension(facts, target.dimension) for facts in group.members}
    if target.provider is None:
        return plain
    pool = Page.joined([samples[facts.address] for facts in group.members])
    identity = measure_form(pool, target.provider, limit, "l2", DOCUMENTS_OF_OTHER_DIMENSION)
    if identity is None or identity.form is None:
        return plain
    if not identity.form.is_exact:
        return {a: replace(finding, evidence=f"{finding.evidence}; {identity.reason}") for a, finding in plain.items()}
    return {
        facts.address: StartupFinding.about(facts, target.dimension, "other form", identity.reason, identity.form)
        for facts in group.members
    }


def _identified(
    store: Collections,
    collections: Sequence[CollectionFacts],
    target: TargetModel,
    limit: SpendingLimit,
    samples: Mapping[Address, Page],
    distance: Metric | None,
) -> dict[Address, StartupFinding]:
    """Findings about collections of the model's own dimension, from some documents of each, embedded again."""

    def metric_of(facts: CollectionFacts) -> Metric:
        """The distance in which lengths count if they do so before or after the migration."""
        present = space_of(store.collection(facts.address))
        return distance or present if present == "cosine" else present

    findings: dict[Address, StartupFinding] = {}
    each = max(FEWEST_DOCUMENTS, min(DOCUMENTS, DOCUMENTS_IN_ALL // max(1, len(collections))))
    pages: list[tuple[CollectionFacts, Page]] = []
    for facts in collections:
        page = samples[facts.address]
        with_text = [row for row, text in enumerate(page.texts) if text and text.strip()]
        if target.provider is None or not with_text:
            evidence = "it stores no documents that could be embedded and compared"
            findings[facts.address] = StartupFinding.about(facts, target.dimension, "unknown", evidence)
        else:
            pages.append((facts, page.rows([with_text[place] for place in evenly(len(with_text), each)])))
    if not pages or target.provider is None:
        return findings
    pool = Page.joined([page for _, page in pages])
    texts = [text or "" for text in pool.texts]
    try:
        limit.pay(target.provider, target.provider.bill(texts).dollars, "recognising the model")
    except CostError as error:
        unknown = {f.address: StartupFinding.about(f, target.dimension, "unknown", str(error)) for f, _ in pages}
        return findings | unknown
    vectors = target.provider.embed_each(texts)
    taken = finite_rows(vectors)
    pooled = identify(pool.vectors[taken], vectors[taken]) if taken.any() else None
    start = before = 0
    for facts, page in pages:
        rows = np.arange(start, start + len(page))[taken[start : start + len(page)]]
        start += len(page)
        if pooled is None or not len(rows):
            evidence = "the model refuses its documents"
            findings[facts.address] = StartupFinding.about(facts, target.dimension, "unknown", evidence)
            continue
        kinds = pooled.rows[before : before + len(rows)]
        before += len(rows)
        if len(rows) >= FEWEST_AT_HOME or (len(pages) == 1 and len(rows) >= FEWEST_DOCUMENTS + 2):
            identity = identify(pool.vectors[rows], vectors[rows], metric=metric_of(facts))
            verdict, reason, form = VERDICTS[identity.verdict], identity.reason, identity.form
        else:
            (verdict, reason), form = _of_few(kinds), pooled.form
            if pooled.verdict == "form" and form is not None and verdict in ("same", "variant"):
                seen = not form.is_rescaled or metric_of(facts) != "cosine"
                verdict, reason = ("other form", pooled.reason) if seen else (verdict, reason)
        findings[facts.address] = StartupFinding.about(facts, target.dimension, verdict, reason, form)
    return findings


def _of_few(kinds: Sequence[Kind]) -> tuple[Verdict, str]:
    """The verdict of a collection with few rows, from the kinds that they got among the rows of all collections."""
    counts = Counter(kinds)
    foreign, own = counts["foreign"], len(kinds) - counts["foreign"] - counts["left out"]
    (most, number), *_ = counts.most_common(1)
    words = {"same": "this model's to the last digits", "near": "nearly this model's", "foreign": "another model's"}
    whose = words.get(most, "of this model's space")
    reason = f"{number} of {len(kinds)} vectors are {whose}"
    return ("mixed" if min(foreign, own) >= 2 else KINDS[most]), reason
