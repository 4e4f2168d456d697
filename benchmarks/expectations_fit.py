"""What the gate's constants are, and how far they are off on corpora that they were not fitted to.

Run `python benchmarks/expectations_fit.py CACHE_DIR` after `expectations.py`. It fits `quality/expectation.py`'s
`1 - s·(1 - found)^a·(1 - overlap)^b` to what was kept of the documents that were not calibrated on, by least absolute
differences, and the half width of the 95 % interval, `e·(1 - expected)^p`, to what is left. Reported is what each
corpus gets from constants that were fitted without it and without its relatives (all chunkings of SciFact are one
family, all languages of the help pages another); the constants for the package come from all of them together.

Writes `results/expectations.md` and, with matplotlib, `results/expectations.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.quality.depth import gain_in_collection, to_collection_size
from lightmigrate.quality.expectation import Expectation
from lightmigrate.quality.gate import BY_SENTENCES, BY_USERS, FOUND_AMONG, LEAST_DOCUMENTS, K
from lightmigrate.quality.retention import QualityEstimate

Numbers = npt.NDArray[np.float64]

RESULTS = Path(__file__).parent / "results"
POWERS = np.arange(0.0, 4.01, 0.1)
ERROR_POWERS = (0.25, 0.5, 0.75, 1.0)
RESAMPLES = 200
NEAR = 0.03


@dataclass(frozen=True)
class Run:
    """What was seen and what was kept in one run; see `expectations.py`."""

    facts: Mapping[str, Any]
    found: QualityEstimate
    overlap: QualityEstimate

    @property
    def family(self) -> str:
        """The corpus with its relatives."""
        name = str(self.facts["corpus"]).split("-")[0]
        return {"pydoc": "python", "code": "python"}.get(name, name)

    @property
    def kept(self) -> float:
        """Of the documents that were not calibrated on."""
        return float(self.facts["held_out"])


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    cache = parser.parse_args().cache
    lines = [json.loads(line) for line in (cache / "expectations.jsonl").read_text().splitlines()]
    said = [(__doc__ or "").partition("\n")[2].strip(), ""]
    for name, searches, constants in (
        ("sentences", "sentences", BY_SENTENCES),
        ("queries of users", "users", BY_USERS),
    ):
        runs = [read(line, cache, searches) for line in lines]
        by_corpus = left_out(runs)
        fitted = fit(runs)
        said += report(name, runs, by_corpus, fitted, constants)
        if searches == "sentences":
            plot(runs, by_corpus)
    (RESULTS / "expectations.md").write_text("# Expectations that come true\n\n" + "\n".join(said).strip() + "\n")


def read(line: Mapping[str, Any], cache: Path, searches: str) -> Run:
    """The measurements of a run, as the gate computes them."""
    ranks = np.load(cache / f"{line['ranks']}.npz")
    n, size = int(line["pairs"]), int(line["documents"])
    k = min(K, max(1, n // LEAST_DOCUMENTS))
    rng = np.random.default_rng(0)
    shared = (ranks[f"{searches}_true_in_projected"][:, :k] < k).mean(axis=1)
    picks = rng.integers(0, len(shared), (RESAMPLES, len(shared)))
    low, high = np.percentile(shared[picks].mean(axis=1), [2.5, 97.5])
    ends = (to_collection_size(float(end), k / n, min(K / size, 0.5)) for end in (shared.mean(), low, high))
    overlap_value, overlap_low, overlap_high = ends
    found = QualityEstimate(0.0, 0.0, 0.0)
    if searches == "sentences":
        among = max(n, min(size, FOUND_AMONG))
        gains = [
            gain_in_collection(ranks[f"sentences_own_{side}"].astype(float), n, among) for side in ("projected", "true")
        ]
        drawn = gains[0][picks].mean(axis=1) / gains[1][picks].mean(axis=1)
        found_low, found_high = map(float, np.percentile(drawn, [2.5, 97.5]))
        found = QualityEstimate(float(gains[0].mean() / gains[1].mean()), found_low, found_high)
    return Run(line, found, QualityEstimate(overlap_value, overlap_low, overlap_high))


def fit(runs: Sequence[Run]) -> Expectation:
    """The constants for these runs; the errors are those of fits that leave each family out."""
    curve = fit_curve(runs)
    left = [(run, curve_without.retention(run.found.value, run.overlap.value)) for run, curve_without in without(runs)]
    return with_errors(curve, left)


def without(runs: Sequence[Run]) -> list[tuple[Run, Expectation]]:
    """Each run with the curve fitted without its family."""
    families = sorted({run.family for run in runs})
    curves = {family: fit_curve([run for run in runs if run.family != family]) for family in families}
    return [(run, curves[run.family]) for run in runs]


def fit_curve(runs: Sequence[Run]) -> Expectation:
    """Least absolute differences: both powers from a grid, the steepness as a weighted median."""
    found, overlap, lost = (
        np.array(values)
        for values in zip(
            *((max(0.0, 1 - run.found.value), 1 - run.overlap.value, 1 - run.kept) for run in runs), strict=True
        )
    )
    by_users = not any(run.found.value for run in runs)
    best = (np.inf, 0.0, 0.0, 0.0)
    for a, b in product(POWERS[:1] if by_users else POWERS[:21], POWERS):
        x = np.maximum(found**a * overlap**b, 1e-9)
        ratios, order = lost / x, np.argsort(lost / x)
        weights = np.cumsum(x[order])
        s = float(ratios[order[np.searchsorted(weights, weights[-1] / 2)]])
        best = min(best, (float(np.abs(np.minimum(1, s * x) - lost).mean()), s, float(a), float(b)))
    return Expectation(best[1], best[2], best[3], 0.0, 1.0)


def with_errors(curve: Expectation, left: Sequence[tuple[Run, float]]) -> Expectation:
    """The narrowest errors that hold 95 % of what was kept, by expectations from constants of other corpora."""
    options = []
    for power in ERROR_POWERS:
        scaled = np.array([abs(run.kept - said) / max(1 - said, 1e-3) ** power for run, said in left])
        error = float(np.quantile(scaled, 0.95))
        width = statistics.mean(error * (1 - said) ** power for _, said in left)
        options.append((width, error, power))
    _, error, power = min(options)
    return Expectation(curve.steepness, curve.found_power, curve.overlap_power, error, power)


def left_out(runs: Sequence[Run]) -> list[QualityEstimate]:
    """What each run is expected to keep by constants that were fitted without its family."""
    families = sorted({run.family for run in runs})
    fitted = {family: fit([run for run in runs if run.family != family]) for family in families}
    return [fitted[run.family].estimate(run.found, run.overlap) for run in runs]


def report(
    name: str, runs: Sequence[Run], said: Sequence[QualityEstimate], fitted: Expectation, used: Expectation
) -> list[str]:
    """A section as Markdown."""

    def form(one: Expectation) -> str:
        return (
            f"s = {one.steepness:.2f}, a = {one.found_power:.2f}, b = {one.overlap_power:.2f}, e = {one.error:.2f}, "
            f"p = {one.error_power:.2f}"
        )

    lines = [
        f"## By {name}",
        f"Fitted to all: {form(fitted)}. In the package: {form(used)}.",
        "",
        "| corpus | runs | mean difference | mean absolute | within .03 | within .05 | in the 95 % interval "
        "| its mean width |" + (" before: absolute | in the interval |" if name == "sentences" else ""),
        "|---|--:|--:|--:|--:|--:|--:|--:|" + ("--:|--:|" if name == "sentences" else ""),
    ]
    groups: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        groups.setdefault(str(run.facts["corpus"]), []).append(number)
    for pairs in sorted({int(run.facts["pairs"]) for run in runs}):
        key = f"all, {pairs} documents"
        groups[key] = [number for number, run in enumerate(runs) if run.facts["pairs"] == pairs]
    groups["**all**"] = list(range(len(runs)))
    for group, numbers in groups.items():
        off = np.array([said[number].value - runs[number].kept for number in numbers])
        held = [said[number].low <= runs[number].kept <= said[number].high for number in numbers]
        width = statistics.mean(said[number].high - said[number].low for number in numbers)
        line = (
            f"| {group} | {len(numbers)} | {off.mean():+.3f} | {np.abs(off).mean():.3f} "
            f"| {np.mean(np.abs(off) <= NEAR):.0%} | {np.mean(np.abs(off) <= 0.05):.0%} | {np.mean(held):.0%} "
            f"| {width:.2f} |"
        )
        if name == "sentences":
            before = [(runs[number].facts["expected"], runs[number].kept) for number in numbers]
            absolute = statistics.mean(abs(expected[0] - kept) for expected, kept in before)
            line += f" {absolute:.3f} | {np.mean([low <= kept <= high for (_, low, high), kept in before]):.0%} |"
        lines.append(line)
    return [*lines, ""]


def plot(runs: Sequence[Run], said: Sequence[QualityEstimate]) -> None:
    """Expected against kept, and how often intervals of a width hold what was kept."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for family in sorted({run.family for run in runs}):
        numbers = [number for number, run in enumerate(runs) if run.family == family]
        left.scatter([said[n].value for n in numbers], [runs[n].kept for n in numbers], s=12, label=family, alpha=0.8)
    left.plot([0, 1.1], [0, 1.1], color="grey", linewidth=1)
    left.set(xlabel="expected, by constants of other corpora", ylabel="kept (nDCG@10, of embedding everything)")
    left.legend(fontsize=8)
    widths = np.array([one.high - one.low for one in said])
    held = np.array([one.low <= run.kept <= one.high for one, run in zip(said, runs, strict=True)])
    order = np.array_split(np.argsort(widths), 6)
    right.plot([widths[rows].mean() for rows in order], [held[rows].mean() for rows in order], "o-")
    right.axhline(0.95, color="grey", linewidth=1)
    right.set(xlabel="width of the 95 % interval (sixths of the runs)", ylabel="share that holds what was kept")
    right.set_ylim(0, 1.03)
    figure.savefig(RESULTS / "expectations.png", dpi=110)


if __name__ == "__main__":
    main()
