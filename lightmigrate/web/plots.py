"""Plots as SVG: where everything stands, in the numbers of a drawing; templates put the words around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.settings import CurvePoint
from lightmigrate.commands.look import CollectionLook, SampledVersion
from lightmigrate.errors import RefusedError
from lightmigrate.quality.retention import QualityEstimate

# Of the plot of a curve: the drawing, and the plane in it.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 340, 46, 18, 16, 60

# Of a picture of points.
SIDE, MARGIN, RADIUS = 400, 12, 3.2

# Shares of the tokens at which the curve is drawn, beside its ends.
STEPS = 24

# Corners of marks in units of their radius: triangle, square, diamond, triangle upside down, dash, bar, cross.
_SHAPES = (
    ((-1, 0.9), (1, 0.9), (0, -1)),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((-1, -0.9), (1, -0.9), (0, 1)),
    ((-1.2, -0.4), (1.2, -0.4), (1.2, 0.4), (-1.2, 0.4)),
    ((-0.4, -1.2), (0.4, -1.2), (0.4, 1.2), (-0.4, 1.2)),
    (
        (-1, -0.6),
        (-0.6, -1),
        (0, -0.4),
        (0.6, -1),
        (1, -0.6),
        (0.4, 0),
        (1, 0.6),
        (0.6, 1),
        (0, 0.4),
        (-0.6, 1),
        (-1, 0.6),
        (-0.4, 0),
    ),
)

# Columns of a histogram.
COLUMNS = 28


@dataclass(frozen=True)
class PlottedPoint:
    """A point with its interval: places in the drawing, and the point itself."""

    x: float
    y: float
    low: float
    high: float
    point: CurvePoint


@dataclass(frozen=True)
class CurvePlot:
    """Cost against expected quality.

    Attributes:
        line: the best of every budget, as the points of a line.
        band: its interval, as the points of a polygon.
        points: settings that were tried.
        nothing: height of doing nothing, with its interval; `None` where that is not known.
        xs: places of shares of the tokens, with their labels.
        ys: places of qualities, with their labels.
        least: the smallest budget that pays for measuring, as a share.
        lowest: the quality at the bottom.
    """

    line: str
    band: str
    points: tuple[PlottedPoint, ...]
    nothing: tuple[float, float, float] | None
    xs: tuple[tuple[float, str], ...]
    ys: tuple[tuple[float, str], ...]
    least: float
    lowest: float

    def x(self, share: float) -> float:
        """Where a share of the tokens stands."""
        return round(LEFT + min(1.0, share) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, quality: float) -> float:
        """Where a quality stands."""
        inside = min(1.0, max(0.0, (quality - self.lowest) / (1.02 - self.lowest)))
        return round(HEIGHT - BOTTOM - inside * (HEIGHT - TOP - BOTTOM), 1)

    @classmethod
    def of(cls, curve: CostQualityCurve) -> CurvePlot:
        """The plot of a curve; every budget's best is asked of the curve itself."""
        everything = max(1, curve.options[-1].tokens)
        best = [(share, point) for share in _shares(curve) if (point := _within(curve, share)) is not None]
        shown = [point for point in curve.options if point.expected.value >= 0.5 * best[0][1].expected.value]
        lowest = min([0.9, *(point.expected.low for _, point in best), *(point.expected.low for point in shown)])
        if curve.expected_nothing is not None:
            lowest = min(lowest, curve.expected_nothing.value)
        lowest = max(0.0, float(np.floor(10 * lowest) / 10))
        empty = cls("", "", (), None, (), (), 0.0, lowest)
        upper = [(share, point.expected) for share, point in best]
        line = " ".join(f"{empty.x(share)},{empty.y(kept.value)}" for share, kept in upper)
        band = [f"{empty.x(share)},{empty.y(kept.high)}" for share, kept in upper]
        band += [f"{empty.x(share)},{empty.y(kept.low)}" for share, kept in reversed(upper)]
        heights = np.arange(lowest, 1.001, 0.1 if lowest >= 0.4 else 0.2)
        return cls(
            line=line,
            band=" ".join(band),
            points=tuple(empty._plotted(point, point.tokens / everything) for point in shown),
            nothing=None if curve.expected_nothing is None else empty._heights(curve.expected_nothing),
            xs=tuple((empty.x(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1.0)),
            ys=tuple((empty.y(float(height)), f"{height:.1f}") for height in heights),
            least=best[0][0],
            lowest=lowest,
        )

    def _plotted(self, point: CurvePoint, share: float) -> PlottedPoint:
        height, low, high = self._heights(point.expected)
        return PlottedPoint(self.x(share), height, low, high, point)

    def _heights(self, kept: QualityEstimate) -> tuple[float, float, float]:
        return self.y(kept.value), self.y(kept.low), self.y(kept.high)


def _shares(curve: CostQualityCurve) -> list[float]:
    """Shares of the tokens from what measuring took to all."""
    everything = max(1, curve.options[-1].tokens)
    least = min(1.0, min(point.tokens for point in curve.options) / everything)
    return [least, *(step / STEPS for step in range(1, STEPS) if step / STEPS > least), 1.0]


def _within(curve: CostQualityCurve, share: float) -> CurvePoint | None:
    try:
        return curve.within(share * curve.options[-1].tokens + 1)
    except RefusedError:
        return None


@dataclass(frozen=True)
class Marks:
    """The points of one group, as one path; `number` is that of its colour and its shape."""

    number: int
    name: str
    path: str
    points: int


def marks_of(version: SampledVersion, groups: Sequence[str]) -> list[Marks]:
    """The points of a picture, by group. Groups differ in shape, too, for those who see no colours."""
    scale = SIDE / 2 - MARGIN
    places: dict[int, list[str]] = {}
    numbers = version.groups if groups else (0,) * len(version.groups)
    for (x, y), group in zip(version.picture.points.tolist(), numbers, strict=True):
        if x == x and y == y:  # others have no place
            at = (SIDE / 2 + scale * x, SIDE / 2 - scale * y)
            places.setdefault(group, []).append(shape(group % 8, *at))
    names = groups or ("records",)
    return [Marks(group % 8, names[group], "".join(paths), len(paths)) for group, paths in sorted(places.items())]


def shape(number: int, x: float, y: float, radius: float = RADIUS) -> str:
    """One mark as a part of a path: a circle, or one of `_SHAPES`."""
    if not number:
        return (
            f"M{x - radius:.1f} {y:.1f}a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0"
        )
    corners = (f"{x + radius * right:.1f} {y + radius * down:.1f}" for right, down in _SHAPES[number - 1])
    return f"M{'L'.join(corners)}z"


@dataclass(frozen=True)
class Histogram:
    """How many of some numbers lie in each of some equal parts: a path of bars in a drawing of 400 × 90."""

    path: str
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Histogram | None:
        """`None` where all numbers are about the same: a sentence says that better."""
        if not numbers or numbers[-1] - numbers[0] < 0.01 * max(1e-12, numbers[-1]):
            return None
        counts, edges = np.histogram(numbers, COLUMNS)
        width = 400 / COLUMNS
        bars = [
            f"M{column * width + 1:.1f} 90h{width - 2:.1f}v{-88 * count / counts.max():.1f}h{2 - width:.1f}z"
            for column, count in enumerate(counts.tolist())
            if count
        ]
        return cls("".join(bars), float(edges[0]), float(edges[-1]))


# A version, its marks, and the lengths of its vectors.
Drawn: TypeAlias = "tuple[SampledVersion, list[Marks], Histogram | None]"


def drawn(looked: CollectionLook) -> list[Drawn]:
    """What is drawn of each version, the older first. How rows were made is known of the live one alone."""
    return [
        (
            version,
            marks_of(version, looked.groups if version is looked.now or looked.grouped_by else ()),
            Histogram.of(version.lengths),
        )
        for version in (looked.before, looked.now)
        if version is not None
    ]


def legend(looked: CollectionLook) -> list[tuple[int, str, str]]:
    """Number, name and mark of each group."""
    return [(number % 8, name, shape(number % 8, 7, 7, 5)) for number, name in enumerate(looked.groups)]
