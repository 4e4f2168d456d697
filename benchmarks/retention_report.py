"""Tables and plot of `results/retention.jsonl`: `python benchmarks/retention_report.py` (the plot needs matplotlib).

Writes `results/retention.md` and `results/retention.png`.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Run = dict[str, Any]

# Pairs whose old model keeps less than this are drawn: the others are no upgrades by any measure.
UPGRADE = 1.05
KEYS = ("corpus", "old", "new", "pairs", "seed", "method")


def main() -> None:
    """Write what can be read off."""
    runs = read()
    (RESULTS / "retention.md").write_text(retention_table(runs))
    plot(runs)


def read() -> list[Run]:
    """All runs, the newest of each kind."""
    runs = map(json.loads, (RESULTS / "retention.jsonl").read_text().splitlines())
    return list({tuple(run[key] for key in KEYS): run for run in runs}.values())


def grouped(runs: Sequence[Run], *keys: str) -> Iterator[tuple[Any, list[Run]]]:
    """Runs that agree in `keys`."""
    key = itemgetter(*keys)
    for value, group in itertools.groupby(sorted(runs, key=key), key=key):
        yield value, list(group)


def mean(runs: Sequence[Run], name: str) -> float:
    """Mean over runs that have it."""
    return float(statistics.mean(run[name] for run in runs if name in run))


def retention_table(runs: list[Run]) -> str:
    """Means over seeds, with the standard deviation of the held-out retention."""
    lines = [
        "Retention: nDCG@10 of the new model's queries on migrated documents, as a share of the same on documents",
        "really embedded by the new model. `nothing` is what keeping the old model gives, on the same scale.",
        "Held-out: only documents that were not calibrated on count. Means over seeds ± standard deviation; times on",
        "two busy cores.",
        "",
        "| corpus | old → new | K | seeds | method | nothing | held-out | overlap@10 | all | fit s | apply/s | MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (corpus, old, new, size, method), group in grouped(runs, "corpus", "old", "new", "pairs", "method"):
        spread = statistics.pstdev(run["held_out"] for run in group)
        lines.append(
            f"| {corpus} | {old} → {new} | {size} | {len(group)} | {method} | {mean(group, 'nothing'):.3f} "
            f"| {mean(group, 'held_out'):.3f} ± {spread:.3f} | {mean(group, 'overlap'):.3f} | {mean(group, 'all'):.3f} "
            f"| {mean(group, 'fit_seconds'):.1f} | {mean(group, 'vectors_per_second'):,.0f} "
            f"| {mean(group, 'bytes') / 2**20:.1f} |"
        )
    return "\n".join(lines) + "\n"


def plot(runs: list[Run]) -> None:
    """Retention against the number of calibration documents, a panel for each upgrade with two sizes at least."""
    import matplotlib.pyplot as plt

    shown = ("isotrieve", "original design", "ridge", "auto, no text", "lexical, no word vectors", "auto")
    panels = [
        (pair, group)
        for pair, group in grouped(runs, "corpus", "old", "new")
        if _sizes(group) > 1 and mean(group, "nothing") < UPGRADE
    ]
    if not panels:
        return
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 3.0 * rows + 0.6), squeeze=False, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, ((corpus, old, new), group) in zip(axes.flat, panels, strict=False):
        for number, method in enumerate(shown):
            own = [run for run in group if run["method"] == method]
            points = {size: mean(some, "held_out") for size, some in grouped(own, "pairs")}
            width = 2 if method == "auto" else 1
            axis.plot(list(points), list(points.values()), "o-", ms=3, lw=width, color=f"C{number}", label=method)
        axis.axhline(mean(group, "nothing"), color="black", ls="--", lw=1, label="doing nothing")
        axis.axhline(1, color="grey", ls=":", lw=1, label="embedding everything again")
        axis.set_title(f"{corpus}\n{old} → {new}", fontsize=9)
        axis.set_xlabel("calibration documents", fontsize=8)
    axes[0, 0].set_ylabel("nDCG@10 retention, held-out", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.6 / (3.0 * rows + 0.6), 1, 1))
    figure.savefig(RESULTS / "retention.png", dpi=110)


def _sizes(runs: Sequence[Run]) -> int:
    return len({run["pairs"] for run in runs})


if __name__ == "__main__":
    main()
