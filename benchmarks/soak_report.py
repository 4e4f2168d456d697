"""Tables and plots of `results/soak.json`: `python benchmarks/soak_report.py` writes `soak.md` and `soak.png`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Write both."""
    sizes = json.loads((RESULTS / "soak.json").read_text())
    (RESULTS / "soak.md").write_text(report(sizes), encoding="utf-8")
    plot(sizes)


def report(sizes: list[dict[str, Any]]) -> str:
    """Time, memory, and what was foretold, by size."""
    machine = ", ".join(f"{name} {value}" for name, value in sizes[0]["machine"].items())
    return f"""# Large databases, there and back again

{"{}→{}".format(*sizes[0]["shape"])}, a real encoder's vectors of passages of 40 words; {machine}.
`benchmarks/soak.py` migrated the database at every size, rolled back (it was the old one byte for byte) and migrated it
again (the same digests of contents and vectors).

## Time
Microseconds of processor time for a record: what Chroma takes to insert it, and what migrating it takes, the mean of
both times. *Kept* or *built anew*: what became of the index; it is kept when it finds as much as before, less .01.

{time_table(sizes)}
## Foretold
What `lightmigrate plan` said just before, beside what happened, for what became of the index.

{foretold_table(sizes)}
## Memory
The most that the process held, in MiB. The idle client has the same database open, before or after the migration, and
has searched it once.

{memory_table(sizes)}
![Time and memory](soak.png)
"""


def time_table(sizes: list[dict[str, Any]]) -> str:
    """One row a size."""
    lines = ["| records | inserting | migrating | index | finds of the 10 nearest (before) | rollback |"]
    lines.append("|--:|--:|--:|---|---|--:|")
    for one in sizes:
        last = one["migrations"][-1]
        lines.append(
            f"| {one['rows']:,} | {inserting(one):,.0f} | {migrating(one):,.0f} | {index_of(one)} | "
            f"{last['recall']:.3f} ({last['recall_before']:.3f}) | {one['rollback_seconds']:.1f} s |"
        )
    return "\n".join(lines) + "\n"


def foretold_table(sizes: list[dict[str, Any]]) -> str:
    """One row a size."""
    lines = ["| records | foretold, kept | foretold, built anew | happened | off |", "|--:|--:|--:|---|--:|"]
    for one in sizes:
        said, route = one["foretold"], one["migrations"][0]["index"]
        right = said["seconds_kept" if route == "keep" else "seconds_rebuilt"]
        happened = [migration["seconds"] for migration in one["migrations"]]
        lines.append(
            f"| {one['rows']:,} | {said['seconds_kept']:.1f} s | {said['seconds_rebuilt']:.1f} s | "
            f"{' and '.join(f'{seconds:.1f}' for seconds in happened)} s, {'kept' if route == 'keep' else 'anew'} | "
            f"{right / (sum(happened) / len(happened)) - 1:+.0%} |"
        )
    return "\n".join(lines) + "\n"


def memory_table(sizes: list[dict[str, Any]]) -> str:
    """One row a size."""
    lines = ["| records | idle client before | after | migrating | above the one before | the original design |"]
    lines.append("|--:|--:|--:|--:|--:|--:|")
    for one in sizes:
        naive = f"{one['naive']['peak_mib']:,}" if one["naive"] else "fails"
        before, after = one["idle_mib"]
        lines.append(
            f"| {one['rows']:,} | {before:,} | {after:,} | {one['peak_mib']:,} | {one['above_idle_mib']:,} | {naive} |"
        )
    return (
        "\n".join(lines) + "\n\nThe original design asks for all records at once, which Chroma refuses above 32,766.\n"
    )


def index_of(one: dict[str, Any]) -> str:
    """What became of it."""
    return "kept" if one["migrations"][-1]["index"] == "keep" else "built anew"


def inserting(one: dict[str, Any]) -> float:
    """Microseconds of processor time Chroma takes to insert a record of as many."""
    return float(one["insertion_cpu_seconds"] / one["rows"] * 1e6)


def migrating(one: dict[str, Any]) -> float:
    """Microseconds of processor time it takes to migrate one."""
    return float(sum(run["cpu_seconds"] for run in one["migrations"]) / len(one["migrations"]) / one["rows"] * 1e6)


def plot(sizes: list[dict[str, Any]]) -> None:
    """Time for a record by size; memory over time at the largest size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    rows = [one["rows"] for one in sizes]
    left.plot(rows, [inserting(one) / 1000 for one in sizes], "o-", color="tab:gray", label="Chroma's own insertion")
    left.plot(rows, [migrating(one) / 1000 for one in sizes], "o-", color="tab:blue", label="lightmigrate")
    for one in sizes:
        left.annotate(
            index_of(one), (one["rows"], migrating(one) / 1000), (0, -14), textcoords="offset points", ha="center"
        )
    left.set(xscale="log", xlabel="records", ylabel="processor time for a record (ms)", title="Time")
    left.set_ylim(bottom=0)
    left.legend()
    largest = sizes[-1]
    for name, colour in (("migration", "tab:blue"), ("idle client", "tab:gray")):
        points = largest["memory"][name]
        right.plot([time for time, _ in points], [mib for _, mib in points], color=colour, label=name)
    right.axhline(largest["idle_mib"][0] + 300, color="tab:red", linestyle=":", label="idle client + 300 MiB")
    right.set(xlabel="seconds", ylabel="memory (MiB)", title=f"Memory, {largest['rows']:,} records")
    right.set_ylim(bottom=0)
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(RESULTS / "soak.png", dpi=120)


if __name__ == "__main__":
    main()
