"""Kept quality against cost: `python benchmarks/cost_quality.py` draws `results/cost_quality.png`.

From the runs of `plan_end_to_end.py`: what plans kept for a share of the tokens of embedding everything, means over
seeds, beside doing nothing, which keeps the old model, and embedding everything, which is 1 by definition. The bar at a
point reaches over the interval that the plan had expected.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plan_end_to_end import NEW, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = Path(__file__).parent / "results" / "cost_quality.png"
PANELS = {
    "Abstracts with titles": {"cranfield": "Cranfield"},
    "Chunks without titles": {
        "cranfield-3": "Cranfield, 3 sentences",
        "cranfield-8": "Cranfield, 8 sentences",
        "scifact-3": "SciFact, 3 sentences",
        "scifact-3-part": "a part of it",
        "scifact-1": "SciFact, 1 sentence",
    },
    "Other texts": {
        "commits": "commits",
        "descriptions": "descriptions",
        "help-en": "help pages",
        "pydoc-llamaindex": "documentation",
        "code-langchain": "code",
        "chat": "chat",
    },
    "Other languages": {
        "help-de → use-multi": "help pages, German",
        "help-ja → use-multi": "Japanese",
        "help-zh → use-multi": "Chinese",
        "help-zh → e5-small-4bit": "Chinese, to e5",
        "help-de → e5-small-4bit": "German, to e5",
        "messages-ar → use-multi": "messages, Arabic",
    },
}


def main() -> None:
    """Draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    runs = read()
    unknown = {series(run) for run in runs} - {name for names in PANELS.values() for name in names}
    if unknown:
        raise SystemExit(f"no panel shows {', '.join(sorted(unknown))}: add it to PANELS")
    figure, panels = plt.subplots(1, len(PANELS), figsize=(13, 3.8), layout="constrained", sharey=True)
    for axes, (title, names) in zip(panels, PANELS.items(), strict=True):
        for number, (name, label) in enumerate(names.items()):
            draw(axes, [run for run in runs if series(run) == name], label, number)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_title(title)
        axes.set_xlabel("cost, of embedding everything")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlim(-0.04, 1.04)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize=8)
    panels[0].set_ylabel("kept of searches (nDCG@10)")
    panels[0].set_ylim(0, 1.08)
    panels[0].annotate("embedding everything", (0.5, 1), (0.5, 1.02), ha="center", fontsize=8)
    figure.suptitle(
        "○ doing nothing   ● migrated   │ expected before (95 %)   ┄ between and beyond: refine", fontsize=9
    )
    figure.savefig(PICTURE, dpi=110)


def series(run: dict[str, Any]) -> str:
    """The corpus, and the new model where it is not the usual one."""
    return str(run["corpus"]) if run["new"] == NEW else f"{run['corpus']} → {run['new']}"


def draw(axes: Axes, runs: list[dict[str, Any]], label: str, number: int) -> None:
    """One corpus: doing nothing, every budget, and everything."""
    colour = f"C{number}"
    shift = 0.012 * number  # bars of corpora with the same budget would hide each other
    budgets = sorted({run["budget"] for run in runs})
    shares, kept = [], []
    for budget in budgets:
        own = [run for run in runs if run["budget"] == budget]
        low, high = (statistics.mean(run["expected"][end] for run in own) for end in (1, 2))
        shares.append(budget + shift)
        kept.append(statistics.mean(run["kept"] for run in own))
        axes.plot([budget + shift] * 2, [low, high], color=colour, linewidth=5, alpha=0.25, solid_capstyle="butt")
    nothing = statistics.mean(run["nothing"] for run in runs)
    axes.plot([shift], [nothing], "o", color=colour, fillstyle="none")
    axes.plot(shares, kept, "o-", color=colour, label=label)
    axes.plot([shares[-1], 1], [kept[-1], 1], linestyle=":", color=colour)


if __name__ == "__main__":
    main()
