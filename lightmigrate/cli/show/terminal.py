"""Where results and messages are printed, and what all that is shown is made of."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lightmigrate.cli.show.wrapping import WrappingConsole

if TYPE_CHECKING:
    from lightmigrate.quality.retention import QualityEstimate

# soft_wrap: a path or a command that is broken over two lines cannot be copied
output = WrappingConsole(soft_wrap=True, highlight=False)
messages = WrappingConsole(stderr=True, soft_wrap=True, highlight=False)


def command(*words: object) -> str:
    """A command line as it can be pasted into a shell."""
    return shlex.join(["lightmigrate", *map(str, words)])


def next_command(*words: object, why: str = "next") -> Text:
    """The line every command ends with."""
    return Text.assemble(f"\n{why}:  ", (command(*words), "bold cyan"))


# Columns of numbers stand to the right; short ones are never broken, so that names and sentences give way.
_NUMBERS = ("records", "size", "invalid vectors")
_SHORT = ("records", "size", "dimension", "distance")

# What a cell without a content holds.
_EMPTY = ("", "–", "not recorded")


def plain_table(gap: int = 2) -> Table:
    """A table without lines and columns, as all tables here look. `gap`: spaces between its columns."""
    return Table(box=None, header_style="dim", pad_edge=False, padding=(0, gap, 0, 0))


def new_table(*columns: str) -> Table:
    """A table with these columns. What does not fit into a line goes on in the next, whole."""
    table = plain_table()
    for column in columns:
        justify: JustifyMethod = "right" if column in _NUMBERS else "left"
        table.add_column(column, justify=justify, no_wrap=column in _SHORT, overflow="fold")
    return table


def filled_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of these rows, without the columns in which no row holds anything; the first one always stays."""
    shown = [number for number in range(len(columns)) if number == 0 or any(row[number] not in _EMPTY for row in rows)]
    table = new_table(*(columns[number] for number in shown))
    for row in rows:
        table.add_row(*(row[number] for number in shown))
    return table


def facts_table(columns: int = 2) -> Table:
    """A table without a head: names, and what they stand for."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table


def readable_size(number: int) -> str:
    """A number of bytes in the unit people use for it."""
    size, unit = float(number), "bytes"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, bigger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def printable(text: str) -> str:
    """A text from a file that anybody may have written, without control characters or markup."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def readable_seconds(seconds: float) -> str:
    """`12 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else "a second"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def readable_dollars(dollars: float | None) -> str:
    """`free`, `< $0.01`, `$3.20`; `unknown` where no price is known."""
    if dollars is None:
        return "unknown"
    if not dollars:
        return "free"
    return f"${dollars:,.2f}" if dollars >= 0.01 else "< $0.01"


def readable_time(moment: str) -> str:
    """`2026-11-28 04:10 UTC`, of a time in ISO 8601; another text as it is."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return printable(moment)


def readable_fact(value: Any) -> str:
    """A value out of a projection or a list of them, of whatever kind."""
    match value:
        case {"value": float() as middle, "low": float() as low, "high": float() as high}:
            return f"{middle:.3f} \\[{low:.3f}, {high:.3f}]"
        case {"method": str() as method, "overlap": float() as overlap, "chosen": chosen}:
            said = f"{printable(method)} {overlap:.3f}"
            return f"[bold]{said}[/]" if chosen else said
        case Mapping():
            return ", ".join(f"{printable(str(key))} {readable_fact(part)}" for key, part in value.items())
        case list():
            return ", ".join(map(readable_fact, value))
        case float():
            return f"{value:.4g}"
        case None:
            return "–"
    return printable(str(value))


def with_interval(estimate: QualityEstimate) -> str:
    """A measured value and its 95 % interval."""
    return f"{estimate.value:.2f} [dim]\\[{estimate.low:.2f}, {estimate.high:.2f}][/]"


def stated_quality(quality: Mapping[str, Any]) -> str:
    """What a projection states of its own quality, in one line."""
    if "expected_retention" in quality:
        expected = quality["expected_retention"]
        colour = {"PASS": "green", "WARN": "yellow"}.get(str(quality["verdict"]), "bold red")
        interval = f"\\[{expected['low']:.2f}, {expected['high']:.2f}]"
        return f"[{colour}]{printable(str(quality['verdict']))}[/] {expected['value']:.2f} {interval} expected"
    if "retention" in quality:
        kept, nothing = quality["retention"], quality["nothing_retention"]
        return f"{kept['value']:.1%} kept (doing nothing: {nothing['value']:.1%})"
    return "[yellow]not measured[/]"


# Wider intervals hold very different outcomes: the gate's bounds for PASS and FAIL are .25 apart.
_WIDE = 0.2

# Parts of the width that are worth telling.
_LEAST_SHARE = 0.25


def wide_by(estimate: QualityEstimate) -> str:
    """What made an interval wide, what did most first; empty for a narrow one, and where nothing tells."""
    if estimate.high - estimate.low < _WIDE:
        return ""
    causes = sorted(estimate.wide_by.items(), key=lambda part: -part[1])
    return "; ".join(printable(cause) for cause, share in causes if share >= _LEAST_SHARE)
