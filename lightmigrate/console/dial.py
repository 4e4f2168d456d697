"""How the dial, and what became of it, look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lightmigrate.dial.budget import BudgetPlan
    from lightmigrate.dial.curve import Curve
    from lightmigrate.dial.missing_texts import MissingTexts
    from lightmigrate.dial.refine import Refinement
    from lightmigrate.dial.setting import Option, Setting
    from lightmigrate.dial.status import Exactness
    from lightmigrate.quality.retention import Estimate

# Of a plan's provider: to whom the texts go.
_WHERE = ("provider", "base_url")

# Characters of a bar that stands for a quality of 1, or for all rows.
_BAR = 8


def curve(drawn: Curve) -> RenderableType:
    """What `plan --target-model` shows: the options worth their price, dearer ones below cheaper ones."""
    table = _table("the new model reads", ("tokens", "share", "cost", "time"), ("expected quality", ""))
    for option in worth_showing(drawn):
        dollars, seconds = option.dollars, option.seconds
        table.add_row(
            described(option.setting, drawn.census.texts),
            f"{option.tokens:,}",
            f"{option.share_of_tokens:.0%}",
            "–" if dollars is None else "free" if not dollars else f"${dollars:,.2f}",
            "–" if seconds is None else _time(seconds),
            _expected(option.expected),
            Text("█" * round(_BAR * option.expected.value), style="cyan"),
        )
    lines: list[RenderableType] = [table]
    lines.append(doing_nothing(drawn))
    measured = f"measured on {drawn.calibration:,} documents, each left out of the fit that it judges"
    lines.append(f"{measured}; {drawn.paid:,} tokens were embedded for that, and are part of every line")
    return Group(*lines)


def doing_nothing(drawn: Curve) -> str:
    """How it compares, where that can be known."""
    if drawn.asked.queries:
        return "doing nothing: not measured, nobody knows what your users' queries should find"
    if drawn.nothing is None or drawn.reembedded is None or drawn.mapped is None:
        return "doing nothing: not measured, the old model is not at hand (--source-model, --source-provider)"
    found = {"embedding everything": drawn.reembedded, "the best map": drawn.mapped, "doing nothing": drawn.nothing}
    return "sentences that find their document: " + ", ".join(f"{name} {of.value:.2f}" for name, of in found.items())


def missing_texts(found: MissingTexts, records: int) -> RenderableType:
    """What texts would buy where they are missing."""
    more = found.read.value - found.mapped.value
    return (
        f"{found.records:,} of {records:,} records store no text: mapped from their vectors alone, they keep "
        f"{_expected(found.mapped)}, and cannot be embedded; with their texts they would keep "
        f"{_expected(found.read)} ({more:+.2f}, measured on the others)"
    )


def worth_showing(drawn: Curve) -> list[Option]:
    """The maps themselves, and those with documents embedded whole that beat everything cheaper."""
    shown: list[Option] = []
    best = 0.0
    for option in drawn.options:
        if option.setting.documents == drawn.calibration or option.expected.value > best:
            shown.append(option)
        best = max(best, option.expected.value)
    return shown


def described(setting: Setting, texts: int) -> str:
    """A setting of the dial in words, for a collection of so many texts."""
    if setting.documents >= texts:
        return "everything"
    said = "map" if not setting.reads_texts else "map + texts"
    if setting.first_words:
        said = f"map + {setting.first_words} words"  # which are of the texts; a line has 80 characters
    return f"{said}, {setting.documents:,} whole"


def chosen(plan: BudgetPlan, file: Path | None) -> RenderableType:
    """What was decided."""
    cost = "" if plan.dollars is None or not plan.dollars else f", ${plan.dollars:,.2f}"
    share = plan.tokens / max(1, plan.census.tokens)
    where = ", ".join([plan.model, *(str(plan.provider[name]) for name in _WHERE if name in plan.provider)])
    lines = [
        f"\n[bold]chosen[/]  {described(plan.setting, plan.census.texts)}: "
        f"{plan.tokens:,} tokens ({share:.0%}){cost}, quality to expect {_expected(plan.expected)}",
        f"read by {escape(where)}",
    ]
    if file is not None:
        lines.append(f"written: {escape(str(file))}")
    return Group(*lines)


def refined(done: Refinement) -> RenderableType:
    """What `refine` shows."""
    lines = [
        f"[green]✓[/] [bold]{escape(done.collection_name)}[/]: {done.embedded:,} documents embedded, "
        f"about {done.tokens:,} tokens, {_time(done.seconds)}"
    ]
    if done.remapped:
        lines.append(f"  a better map was made of what is exact by now, and {done.remapped:,} vectors with it")
    if done.found_written:
        lines.append(f"  {done.found_written:,} were written by the application meanwhile, and left alone")
    return Group(*lines, statuses([done.status]))


def statuses(found: Sequence[Exactness]) -> RenderableType:
    """What `status` shows."""
    table = _table("collection", ("records", "exact", "abridged", "mapped"), ("", "expected quality"))
    for one in found:
        bar = Text("█" * round(_BAR * one.share_exact), style="green")
        bar.append("░" * (_BAR - len(bar.plain)), style="dim")
        table.add_row(
            escape(one.collection_name),
            f"{one.records:,}",
            f"{one.exact:,} ({one.share_exact:.0%})",
            f"{one.abridged:,}",
            f"{one.mapped:,}",
            bar,
            _expected(one.expected),
        )
    return table


def _table(first: str, numbers: Sequence[str], last: Sequence[str]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    for column in last:
        table.add_column(column, no_wrap=True)
    return table


def _expected(quality: Estimate) -> str:
    """A share of what embedding everything gives, which nobody knows to three digits."""
    return f"{quality.value:.2f} [dim]\\[{quality.low:.2f}, {quality.high:.2f}][/]"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
