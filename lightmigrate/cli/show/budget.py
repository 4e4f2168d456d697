"""How cost-quality curves, budget plans and refinements look in a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from lightmigrate.budget.advice import IN_WORDS, better, certain
from lightmigrate.cli.show.many import LISTED
from lightmigrate.cli.show.terminal import plain_table, readable_dollars, readable_seconds, wide_by
from lightmigrate.projection.terms.extract_rule import described as described_extract

if TYPE_CHECKING:
    from rich.table import Table

    from lightmigrate.budget.advice import Way
    from lightmigrate.budget.curve import CostQualityCurve
    from lightmigrate.budget.missing_texts import MissingTexts
    from lightmigrate.budget.plan import BudgetPlan
    from lightmigrate.budget.settings import BudgetSetting
    from lightmigrate.providers.careful import Shortened
    from lightmigrate.quality.retention import QualityEstimate
    from lightmigrate.refinement.refine import Refinement
    from lightmigrate.refinement.status import RefinementStatus

# Of a plan's provider: where the texts are sent.
_WHERE = ("provider", "base_url")

# Characters of a bar for a quality of 1, or for all rows.
_BAR = 6


def not_whole(shortened: Shortened) -> list[str]:
    """How many texts the new model did not take whole; nothing when it took all."""
    return [f"[yellow]{escape(str(shortened))}[/]"] if shortened.reason else []


def doing_nothing(measured: CostQualityCurve) -> str:
    """What doing nothing is expected to keep, and why that is not known better."""
    expected = measured.expected_nothing
    if expected is None:
        return "doing nothing: not known"
    return f"doing nothing keeps about {expected_quality(expected)}{_wide(expected)}"


def missing_texts(missing: MissingTexts, records: int) -> RenderableType:
    """What texts would gain where they are missing."""
    gain = missing.with_texts.value - missing.vectors_only.value
    return (
        f"{missing.records:,} of {records:,} records store no text: projected from their vectors alone, they keep "
        f"{expected_quality(missing.vectors_only)}, and cannot be embedded; with their texts they would keep "
        f"{expected_quality(missing.with_texts)} ({gain:+.2f}, measured on the others)"
    )


def described(setting: BudgetSetting, texts: int) -> str:
    """A budget setting in words, for a collection of so many texts."""
    if setting.documents >= texts:
        return "embed everything"
    return f"embed {setting.documents:,} documents, project the rest from {_projected_from(setting)}"


def _projected_from(setting: BudgetSetting) -> str:
    if setting.extract_words:
        return described_extract(setting.extract_kind, setting.extract_words)
    return "vectors, texts" if setting.reads_texts else "vectors"


def chosen(plan: BudgetPlan, file: Path | None) -> RenderableType:
    """The setting that was chosen."""
    cost = "" if plan.dollars is None or not plan.dollars else f", {readable_dollars(plan.dollars)}"
    share = plan.tokens / max(1, plan.size.tokens)
    where = ", ".join([plan.model, *(str(plan.provider[name]) for name in _WHERE if name in plan.provider)])
    lines = [
        f"\n[bold]chosen[/]  {described(plan.setting, plan.size.texts)}: "
        f"{plan.tokens:,} tokens ({share:.0%}){cost}, expected quality {expected_quality(plan.expected)}"
        f"{_wide(plan.expected)}",
        f"embedded by {escape(where)}",
    ]
    beside = beside_nothing(plan)
    if beside:
        lines.append(beside)
    if file is not None:
        lines.append(f"written: {escape(str(file))}")
    return Group(*lines)


def beside_nothing(plan: BudgetPlan) -> str:
    """What is better, the plan or staying, and how sure that is; empty where nobody knows what doing nothing keeps."""
    nothing, kept = plan.expected_nothing, plan.expected
    if nothing is None:
        return ""
    way = better(kept, nothing, plan.embeds_everything)
    again = "" if nothing.value >= 1 or plan.embeds_everything else ", embedding everything (--budget 100%) keeps 1"
    if plan.is_below_nothing:
        why = (
            f"this keeps less (at most {kept.high:.2f}) than is expected of doing nothing ({nothing.value:.2f}){again}"
        )
    elif way == "stay":
        why = f"no more is expected of this ({kept.value:.2f}) than of doing nothing ({nothing.value:.2f}){again}"
    else:
        why = f"more is expected of this ({kept.value:.2f}) than of doing nothing ({nothing.value:.2f})"
    why += "" if plan.objection is None else "; migrate takes it only with --force"
    return advice(way, why, kept, nothing, " for this budget")


def advice(way: Way, why: str, kept: QualityEstimate | None, nothing: QualityEstimate | None, where: str = "") -> str:
    """What is better, in one plain sentence, and whether that is certain.

    Args:
        way: what is better.
        why: the reason.
        kept: what is expected of the way to the new model; `None` where there is none.
        nothing: what is expected of doing nothing; `None` where nobody knows.
        where: what the sentence is limited to.
    """
    sure = kept is None or nothing is None or certain(kept, nothing)
    how_sure = "" if sure else "; not certain, their intervals overlap"
    said = f"better{where}: [bold]{IN_WORDS[way]}[/]: {escape(why)}{how_sure}"
    return f"[yellow]{said}[/]" if way == "stay" else said


def refined(done: Refinement) -> RenderableType:
    """What `refine` shows."""
    lines = [
        f"[green]✓[/] [bold]{escape(str(done.status.address))}[/]: {done.embedded:,} documents embedded, "
        f"about {done.tokens:,} tokens, {readable_seconds(done.seconds)}"
    ]
    if done.reprojected:
        lines.append(
            f"  refitted the projection on the {done.status.exact:,} exact rows and projected {done.reprojected:,} "
            "rows again"
        )
    if done.written_by_application:
        lines.append(f"  {done.written_by_application:,} rows that the application wrote meanwhile were left alone")
    return Group(*lines, *not_whole(done.shortened), statuses([done.status]))


def statuses(collections: Sequence[RefinementStatus]) -> Group:
    """What `status` shows."""
    kinds = [kind for kind in ("extract", "projected") if any(getattr(status, kind) for status in collections)]
    titles = {"extract": "with extract", "projected": "projected"}
    numbers = ("records", "exact", *(titles[kind] for kind in kinds))
    table = table_of("collection", numbers, ("", "expected quality"))
    for alike in _alike(collections):
        first = alike[0]
        records, exact = (sum(getattr(status, kind) for status in alike) for kind in ("records", "exact"))
        bar = Text("█" * round(_BAR * first.share_exact), style="green")
        bar.append("░" * (_BAR - len(bar.plain)), style="dim")
        table.add_row(
            escape(str(first.address)) if len(alike) == 1 else f"{len(alike)} collections",
            f"{records:,}",
            f"{exact:,} ({first.share_exact:.0%})",
            *(f"{sum(getattr(status, kind) for status in alike):,}" for kind in kinds),
            bar,
            expected_quality(first.expected),
        )
    extracts = dict.fromkeys(status.extracts for status in collections if status.extract and status.extracts)
    lines = [f"extracts: {', '.join(extracts)}"] if extracts else []
    if left := sum(status.left for status in collections):
        lines.append(f"{left:,} rows have no text that the model takes: they stay projected")
    reasons = dict.fromkeys(reason for status in collections if (reason := wide_by(status.expected)))
    lines += [f"wide because {reason}" for reason in reasons] if len(reasons) <= LISTED else []
    return Group(table, *lines)


def _alike(collections: Sequence[RefinementStatus]) -> Iterable[Sequence[RefinementStatus]]:
    """Each collection alone; of many, those together whose share of exact rows and expected quality look equal."""
    if len(collections) <= LISTED:
        return [[status] for status in collections]
    groups: dict[tuple[object, ...], list[RefinementStatus]] = defaultdict(list)
    for status in collections:
        looks = (f"{status.share_exact:.0%}", status.extracts, expected_quality(status.expected))
        groups[looks].append(status)
    return sorted(groups.values(), key=len, reverse=True)


def table_of(first: str, numbers: Sequence[str], last: Sequence[str]) -> Table:
    """A table of a first column, numbers, and last columns; where it is too wide, only the first one is wrapped."""
    table = plain_table(1)
    table.add_column(first, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    for column in last:
        table.add_column(column, no_wrap=True)
    return table


def expected_quality(quality: QualityEstimate) -> str:
    """A share of what re-embedding everything gives; it is not known to three digits."""
    return f"{quality.value:.2f} [dim]\\[{quality.low:.2f}, {quality.high:.2f}][/]"


def _wide(quality: QualityEstimate) -> str:
    """What made an interval wide, after it."""
    reason = wide_by(quality)
    return f", wide because {reason}" if reason else ""
