"""How the steps of the demo look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from lightmigrate.cli.show import databases
from lightmigrate.cli.show.terminal import new_table, with_interval
from lightmigrate.commands.demo import DemoDatabase, DemoMigration, DemoSearches
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.demo.demo import Search
    from lightmigrate.quality.retention import Retention


def step(result: Result) -> RenderableType:
    """A step of the demo."""
    match result:
        case DemoDatabase():
            return Group(
                f"[bold]1  A database[/]  {result.documents:,} scientific abstracts, embedded by {result.source.name}",
                f"   {escape(str(result.path))}",
                f"\n[bold]2  The model changes[/]  to {result.target.name}",
                databases.mismatches(result.mismatches),
            )
        case DemoMigration():
            return Group(
                "\n[bold]3  Migration[/]  built aside, verified, exchanged in one step",
                databases.migrated([result.migration]),
                "\n[bold]4  What it kept[/]  by human judgements of relevance",
                retention(result.retention),
            )
        case DemoSearches():
            return Group("\n[bold]5  Three searches[/]  through Chroma, before and after", searches(result.searches))
    raise TypeError(f"{type(result).__name__} is no step of the demo")


def retention(kept: Retention) -> RenderableType:
    """What a migration kept, in three rows and a sentence."""
    table = new_table("", f"nDCG@{kept.k} [95 % interval]", "of re-embedding")
    for name, score, share in (
        ("doing nothing", kept.nothing, f"{kept.nothing_retention.value:.1%}"),
        ("migrated", kept.migrated, f"{kept.retention.value:.1%}"),
        ("embedding everything again", kept.reembedded, "100.0%"),
    ):
        table.add_row(name, with_interval(score), share)
    gain = kept.gain
    interval = f"{gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
    if gain.low > 0:
        verdict = f"[green]Better than doing nothing[/], by {interval}."
    elif gain.high < 0:
        verdict = f"[bold red]Worse than doing nothing[/], by {interval}: keep the old model, or embed again."
    else:
        verdict = f"[yellow]No clear difference to doing nothing[/]: {interval}."
    counts = f"{kept.n_queries} searches in {kept.n_documents:,} documents, none of them used to fit the projection."
    return Group(table, verdict, counts)


def searches(pairs: Sequence[Search]) -> RenderableType:
    """Searches before and after, side by side."""
    parts: list[RenderableType] = []
    for search in pairs:
        table = Table(box=None, header_style="dim", pad_edge=False, expand=True)
        for column in ("before: old model", "after: new model"):
            table.add_column(column, ratio=1, no_wrap=True, overflow="ellipsis")
        for old, new in zip(search.before, search.after, strict=True):
            table.add_row(*(f"{'[green]●[/]' if hit.relevant else '○'} {escape(hit.text)}" for hit in (old, new)))
        parts += [f"\n[bold]“{escape(search.query)}”[/]", table]
    return Group(*parts, "\n[green]●[/] judged relevant by a human   ○ not judged relevant")
