"""Tables and a plot of `results/dial.jsonl`: `python benchmarks/dial_report.py` writes `dial.md` and `dial.png`."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora import UPGRADE

from lightmigrate.quality.gate import BY_SENTENCES_WITH_EXTRACTS

RESULTS = Path(__file__).parent / "results"
PAIR = ("corpus", "old", "new")
# The changes of models that `BY_SENTENCES_WITH_EXTRACTS` was read off.
READ_OFF = (("potion-8m", "minilm-l6"), ("use-multi", "minilm-l6"))
Runs = Sequence[Mapping[str, Any]]


def main() -> None:
    """Write both."""
    runs = read()
    (RESULTS / "dial.md").write_text(report(runs), encoding="utf-8")
    plot(runs)


def read() -> list[dict[str, Any]]:
    """All that was measured."""
    return [json.loads(line) for line in (RESULTS / "dial.jsonl").read_text().splitlines()]


def grouped(runs: Iterable[Mapping[str, Any]], *names: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Runs that share these facts, sorted by them."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        found[tuple(run.get(name) for name in names)].append(run)
    return dict(sorted(found.items(), key=lambda item: tuple((one is not None, one) for one in item[0])))


def spread(runs: Runs, name: str, places: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    values = [run[name] for run in runs if run[name] is not None]
    if not values:
        return "–"
    mean, deviation = statistics.mean(values), statistics.pstdev(values)
    return f"{mean:.{places}f}" + (f" ± {deviation:.{places}f}" if len(values) > 1 else "")


def budget_table(runs: Runs) -> str:
    """What the plan chose for a budget, beside what else the same tokens buy."""
    head = ["old → new", "budget", "kept", "expected", "ridge + random", "extracts alone", "doing nothing", "seeds"]
    lines = [f"| {' | '.join(head)} |", f"|---{'|--:' * (len(head) - 1)}|"]
    for (corpus, old, new, budget), own in grouped([r for r in runs if r["kind"] == "budget"], *PAIR, "budget").items():
        measured = (spread(own, name) for name in ("kept", "expected", "ridge", "short", "nothing"))
        lines.append(f"| {corpus}: {old} → {new} | {budget:.0%} | {' | '.join(measured)} | {len(own)} |")
    return "\n".join(lines) + "\n"


def upgrades_table(runs: Runs) -> str:
    """The same in short: pairs whose new model searches better, what was kept and the best of the three others."""
    budgets = sorted({run["budget"] for run in runs if run["kind"] == "budget"})
    head = ["upgrade", "doing nothing", *(f"{budget:.0%} of the tokens" for budget in budgets), "seeds"]
    lines = [f"| {' | '.join(head)} |", f"|---{'|--:' * (len(head) - 1)}|"]
    for (corpus, old, new), own in grouped([run for run in runs if run["kind"] == "budget"], *PAIR).items():
        nothing = statistics.mean(run["nothing"] for run in own)
        if nothing < UPGRADE:
            cells, seeds = [], 0
            for budget in budgets:
                here = [run for run in own if run["budget"] == budget]
                others = (statistics.mean(run[name] for run in here) for name in ("ridge", "short", "nothing"))
                cells.append(f"**{spread(here, 'kept', 2)}** ({max(others):.2f})")
                seeds = len(here)
            lines.append(f"| {corpus}: {old} → {new} | {nothing:.2f} | {' | '.join(cells)} | {seeds} |")
    return "\n".join(lines) + "\n"


def length_table(runs: Runs) -> str:
    """One calibration, every length of the extracts."""
    head = ["old → new", "words of an extract", "cost", "cost as of 100,000 documents", "kept", "expected", "seeds"]
    lines = [f"| {' | '.join(head)} |", f"|---{'|--:' * (len(head) - 1)}|"]
    found = grouped([run for run in runs if run["kind"] == "length"], *PAIR, "first_words")
    for (corpus, old, new, words), own in found.items():
        said = "vectors only" if words is None else "texts, none" if not words else str(words)
        cells = (spread(own, name) for name in ("kept", "expected"))
        costs = [f"{statistics.mean(run[name] for run in own):.1%}" for name in ("cost", "cost_as_if")]
        lines.append(f"| {corpus}: {old} → {new} | {said} | {' | '.join(costs)} | {' | '.join(cells)} | {len(own)} |")
    return "\n".join(lines) + "\n"


def mixed_table(runs: Runs) -> str:
    """Some rows exact, the rest projected."""
    shares = sorted({run["share"] for run in runs if run["kind"] == "mixed"})
    if not shares:
        return "Not measured yet.\n"
    lines = [
        f"| old → new | {' | '.join(f'{share:.0%} more exact' for share in shares)} |",
        f"|---{'|--:' * len(shares)}|",
    ]
    for (corpus, old, new), own in grouped([run for run in runs if run["kind"] == "mixed"], *PAIR).items():
        cells = (spread([run for run in own if run["share"] == share], "kept") for share in shares)
        lines.append(f"| {corpus}: {old} → {new} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def error_table(runs: Runs) -> str:
    """How far off the plan's expectation is, over all budgets and seeds."""
    lines = ["| old → new | off, mean | too high by, mean | within .03 |", "|---|--:|--:|--:|"]
    for (corpus, old, new), own in grouped([run for run in runs if run["kind"] == "budget"], *PAIR).items():
        signed = [run["expected"] - run["kept"] for run in own]
        errors = [abs(error) for error in signed]
        lines.append(
            f"| {corpus}: {old} → {new} | {statistics.mean(errors):.3f} | {statistics.mean(signed):+.3f} "
            f"| {sum(error <= 0.03 for error in errors)} of {len(errors)} |"
        )
    return "\n".join(lines) + "\n"


