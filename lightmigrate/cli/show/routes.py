"""How the comparison of routes to a new model looks in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.text import Text

from lightmigrate.cli.show.budget import advice, doing_nothing, expected_quality, not_whole, table_of
from lightmigrate.cli.show.terminal import output, readable_dollars, readable_seconds, wide_by

if TYPE_CHECKING:
    from rich.table import Table

    from lightmigrate.routes.compare import Comparison
    from lightmigrate.routes.route import Route

# The column that is left out where a line is too short for it: at 80 columns it would break most descriptions.
TEXTS = ("texts",)

# Longer than any line of the table.
LONGEST = 1000


def comparison(compared: Comparison, width: int | None = None) -> RenderableType:
    """What `plan --target-model` shows, and `migrate --target-model` before it asks.

    Args:
        compared: the routes.
        width: columns of a line; by default those of the terminal.
    """
    table, narrow = _table(compared, TEXTS), _table(compared)
    # the number of texts only where no description is broken for it; most descriptions hold it, too
    whole = Measurement.get(output, output.options.update(max_width=LONGEST), table).maximum
    shown = table if whole <= (width or output.width) else narrow
    return Group(shown, *_basis(compared), _chosen(compared))


def _table(compared: Comparison, more: Sequence[str] = ()) -> Table:
    table = table_of("route", (*more, "tokens", "cost", "ready", "exact"), ("expected quality",))
    for route in compared.routes:
        chosen = route == compared.chosen
        numbers = _numbers(route)
        table.add_row(
            Text(route.description, style="bold green" if chosen else ""),
            *(numbers if more else numbers[1:]),
            expected_quality(route.expected) if route.expected is not None else "[dim]not known[/]",
        )
    return table


def _numbers(route: Route) -> list[str]:
    if route.kind in ("nothing", "own"):
        return ["–"] * 5
    return [
        _short(route.texts),
        _short(route.tokens),
        readable_dollars(route.dollars),
        "–" if route.seconds is None else readable_seconds(route.seconds),
        "–" if route.exact_seconds is None else readable_seconds(route.exact_seconds),
    ]


def _basis(compared: Comparison) -> list[str]:
    """What the numbers rest on."""
    lines = []
    if compared.without_text:
        lines.append(f"{compared.without_text:,} of {compared.records:,} records have no text: they are projected")
    if compared.chosen is not None and compared.chosen.kind in ("own", "computed"):
        return lines
    if compared.recognised:
        lines.append(escape(compared.recognised))
    if compared.curve is None:
        return [*lines, escape(compared.not_measured)]
    lines.append(doing_nothing(compared.curve))
    lines.append(
        f"measured on {compared.measured_on:,} texts, each left out of the fit that it judges; {compared.curve.paid:,} "
        "tokens were embedded for that, and are part of every line that learns from them"
    )
    return [*lines, *_wide(compared), *not_whole(compared.curve.shortened)]


def _wide(compared: Comparison) -> list[str]:
    """What made the interval wide of the chosen route, or of the projection of which most is expected."""
    projections = [route for route in compared.routes if route.kind not in ("nothing", "everything") and route.expected]
    if compared.chosen in projections:
        projections = [compared.chosen]
    best = max(projections, key=lambda route: route.expected.value if route.expected else 0.0, default=None)
    reason = "" if best is None or best.expected is None else wide_by(best.expected)
    return [] if best is None or not reason else [f"{escape(best.description)}: wide because {reason}"]


def _chosen(compared: Comparison) -> str:
    """Which is better: stay, project or embed again; and what `migrate` does, where that is something else."""
    nothing, route = compared.routes[0].expected, compared.chosen
    if compared.better is None:
        return f"[bold]{'' if route is None else escape(route.description)}[/]: {escape(compared.reason)}"
    if route is None:
        more = "" if compared.better == "stay" else "; within these limits more is expected of the best than of nothing"
        return advice(compared.better, compared.reason + more, None, nothing)
    taken = f"{route.description}: {compared.reason}"
    if compared.better != "stay" or nothing is None or route.expected is None:
        return advice(compared.better, taken, route.expected, nothing)
    why = (
        f"no less is expected of doing nothing ({nothing.value:.2f}) than of the new model "
        f"({route.expected.value:.2f}); migrate would take: {taken}"
    )
    return advice("stay", why, route.expected, nothing)


def _short(number: int) -> str:
    """A number to two digits: 950, 19 k, 1.7 M."""
    for size, unit in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number / size:.{0 if number >= 10 * size else 1}f}{unit}"
    return str(number)
