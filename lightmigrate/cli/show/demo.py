"""How the steps of the demo look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lightmigrate.cli.show import databases
from lightmigrate.cli.show.budget import expected_quality, table_of
from lightmigrate.cli.show.terminal import plain_table, wide_by
from lightmigrate.commands.demo import (
    DemoDatabase,
    DemoMigration,
    DemoPlan,
    DemoRefinement,
    DemoRollback,
    DemoSearches,
)
from lightmigrate.demo.demo import BUDGET
from lightmigrate.projection.terms.extract_rule import described
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.budget.settings import BudgetSetting
    from lightmigrate.demo.demo import Search
    from lightmigrate.quality.retention import QualityEstimate, Retention

# Characters of a bar for a quality of 1, and what it ends with, in eighths of a character.
_BAR = 10
_EIGHTHS = " ▏▎▍▌▋▊▉"


def step(result: Result) -> RenderableType:
    """A step of the demo."""
    match result:
        case DemoDatabase():
            return _database(result)
        case DemoPlan():
            return _plan(result)
        case DemoMigration():
            return _migration(result)
        case DemoSearches():
            return Group("\n[bold]6  Three searches[/]  through Chroma, with both models", searches(result.searches))
        case DemoRefinement():
            return _refinement(result)
        case DemoRollback():
            return _rollback(result)
    raise TypeError(f"{type(result).__name__} is no step of the demo")


def _database(result: DemoDatabase) -> RenderableType:
    return Group(
        f"[bold]1  A database[/]  {result.documents:,} scientific abstracts, embedded by {result.source.name}",
        f"   {escape(str(result.path))}",
        f"\n[bold]2  The model changes[/]  to {result.target.name}",
        databases.mismatches(result.mismatches),
        "   [dim]That model is not run here: what it gives for each text that is asked for\n"
        "   below was recorded, and is replayed. Tokens are what it would read.[/]",
    )


def _plan(result: DemoPlan) -> RenderableType:
    curve, plan = result.curve, result.plan
    table = plain_table(1)
    for column in ("abstracts", "of the others", "tokens", " ", "expected quality", ""):
        table.add_column(column, justify="right" if column in ("abstracts", "tokens", " ") else "left", no_wrap=True)
    if curve.expected_nothing is not None:
        nothing = curve.expected_nothing
        table.add_row("", "[dim]doing nothing[/]", "0", "0%", expected_quality(nothing), _bar(nothing.value, False))
    for setting, tokens, expected in _shown(result):
        chosen = setting == plan.setting
        everything = setting.documents >= curve.size.texts
        table.add_row(
            f"{setting.documents:,}",
            "" if everything else _of_others(setting),
            f"{tokens:,}",
            _share(tokens, curve.size.tokens),
            expected_quality(expected),
            _bar(expected.value, chosen),
            style="bold green" if chosen else "",
        )
    return Group(
        f"\n[bold]3  What does each part of the cost keep?[/]  lightmigrate plan --budget {BUDGET:.0%}",
        table,
        f"[dim]What {curve.model} embeds, and the nDCG@10 to expect as a share of what\n"
        f"embedding everything gives; measured on {curve.calibration} abstracts, for {curve.paid:,} tokens.[/]",
        *_wide(plan.expected, curve.expected_nothing),
        f"[bold]Chosen for {BUDGET:.0%} of the tokens:[/] [bold green]{plan.setting.documents:,} abstracts whole, "
        f"{_of_others(plan.setting)} of the others[/]",
    )


def _wide(chosen: QualityEstimate, nothing: QualityEstimate | None) -> list[str]:
    """What made the intervals wide of the chosen setting and of doing nothing, where they are."""
    reasons = [("chosen", wide_by(chosen)), ("doing nothing", "" if nothing is None else wide_by(nothing))]
    return [f"[dim]{name}: wide because {reason}[/]" for name, reason in reasons if reason]


def _shown(result: DemoPlan) -> list[tuple[BudgetSetting, int, QualityEstimate]]:
    """The points of the curve of which more is expected than of every cheaper one, and the chosen one, by cost."""
    plan = result.plan
    points, best = [(plan.setting, plan.tokens, plan.expected)], 0.0
    for point in result.curve.options:
        if point.expected.value > best and point.setting != plan.setting:
            points.append((point.setting, point.tokens, point.expected))
        best = max(best, point.expected.value)
    return sorted(points, key=lambda point: point[1])


def _migration(result: DemoMigration) -> RenderableType:
    kept = result.retention
    table = _kept_table()
    _add_kept(table, "doing nothing", "0", kept.nothing, kept.nothing_retention)
    _add_kept(table, "a projection alone", "0", result.projected.migrated, result.projected.retention)
    share = _share(result.tokens, result.all_tokens)
    _add_kept(table, f"migrated for {share}", f"{result.tokens:,}", kept.migrated, kept.retention, highlighted=True)
    _add_kept(table, "embedding everything", f"{result.all_tokens:,}", kept.reembedded, None)
    return Group(
        "\n[bold]4  Migration[/]  lightmigrate migrate --plan: built aside, verified, exchanged in one step",
        databases.migrated([result.migration]),
        "\n[bold]5  What it kept[/]  by human judgements of relevance",
        table,
        _verdict(kept),
        f"[dim]{kept.n_queries} searches; none of them was used to learn or to choose anything.\n"
        "The projection alone was fitted to other abstracts.[/]",
    )


def _refinement(result: DemoRefinement) -> RenderableType:
    done, kept = result.refinement, result.retention
    table = _kept_table()
    _add_kept(table, "refined", f"{result.tokens:,}", kept.migrated, kept.retention, highlighted=True)
    _add_kept(table, "embedding everything", f"{result.all_tokens:,}", kept.reembedded, None)
    return Group(
        "\n[bold]7  Refinement[/]  lightmigrate refine: the other abstracts are embedded whole, too",
        f"[green]✓[/] {done.embedded:,} abstracts embedded: {done.status.exact:,} of {done.status.records:,} rows are "
        "exact now",
        table,
    )


def _rollback(result: DemoRollback) -> RenderableType:
    mark, colour = ("✓", "green") if result.restored == result.records else ("✗", "bold red")
    return Group(
        "\n[bold]8  The way back[/]  lightmigrate rollback: the old database, in one step",
        f"[{colour}]{mark}[/] {result.restored:,} of {result.records:,} records are bit by bit what they were: "
        "id, text,\n  metadata, vector",
    )


def _kept_table() -> Table:
    return table_of("", ("tokens", "nDCG@10 [dim]\\[95 % interval][/]", "of everything"), ("",))


def _add_kept(
    table: Table,
    name: str,
    tokens: str,
    score: QualityEstimate,
    share: QualityEstimate | None,
    *,
    highlighted: bool = False,
) -> None:
    """A row: the score, and its share of what embedding everything gives, which is 1 where there is none."""
    value = 1.0 if share is None else share.value
    table.add_row(
        f"{name:<20}",
        f"{tokens:>7}",
        f"{score.value:.3f} [dim]\\[{score.low:.3f}, {score.high:.3f}][/]",
        f"{value:.1%}",
        _bar(value, highlighted),
        style="bold green" if highlighted else "",
    )


def _verdict(kept: Retention) -> str:
    gain = kept.gain
    interval = f"{gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
    if gain.low > 0:
        return f"[green]Better than doing nothing[/], by {interval}."
    if gain.high < 0:
        return f"[bold red]Worse than doing nothing[/], by {interval}: keep the old model, or embed everything."
    return f"[yellow]No clear difference to doing nothing[/]: {interval}."


def _of_others(setting: BudgetSetting) -> str:
    """What the new model embeds of the texts that it does not embed whole."""
    if setting.extract_words:
        return described(setting.extract_kind, setting.extract_words)
    return "frequent words" if setting.reads_texts else "nothing"


def _share(part: float, whole: float) -> str:
    return f"{part / max(1, whole):.0%}"


def _bar(value: float, highlighted: bool) -> Text:
    """A bar of a length between 0 and 1, to an eighth of a character."""
    eighths = round(8 * _BAR * min(1.0, max(0.0, value)))
    drawn = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Text.assemble((drawn, "green" if highlighted else "blue"), ("░" * (_BAR - len(drawn)), "dim"))


def searches(pairs: Sequence[Search]) -> RenderableType:
    """Searches before and after, side by side."""
    parts: list[RenderableType] = []
    for search in pairs:
        table = Table(box=None, header_style="dim", pad_edge=False, expand=True)
        for column in ("before: old model", "migrated: new model"):
            table.add_column(column, ratio=1, no_wrap=True, overflow="ellipsis")
        for old, new in zip(search.before, search.after, strict=True):
            table.add_row(*(f"{'[green]●[/]' if hit.relevant else '○'} {escape(hit.text)}" for hit in (old, new)))
        parts += [f"\n[bold]“{escape(search.query)}”[/]", table]
    return Group(*parts, "\n[green]●[/] judged relevant by a human   ○ not judged relevant")
