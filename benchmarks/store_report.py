"""The tables of `results/stores.json`: one line for each store and number of rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = (
    "store", "rows", "vectors/s", "script", "× as fast", "CPU ÷ script", "µs CPU each", "peak MiB", "script",
)  # fmt: skip

_WRITTEN = (
    "store", "rows", "seed", "seconds", "writes", "a second", "longest wait, ms", "99 %", "median", "rows compared",
    "wrong",
)  # fmt: skip


def report(found: Mapping[str, Any]) -> str:
    """The page."""
    runs = found["runs"]
    loads = [run["load"] for run in runs]
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return f"""# Stores

Whole migrations, 384 → 768, verified and with a backup, beside the script people write for the store, which keeps
nothing and checks nothing: medians over {len({run["seed"] for run in runs})} databases, every run in a process of its
own, by turns. Load {min(loads):.1f}–{max(loads):.1f}. Made by `benchmarks/stores.py`.

{machine}

{stores_table(runs)}
{_floors(runs)}{_written(runs)}"""


def stores_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """One line for each store and number of rows."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|---|{'--:|' * (len(_HEAD) - 1)}"]
    for store, rows in _stores(runs):
        ours, theirs = (_of(runs, store, rows, route) for route in ("lightmigrate", "script"))
        pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
        if not pairs:
            continue
        as_fast = statistics.median(script["seconds"] / own["seconds"] for own, script in pairs)
        cpu = statistics.median(own["cpu_seconds"] / script["cpu_seconds"] for own, script in pairs)
        own, script = (list(each) for each in zip(*pairs, strict=True))
        cells = [
            own[0]["name"], f"{rows:,}", f"{rows / _median(own, 'seconds'):,.0f}",
            f"{rows / _median(script, 'seconds'):,.0f}", f"{as_fast:.2f}", f"{cpu:.2f}",
            f"{1e6 * _median(own, 'cpu_seconds') / rows:,.0f}", f"{_median(own, 'peak_mib'):,.0f}",
            f"{_median(script, 'peak_mib'):,.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _floors(runs: Sequence[Mapping[str, Any]]) -> str:
    """What cannot be saved, where it is measured."""
    lines = []
    for store, rows in _stores(runs):
        ours, floor = (_of(runs, store, rows, route) for route in ("lightmigrate", "floor"))
        both = [seed for seed in ours if seed in floor]
        if both:
            times, cpu = (
                statistics.median(ours[seed][what] / floor[seed][what] for seed in both)
                for what in ("seconds", "cpu_seconds")
            )
            lines.append(
                f"{rows:,} rows in {ours[both[0]]['name']}: {times:.2f} × the time, {cpu:.2f} × the processor time, "
                "of `COPY` into an empty table and `CREATE INDEX`."
            )
    return "\n" + "\n\n".join(lines) + "\n" if lines else ""


def _written(runs: Sequence[Mapping[str, Any]]) -> str:
    """How long an application waited that wrote meanwhile."""
    lines = []
    for run in runs:
        if run["route"] == "written":
            wrong = sum(run[name] for name in ("missing", "wrong", "deleted_and_back", "without_new_vector"))
            lines.append(
                f"| {run['name']} | {run['rows']:,} | {run['seed']} | {run['seconds']:.1f} | {run['writes']:,} | "
                f"{_rate(run)} | {run['longest_wait_ms']:,.0f} ({run['alone_longest_wait_ms']:,.0f}) | "
                f"{run['p99_wait_ms']:,.0f} ({run['alone_p99_wait_ms']:,.0f}) | "
                f"{run['median_wait_ms']:,.1f} ({run['alone_median_wait_ms']:,.1f}) | {run['compared']:,} | {wrong} |"
            )
    if not lines:
        return ""
    return "\n".join(
        [
            "\n## While an application writes\n",
            "Inserts, updates and deletes, at the rate that is asked for as far as the server takes them: so many were "
            "reached a second, of so many that were due. In brackets the same application without a migration.\n",
            f"| {' | '.join(_WRITTEN)} |",
            f"|---|{'--:|' * (len(_WRITTEN) - 1)}",
            *lines,
            "",
        ]
    )


def _rate(run: Mapping[str, Any]) -> str:
    """How many writes a second were reached, of how many; in runs of an earlier generator only the first is known."""
    if "offered_per_second" not in run:
        return f"{run['writes'] / run['seconds']:.0f}"
    return f"{run['writes_per_second']:.0f} of {run['offered_per_second']} ({run['alone_writes_per_second']:.0f})"


def _stores(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """The stores and numbers of rows, in the order in which they were measured."""
    return list(dict.fromkeys((run["store"], run["rows"]) for run in runs))


def _of(runs: Sequence[Mapping[str, Any]], store: str, rows: int, route: str) -> dict[int, Mapping[str, Any]]:
    """The runs of a route by seed."""
    return {run["seed"]: run for run in runs if (run["store"], run["rows"], run["route"]) == (store, rows, route)}


def _median(runs: Sequence[Mapping[str, Any]], what: str) -> float:
    return float(statistics.median(run[what] for run in runs))
