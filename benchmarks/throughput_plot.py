"""Speed and memory of every route: `python benchmarks/throughput_plot.py` draws `results/throughput.png`."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "naive": "the original design",
    "rewrite": "every record anew",
    "rebuild": "a new index",
    "keep": "graph kept",
    "keep-unverified": "graph kept,\nnot verified",
}


def main() -> None:
    """Draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    database = json.loads((RESULTS / "throughput.json").read_text())["database"]
    routes = {label: database["routes"][name] for name, label in NAMES.items()}
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
    for axes, measure, title in (
        (panels[0], "vectors_per_cpu_second", "vectors a processor second"),
        (panels[1], "peak_mib", "peak memory (MiB)"),
    ):
        values = [route[measure] for route in routes.values()]
        middle = [value["median"] for value in values]
        reach = [[m - v["min"] for m, v in zip(middle, values, strict=True)],
                 [v["max"] - m for m, v in zip(middle, values, strict=True)]]  # fmt: skip
        colours = ["tab:gray", *["tab:blue"] * (len(values) - 1)]
        bars = axes.barh(list(routes), middle, xerr=reach, color=colours, ecolor="black", capsize=3)
        axes.bar_label(bars, [f"{value:,.0f}" for value in middle], label_type="center", color="white")
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    idle = panels[1].axvline(database["idle_peak_mib"], color="tab:red", linestyle=":")
    panels[1].legend([idle], ["idle client"])
    panels[0].invert_yaxis()
    figure.savefig(RESULTS / "throughput.png", dpi=110)


if __name__ == "__main__":
    main()
