"""The words in which a start says what it found and did, in its log and its reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from lightmigrate.progress import logger
from lightmigrate.startup.report import CollectionReport, Origin, StartupFinding

# Collections that the log names one by one; of more only their number.
NAMED = 5

# What the new vectors come from.
FOUND: Mapping[Origin, str] = {
    "embedded": "Embedded every text:",
    "calibrated": "Learned projection",
    "projection": "Found projection",
    "chain": "Found projection",
}

# What to do about vectors of the application's model with another prefix, precision or revision.
OF_A_VARIANT = (
    "New documents get slightly different vectors: use the old prefix, precision or revision, or migrate them with "
    "on_variant='migrate' (LIGHTMIGRATE_ON_VARIANT=migrate)"
)


def titled(findings: Sequence[StartupFinding], one: str, several: str, separator: str = " ") -> str:
    """The collections by name, or by number when there are many, and what they do."""
    named = ", ".join(str(finding.address) for finding in findings[:NAMED])
    title = named if len(findings) <= NAMED else f"{len(findings)} collections ({named}, …)"
    verb = one if len(findings) == 1 else several
    return f"{title}{separator}{verb}" if verb else title


def evidence_of(findings: Sequence[StartupFinding]) -> str:
    """What was found, of the first one for many."""
    different = list(dict.fromkeys(finding.evidence for finding in findings))
    return different[0] if len(different) == 1 else f"{different[0]}; {len(different) - 1} more findings in the report"


def log_migrated(reports: Sequence[CollectionReport], backup: str | None) -> None:
    """Log what was migrated, where the backup is, and what is kept, collections that were judged together in one line.

    Args:
        reports: on the migrated collections, at least one.
        backup: name of the backup; `None` where none is kept.
    """
    migrated, embedded = sum(report.migrated for report in reports), sum(report.exact for report in reports)
    logger.info(
        "✓ Migration complete: %s vectors migrated%s", f"{migrated:,}",
        f", {embedded:,} of them embedded by the new model" if embedded else "",
    )  # fmt: skip
    if backup is not None:
        logger.info("  Backup: %s", backup)
    kept: dict[str, list[CollectionReport]] = defaultdict(list)
    for report in reports:
        kept[preservation_line(report)].append(report)
    for line, alike in kept.items():
        title = str(alike[0].finding.address) if len(alike) == 1 else f"{len(alike)} collections"
        logger.info("  %s%s", f"{title}: " if len(reports) > 1 else "", line)


def preservation_line(report: CollectionReport) -> str:
    """What a migration is expected to keep, in one line."""
    finding = report.finding
    if report.distance is not None and report.origin is None and not finding.mismatch and finding.verdict != "damaged":
        return f"now compared by {report.distance}; the vectors are as they were"
    if report.made_anew:
        return "made anew: empty" if not report.finding.count else "made anew from its stored documents"
    preservation = report.preservation
    if preservation is None or preservation.expected is None:
        stated = preservation.stated if preservation is not None else ""
        return f"Semantic preservation: not measured on this collection ({stated or 'nor on any other'})"
    expected, nothing = preservation.expected, preservation.nothing
    if report.exact and report.exact == report.migrated:
        return "Semantic preservation: 100.0%, every vector is the new model's own"
    doing_nothing = (
        "unknown" if nothing is None else f"about {nothing.value:.0%}, {nothing.low:.0%} to {nothing.high:.0%}"
    )
    return (
        f"Semantic preservation: {expected.value:.1%} (95 % interval {expected.low:.1%} to {expected.high:.1%}; "
        f"doing nothing: {doing_nothing})"
    )
