"""How distances before and after a migration look in a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape

from lightmigrate.cli.show import budget
from lightmigrate.cli.show.many import DESCRIBED, LISTED
from lightmigrate.cli.show.terminal import plain_table

if TYPE_CHECKING:
    from lightmigrate.commands.status import CollectionStatus
    from lightmigrate.scores.shift import ScoreShift
    from lightmigrate.scores.thresholds import ThresholdShift
    from lightmigrate.stores.base import Address

# The distances as the database reports them.
_NAMES = {"cosine": "cosine distance", "l2": "squared l2 distance", "ip": "1 - inner product"}

_SIDES = ("before", "now")


def statuses(collections: Sequence[CollectionStatus]) -> RenderableType:
    """What `status` shows."""
    refinements = [one.refinement for one in collections if one.refinement is not None]
    moved = [one.scores for one in collections if one.scores is not None]
    parts: list[RenderableType] = []
    if any(shift.thresholds for shift in moved):
        parts += [_thresholds(moved), *_basis(moved)]
    else:
        parts += [budget.statuses(refinements)] if refinements else []
        parts += distances(moved)
    exact = {refinement.address: refinement.share_exact for refinement in refinements}
    return Group(*parts, *_exact_since(moved, exact))


def distances(moved: Sequence[ScoreShift]) -> list[str]:
    """A line for each collection about its nearest records; one for all of many."""
    if len(moved) <= DESCRIBED:
        return [f"{escape(str(shift.address))}: {nearest([shift])}" for shift in moved]
    return [f"{len(group)} collections: {nearest(group)}" for group in _alike(moved)]


def nearest(moved: Sequence[ScoreShift]) -> str:
    """How far the nearest records were and are, in some collections with the same metrics."""
    first = moved[0]
    before, now = (_median([getattr(shift, side).nearest.median for shift in moved]) for side in _SIDES)
    name = _NAMES[first.before.metric]
    changed = "" if first.before.metric == first.now.metric else f" ({_NAMES[first.now.metric]})"
    farthest = ""
    if (rank := first.before.neighbours.shape[1]) > 1 and len(moved) == 1:
        farthest = f"; of the {_ordinal(rank)} {_number(first.before.farthest.median)} before, "
        farthest += f"{_number(first.now.farthest.median)} now"
    return f"{name} between nearest records: median {_number(before)} before, {_number(now)}{changed} now{farthest}"


def _ordinal(number: int) -> str:
    """`2nd`, `10th`: of a neighbour."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if number in (11, 12, 13) else f"{number}{ending}"


def example(moved: Iterable[ScoreShift | None]) -> str:
    """A threshold that is worth asking about; empty where nothing was measured."""
    medians = [shift.before.farthest.median for shift in moved if shift is not None]
    return f"{_median(medians):.2g}" if medians else ""


def _thresholds(moved: Sequence[ScoreShift]) -> RenderableType:
    table = plain_table()
    table.add_column("collection", overflow="fold")
    for column in ("before", "now", "similarity", "share", "unchanged"):
        table.add_column(column, no_wrap=True)
    for name, shifts in _rows(moved):
        for threshold in shifts:
            table.add_row(name, *_cells(threshold))
            name = ""
    return table


def _rows(moved: Sequence[ScoreShift]) -> list[tuple[str, Sequence[ThresholdShift]]]:
    """One entry for each collection; of many, one for all that have the same metrics, measured together."""
    if len(moved) <= LISTED:
        return [(escape(str(shift.address)), shift.thresholds) for shift in moved]
    from lightmigrate.scores.thresholds import corresponding

    return [
        (
            f"{len(group)} collections",
            corresponding(
                [threshold.threshold for threshold in group[0].thresholds],
                [(shift.before, shift.now) for shift in group],
            ),
        )
        for group in _alike(moved)
    ]


def _cells(shift: ThresholdShift) -> list[str]:
    interval = f"{_number(shift.now)} [dim]\\[{_number(shift.low)}, {_number(shift.high)}][/]"
    similarity = f"{_similarity(shift.similarity)} → {_similarity(shift.similarity_now)}"
    share = (
        f"{shift.share:.0%}"
        if abs(shift.share_now - shift.share) < 0.01
        else f"{shift.share:.0%} → {shift.share_now:.0%}"
    )
    now = {"": interval, "nothing": f"below {_number(shift.now)}", "everything": f"above {_number(shift.now)}"}
    return [
        _number(shift.threshold),
        now[shift.outside],
        "–" if shift.similarity is None and shift.similarity_now is None else similarity,
        share,
        f"[yellow]{shift.unchanged:.0%}[/]" if abs(shift.unchanged - shift.share) > 0.05 else f"{shift.unchanged:.0%}",
    ]


def _basis(moved: Sequence[ScoreShift]) -> list[str]:
    """What the numbers mean, and what they were measured on."""
    thresholds = [threshold for shift in moved for threshold in shift.thresholds]
    lines = []
    if any(threshold.outside for threshold in thresholds):
        lines.append(
            "[yellow]below, above: the threshold let through nothing or everything that was measured, and so does one "
            "below or above that[/]"
        )
    before, now = (", ".join(sorted({_NAMES[getattr(shift, side).metric] for shift in moved})) for side in _SIDES)
    metrics = before if before == now else f"{before} before, {now} now"
    lines += [
        f"thresholds are distances as the database reports them ({metrics}): smaller is nearer",
        "share: of the nearest records, that it lets through; unchanged: that the old threshold would let through now",
    ]
    samples = sum(shift.samples for shift in moved)
    if {shift.measured_from for shift in moved} == {"queries"}:
        return [*lines, f"measured with {samples:,} queries"]
    return [
        *lines,
        f"[yellow]measured from {samples:,} records in place of queries: right for distances between records, but not "
        "for searches, whose queries are farther away[/]",
    ]


def _exact_since(moved: Sequence[ScoreShift], exact: dict[Address, float]) -> list[str]:
    """Where `refine` changed vectors since the distances were measured."""
    return [
        f"[yellow]{escape(str(shift.address))}: the distances are those of {shift.share_exact:.0%} exact rows, now "
        f"{exact[shift.address]:.0%} are[/]"
        for shift in moved
        if shift.share_exact is not None and exact.get(shift.address, 0.0) > shift.share_exact + 0.01
    ][:LISTED]


def _alike(moved: Sequence[ScoreShift]) -> list[list[ScoreShift]]:
    """Collections with the same metrics, the most first."""
    groups: dict[tuple[str, str], list[ScoreShift]] = defaultdict(list)
    for shift in moved:
        groups[shift.before.metric, shift.now.metric].append(shift)
    return sorted(groups.values(), key=len, reverse=True)


def _median(numbers: Sequence[float]) -> float:
    from statistics import median

    return median(numbers)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _similarity(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
