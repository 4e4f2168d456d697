"""What of the reports of a start the next one need not measure again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from lightmigrate.startup.detect import RECALLED
from lightmigrate.startup.memory import Remembered
from lightmigrate.startup.report import CollectionReport
from lightmigrate.stores.base import Address, CollectionFacts


def worth_remembering(
    collections: Iterable[CollectionFacts],
    reports: Mapping[Address, CollectionReport],
    distances: Collection[Address],
) -> Mapping[Remembered, list[CollectionFacts]]:
    """What is known of collections whose vectors are of the application's model.

    Args:
        collections: those that were measured, or got another distance, as they are now.
        reports: on them.
        distances: those that got another distance.
    """
    measured: dict[Remembered, list[CollectionFacts]] = defaultdict(list)
    for facts in collections:
        report = reports[facts.address]
        if report.action == "migrated" and facts.address not in distances:
            measured[Remembered("same", "they were migrated to this model")].append(facts)
        elif report.finding.verdict in ("same", "variant"):
            evidence = report.finding.evidence
            if facts.address in distances:
                evidence = f"{evidence.removeprefix(RECALLED)}; that was before its distance was changed"
            measured[Remembered(report.finding.verdict, evidence)].append(facts)
    return measured