def constants_line(runs: Runs) -> str:
    """What each corpus alone says the steepness of the gate's curve should be, by least squares."""
    said = []
    for (corpus,), own in grouped([run for run in runs if (run["old"], run["new"]) in READ_OFF], "corpus").items():
        missing = [
            ((1 - run["expected"]) / BY_SENTENCES_WITH_EXTRACTS.steepness, 1 - run["kept"])
            for run in own
            if run["kind"] == "budget"
        ]
        steepness = sum(x * y for x, y in missing) / sum(x * x for x, _ in missing)
        said.append(f"{steepness:.2f} by {corpus} alone")
    return f"{BY_SENTENCES_WITH_EXTRACTS.steepness:.2f} is used; it would be {' and '.join(said)}."


def report(runs: Runs) -> str:
    """The page."""
    return f"""# The dial

nDCG@10 of the whole collection by human judgements, as a share of what embedding everything again gives; mean and
standard deviation over seeds. Made by `benchmarks/dial.py`, which says what is counted.

![Kept against the share of tokens](dial.png)

## What a budget buys
Everything counted: calibration documents, sentences, single words, extracts that were tried.

{budget_table(runs)}
## What the plan expected
Expected minus kept, over all budgets and seeds. One constant, for sentences as queries, was fitted to the upgrades
to MiniLM of both corpora; nothing else was. {constants_line(runs)} Where a projection searches better than its target
model, more is kept than an expectation from that model's vectors can show.

{error_table(runs)}

## Extracts
One calibration of 500 documents and the frequent words. The calibration documents are exact and part of what is kept;
in a collection of 100,000 their share would be smaller.

{length_table(runs)}
## Exact rows among projected rows
The calibration above with the length of which most was expected, and more documents embedded whole, at random.

{mixed_table(runs)}"""


def plot(runs: Runs) -> None:
    """Kept against cost, a panel for each pair."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pairs = grouped(runs, *PAIR)
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(4.6 * columns, 3.6 * rows), squeeze=False, sharey=True)
    for panel, ((corpus, old, new), own) in zip(panels.flat, pairs.items(), strict=False):
        budgets = grouped([run for run in own if run["kind"] == "budget"], "budget")
        costs = [100 * key[0] for key in budgets]
        for name, label, style in (
            ("kept", "lightmigrate plan --budget", "o-C0"),
            ("short", "extracts alone", "s--C1"),
            ("ridge", "ridge + random documents", "^--C2"),
        ):
            panel.plot(
                costs, [statistics.mean(run[name] for run in one) for one in budgets.values()], style, label=label
            )
        lengths = grouped(
            [run for run in own if run["kind"] == "length" and run["first_words"] is not None], "first_words"
        )
        panel.plot(
            [100 * statistics.mean(run["cost_as_if"] for run in one) for one in lengths.values()],
            [statistics.mean(run["kept"] for run in one) for one in lengths.values()],
            "D:C3",
            label="as of 100,000 documents",
        )
        panel.axhline(statistics.mean(run["nothing"] for run in own), color="grey", lw=1, label="doing nothing")
        panel.set_title(f"{corpus}: {old} → {new}", fontsize=9)
        panel.set_xlim(0, 55)
        panel.set_ylim(0.42, 1.2)
        panel.grid(alpha=0.3)
    for panel in list(panels.flat)[len(pairs) :]:
        panel.axis("off")
    for panel in panels[-1]:
        panel.set_xlabel("% of all tokens read by the new model")
    panels[0][0].set_ylabel("share of re-embedding's nDCG@10")
    panels[0][0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(RESULTS / "dial.png", dpi=110)


if __name__ == "__main__":
    main()
