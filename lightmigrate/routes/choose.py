"""Chooses the cheapest route that reaches a quality within limits, and says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.results import Result
from lightmigrate.routes.goal import Goal
from lightmigrate.routes.route import Route

# Embedding everything is taken unless another route saves at least this share of what it takes.
LEAST_SAVING = 1 / 3

# Embedding everything takes little where it takes less than this: nobody would want less.
LITTLE_SECONDS, LITTLE_DOLLARS = 60.0, 0.05


@dataclass(frozen=True)
class WayOut(Result):
    """What can be done when no route reaches the goal.

    Attributes:
        reason: what that is.
        options: of the command, to do it.
    """

    reason: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """The route to take.

    Attributes:
        route: the route; `None` when none reaches the goal.
        reason: why this one, or why none, in one sentence.
        ways_out: what can be done when there is none.
    """

    route: Route | None
    reason: str
    ways_out: tuple[WayOut, ...] = ()


def choose(routes: Sequence[Route], goal: Goal) -> Choice:
    """The cheapest route that is expected to reach the goal: in money, and for a model that is free in seconds.

    Only routes whose quality was measured, or is certain, are taken; and one that keeps less than everything only where
    everything does not take little anyway, where it saves a third, and where more is expected of it than of doing
    nothing. Doing nothing is never taken by who asks for another model; that it is better, `Comparison.better` says.
    """
    candidates = [route for route in routes if route.kind != "nothing"]
    nothing = max((route.expected.value for route in routes if route.kind == "nothing" and route.expected), default=0.0)
    better = [
        route
        for route in candidates
        if route.kind == "everything" or goal.even_below_nothing or _quality(route) > nothing
    ]
    reaching = [route for route in better if _quality(route) >= goal.quality]
    allowed = [route for route in reaching if goal.allows(route)]
    if allowed:
        best = min(allowed, key=_cost)
        exact = next((route for route in allowed if route.kind == "everything"), best)
        if takes_little(exact) or sum(_cost(best)) > (1 - LEAST_SAVING) * sum(_cost(exact)):
            best = exact
        return Choice(best, _why(best, better, goal, nothing))
    reason = f"no route is expected to keep {goal.quality:.2f} of what embedding everything gives{_limits(goal)}"
    if len(better) < len(candidates):
        reason += f", and more than doing nothing, of which {nothing:.2f} is expected"
    ways_out = []
    if reaching:
        best = min(reaching, key=_cost)
        ways_out.append(WayOut(f"to {best.description}", tuple(_needed(best))))
    best_allowed = best_within(routes, goal)
    if best_allowed is not None:
        quality = math.floor(100 * _quality(best_allowed)) / 100
        options = ["--quality", f"{quality:.2f}", *_given(goal)]
        if best_allowed in better:
            ways_out.append(WayOut(f"to {best_allowed.description}", tuple(options)))
        else:
            less = f"to {best_allowed.description} although less is expected of that than of doing nothing"
            ways_out.append(WayOut(less, (*options, "--force")))
    if not ways_out:
        ways_out.append(WayOut("to learn a projection all the same", ("--calibrate", "500")))
    return Choice(None, reason, tuple(ways_out))


def best_within(routes: Sequence[Route], goal: Goal) -> Route | None:
    """The route to the new model of which most is expected within the limits of a goal; `None` where none keeps any."""
    allowed = [route for route in routes if route.kind != "nothing" and goal.allows(route) and _quality(route) >= 0.01]
    return max(allowed, key=_quality, default=None)


def takes_little(route: Route) -> bool:
    """Whether a route is exact, and takes so little that nobody would want less."""
    quick = route.seconds is not None and route.seconds <= LITTLE_SECONDS
    cheap = route.dollars is not None and route.dollars <= LITTLE_DOLLARS
    return route.kind == "everything" and quick and cheap


def _why(route: Route, better: Sequence[Route], goal: Goal, nothing: float) -> str:
    """Why a route that reaches the goal is taken, among those of which more is expected than of doing nothing."""
    if route.kind != "everything":
        return f"the cheapest route that is expected to keep {goal.quality:.2f} or more"
    others = [_quality(other) for other in better if other is not route and other.measured]
    if not others and nothing:
        return f"exact, and nothing cheaper is expected to keep more than doing nothing, {nothing:.2f}"
    if not others:
        return "exact, and nothing else was measured"
    if max(others) < goal.quality:
        return f"exact, and nothing cheaper is expected to keep {goal.quality:.2f}: the best keeps {max(others):.2f}"
    if takes_little(route):
        return "exact, and it takes so little that less is not worth choosing"
    return "exact, and nothing that is expected to keep as much as asked saves a third of what it takes"


def _quality(route: Route) -> float:
    """The expected quality as far as it can be relied on."""
    return route.expected.value if route.measured and route.expected is not None else 0.0


def _cost(route: Route) -> tuple[float, float]:
    """What decides: tokens where they cost money, then seconds."""
    return (0 if route.dollars == 0 else route.tokens, route.seconds or 0.0)


def _limits(goal: Goal) -> str:
    """The limits of a goal, in words."""
    limits = [f"{goal.max_seconds:g} s"] if goal.max_seconds is not None else []
    limits += [f"${goal.max_cost:,.2f}"] if goal.max_cost is not None else []
    return f" within {' and '.join(limits)}" if limits else ""


def _given(goal: Goal) -> list[str]:
    """The limits of a goal, as options."""
    options = ["--max-seconds", f"{goal.max_seconds:g}"] if goal.max_seconds is not None else []
    return options + (["--max-cost", f"{goal.max_cost:g}"] if goal.max_cost is not None else [])


def _needed(route: Route) -> list[str]:
    """The limits that a route needs, as options; a route of unknown price is allowed without a limit."""
    options = [] if route.seconds is None else ["--max-seconds", str(math.ceil(route.seconds))]
    return options + (["--max-cost", f"{math.ceil(route.dollars * 100) / 100:.2f}"] if route.dollars else [])
