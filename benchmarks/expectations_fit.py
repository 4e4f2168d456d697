"""What the gate's constants are, and how far they are off on corpora that they were not fitted to.

Run `python benchmarks/expectations_fit.py CACHE_DIR` after `expectations.py`. It fits `quality/expectation.py`'s
`1 - s·(1 - d·found)^a·(1 - overlap)^b` to what was kept of the documents that were not calibrated on, by least absolute
differences in which every family of corpora weighs the same, and the half width of the 95 % interval,
`e·(1 - overlap)^p`, to what is left. With a share of the documents exact, `(1 - share)^q` of the loss is left: q is
fitted to the whole collection with 10, 30 and 50 % exact, and the interval to that, too. Reported is what each corpus
gets from constants that were fitted without it and without its relatives (all chunkings of SciFact are one family, all
languages of the help pages another); the constants for the package come from all of them together. Changes to a model
that finds less than the old one are left out: what is projected into its space is better than what it embeds. "Before"
is what the gate of the recording expected, by the package's constants, which were fitted to most of these corpora.

Writes `results/expectations.md` and, with matplotlib, `results/expectations.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from corpora import UPGRADE

from lightmigrate.quality.depth import gain_in_collection, to_collection_size
from lightmigrate.quality.expectation import Expectation
from lightmigrate.quality.gate import BY_SENTENCES, BY_USERS, FOUND_AMONG, LEAST_DOCUMENTS, K
from lightmigrate.quality.retention import LOSS_OF_OTHERS, QualityEstimate

Numbers = npt.NDArray[np.float64]

RESULTS = Path(__file__).parent / "results"
WEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
FOUND_POWERS, OVERLAP_POWERS = np.arange(0.2, 1.61, 0.2), np.arange(0.0, 4.01, 0.2)
ERROR_POWERS = (0.25, 0.5, 0.75, 1.0)
SHARE_POWERS = np.arange(0.3, 1.51, 0.05)
RESAMPLES = 200
NEAR = 0.03

# Other queries that `expectations.py` records.
OTHERS = {
    "sentences (the package)": "sentences",
    "six words in a row": "short",
    "three words in a row": "shorter",
    "four content words": "keywords",
}
NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Outcome:
    """What was kept with a share of the documents exact, and what the gate of the recording expected then."""

    share: float
    kept: float
    before: tuple[float, float, float]


@dataclass(frozen=True)
class Run:
    """What was seen and what was kept in one run, without exact documents first; see `expectations.py`."""

    facts: Mapping[str, Any]
    found: QualityEstimate
    overlap: QualityEstimate
    outcomes: Sequence[Outcome]

    @property
    def family(self) -> str:
        """The corpus with its relatives."""
        name = str(self.facts["corpus"]).split("-")[0]
        return {"pydoc": "python", "code": "python"}.get(name, name)

    @property
    def kept(self) -> float:
        """Of the documents that were not calibrated on."""
        return self.outcomes[0].kept


@dataclass(frozen=True)
class Compared:
    """What a run kept, and what constants that were fitted without its family expect."""

    run: Run
    outcome: Outcome
    said: QualityEstimate

    @property
    def off(self) -> float:
        """How much too much is expected."""
        return self.said.value - self.outcome.kept

    @property
    def held(self) -> bool:
        """Whether the interval holds what was kept."""
        return self.said.low <= self.outcome.kept <= self.said.high


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    cache = parser.parse_args().cache
    recorded = [json.loads(line) for line in (cache / "expectations.jsonl").read_text().splitlines()]
    lines = [line for line in recorded if line["nothing"] < UPGRADE]
    said = [(__doc__ or "").partition("\n")[2].strip(), ""]
    for name, searches, constants in (
        ("sentences", "sentences", BY_SENTENCES),
        ("queries of users", "users", BY_USERS),
    ):
        runs = [read(line, cache, searches) for line in lines]
        if searches == "sentences":
            said += [*report_shares(runs), ""]
        compared = left_out(runs)
        said += report(name, compared, fit(runs), constants)
        if searches == "sentences":
            plot(compared)
    said += report_others(lines, cache)
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
    found = certain(0.0)
    before = "expected_by_users"
    if searches != "users":
        before = "expected"
        among = max(n, min(size, FOUND_AMONG))
        gains = [
            gain_in_collection(ranks[f"{searches}_own_{side}"].astype(float), n, among)
            for side in ("projected", "true")
        ]
        drawn = gains[0][picks].mean(axis=1) / gains[1][picks].mean(axis=1)
        found_low, found_high = map(float, np.percentile(drawn, [2.5, 97.5]))
        found = QualityEstimate(float(gains[0].mean() / gains[1].mean()), found_low, found_high)
    outcomes = [
        Outcome(0.0, float(line["held_out"]), tuple(line[before])),
        *(Outcome(one["share"], one["kept"], tuple(one[before])) for one in line["exact"]),
    ]
    return Run(line, found, QualityEstimate(overlap_value, overlap_low, overlap_high), outcomes)


def fit(runs: Sequence[Run]) -> Expectation:
    """The constants for these runs; the errors are those of fits that leave each family out."""
    return with_errors(fit_curve(runs), list(without(runs)))


def without(runs: Sequence[Run]) -> Iterator[tuple[Run, Expectation]]:
    """Each run with the curve fitted without its family."""
    families = sorted({run.family for run in runs})
    curves = {family: fit_curve([run for run in runs if run.family != family]) for family in families}
    return ((run, curves[run.family]) for run in runs)


def fit_curve(runs: Sequence[Run]) -> Expectation:
    """Least absolute differences: weight and powers from a grid, the steepness as a weighted median."""
    found, overlap, lost = (
        np.array(values)
        for values in zip(
            *((min(1.0, run.found.value), 1 - run.overlap.value, 1 - run.kept) for run in runs), strict=True
        )
    )
    in_family = Counter(run.family for run in runs)
    weights = np.array([1 / in_family[run.family] for run in runs])
    known = bool(found.any())
    best = (np.inf, 0.0, 0.0, 0.0, 0.0)
    for d, a, b in product(WEIGHTS if known else (0.0,), FOUND_POWERS if known else (1.0,), OVERLAP_POWERS):
        x = np.maximum((1 - d * found) ** a * overlap**b, 1e-9)
        ratios, order = lost / x, np.argsort(lost / x)
        reached = np.cumsum((weights * x)[order])
        s = float(ratios[order[np.searchsorted(reached, reached[-1] / 2)]])
        best = min(best, (float(weights @ np.abs(np.minimum(1, s * x) - lost)), s, float(d), float(a), float(b)))
    return Expectation(*best[1:], 0.0, 1.0)


def fit_share_power(runs: Sequence[Run]) -> float:
    """The power of what is projected by which the loss falls, by least absolute differences."""
    losses = [
        (1 - run.kept, 1 - outcome.share, 1 - outcome.kept) for run in runs for outcome in run.outcomes if outcome.share
    ]
    alone, others, lost = np.array(losses).T
    return float(min(SHARE_POWERS, key=lambda power: float(np.abs(alone * others**power - lost).mean())))


def with_errors(curve: Expectation, left: Sequence[tuple[Run, Expectation]]) -> Expectation:
    """The narrowest errors that hold 95 % of what was kept, by expectations from constants of other corpora."""
    options = []
    for power in ERROR_POWERS:
        off, widths = np.array(
            [
                (abs(outcome.kept - said.when_exact(outcome.share).value), (said.high - said.low) / 2 * lost)
                for run, other in left
                for said in [
                    replace(other, error=1.0, error_power=power).estimate(alone(run.found), alone(run.overlap))
                ]
                for outcome in run.outcomes
                for lost in [(1 - outcome.share) ** LOSS_OF_OTHERS]
            ]
        ).T
        error = float(np.quantile(off / widths, 0.95))
        options.append((float(error * widths.mean()), error, power))
    _, error, power = min(options)
    return replace(curve, error=error, error_power=power)


def alone(one: QualityEstimate) -> QualityEstimate:
    """As if it were measured without an error."""
    return certain(one.value)


def certain(value: float) -> QualityEstimate:
    """What is known."""
    return QualityEstimate(value, value, value)


def left_out(runs: Sequence[Run]) -> list[Compared]:
    """What each run is expected to keep by constants that were fitted without its family."""
    families = sorted({run.family for run in runs})
    fitted = {family: fit([run for run in runs if run.family != family]) for family in families}
    return [
        Compared(run, outcome, fitted[run.family].estimate(run.found, run.overlap).when_exact(outcome.share))
        for run in runs
        for outcome in run.outcomes
    ]


def report_shares(runs: Sequence[Run]) -> list[str]:
    """How much of the loss is left when a share of the documents is exact, as Markdown."""
    families = sorted({run.family for run in runs})
    powers = {family: fit_share_power([run for run in runs if run.family != family]) for family in families}
    lines = [
        "## With exact documents",
        f"Fitted to all: q = {fit_share_power(runs):.2f}. In the package: {LOSS_OF_OTHERS:.2f}. From what was kept "
        "without exact documents, by the q of other corpora:",
        "",
        "| exact | runs | mean difference | mean absolute | within .03 | within .05 |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for share in sorted({outcome.share for run in runs for outcome in run.outcomes if outcome.share}):
        off = np.array(
            [
                1 - (1 - run.kept) * (1 - share) ** powers[run.family] - outcome.kept
                for run in runs
                for outcome in run.outcomes
                if outcome.share == share
            ]
        )
        lines.append(f"| {share:.0%} | {len(off)} | {off.mean():+.3f} | {_distances(off)} |")
    return lines


def report_others(lines: Sequence[Mapping[str, Any]], cache: Path) -> list[str]:
    """What else could be measured of the same runs, nothing exact, and how far that would be off, as Markdown."""
    users = [read(line, cache, "users") for line in lines]
    known = [
        replace(run, overlap=certain(float(line["held_out_overlap"]))) for run, line in zip(users, lines, strict=True)
    ]
    measured = {name: [read(line, cache, searches) for line in lines] for name, searches in OTHERS.items()} | {
        "queries of users (the package, where there are some)": users,
        "the same, if their overlap in the whole collection were known": known,
        "the same, and how many of them find what is the nearest to them": [
            replace(run, found=nearest_found(line, cache)) for run, line in zip(known, lines, strict=True)
        ],
    }
    return [
        "## What else could be measured",
        "From constants of other corpora, nothing exact. Families: mean and deviation of their mean absolute ones.",
        "",
        "| searches | runs | mean difference | mean absolute | within .03 | within .05 | families |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(
            _line_of_others(name, [one for one in left_out(runs) if not one.outcome.share])
            for name, runs in measured.items()
        ),
        "",
    ]


def nearest_found(line: Mapping[str, Any], cache: Path) -> QualityEstimate:
    """The gain of the document that is nearest to a query of a user in the new model's space, as if it were its own."""
    nearer = np.load(cache / f"{line['ranks']}.npz")["users_true_in_projected"][:, 0].astype(float)
    n = int(line["pairs"])
    among = max(n, min(int(line["documents"]), FOUND_AMONG))
    kept, possible = (gain_in_collection(ranks, n, among).mean() for ranks in (nearer, np.zeros(len(nearer))))
    return certain(float(kept / possible))


def _line_of_others(name: str, members: Sequence[Compared]) -> str:
    off = np.array([one.off for one in members])
    families = [
        float(np.abs([one.off for one in members if one.run.family == family]).mean())
        for family in sorted({one.run.family for one in members})
    ]
    return (
        f"| {name} | {len(off)} | {off.mean():+.3f} | {_distances(off)} | {statistics.mean(families):.3f} ± "
        f"{statistics.pstdev(families):.3f} |"
    )


def report(name: str, compared: Sequence[Compared], fitted: Expectation, used: Expectation) -> list[str]:
    """A section as Markdown."""

    def form(one: Expectation) -> str:
        return (
            f"s = {one.steepness:.2f}, d = {one.found_weight:.2f}, a = {one.found_power:.2f}, "
            f"b = {one.overlap_power:.2f}, e = {one.error:.2f}, p = {one.error_power:.2f}"
        )

    lines = [
        f"## By {name}",
        f"Fitted to all: {form(fitted)}. In the package: {form(used)}.",
        "",
        "| corpus | runs | mean difference | mean absolute | within .03 | within .05 | in the 95 % interval "
        "| its mean width | before: difference | absolute | in the interval | its width |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    return [*lines, *(_line(group, members) for group, members in groups(compared).items()), ""]


def groups(compared: Sequence[Compared]) -> dict[str, list[Compared]]:
    """Corpora and sizes without exact documents, the corner where nearly all is found, exact shares, and all."""
    found: dict[str, list[Compared]] = {}
    projected = [one for one in compared if not one.outcome.share]
    for one in projected:
        found.setdefault(str(one.run.facts["corpus"]), []).append(one)
    for one in sorted(projected, key=lambda one: int(one.run.facts["pairs"])):
        found.setdefault(f"all, {one.run.facts['pairs']} documents", []).append(one)
    if nearly := [one for one in projected if one.run.found.value >= NEARLY_ALL]:
        found[f"all that find ≥ {NEARLY_ALL:.0%} of their own"] = nearly
    found["**all, nothing exact**"] = projected
    for one in sorted(compared, key=lambda one: one.outcome.share):
        if one.outcome.share:
            found.setdefault(f"{one.outcome.share:.0%} exact", []).append(one)
    found["**all**"] = list(compared)
    return found


def _line(group: str, members: Sequence[Compared]) -> str:
    off = np.array([one.off for one in members])
    width = statistics.mean(one.said.high - one.said.low for one in members)
    before = [(one.outcome.before, one.outcome.kept) for one in members]
    before_off = np.array([value - kept for (value, _, _), kept in before])
    return (
        f"| {group} | {len(members)} | {off.mean():+.3f} | {_distances(off)} "
        f"| {np.mean([one.held for one in members]):.0%} | {width:.2f} | {before_off.mean():+.3f} "
        f"| {np.abs(before_off).mean():.3f} | {np.mean([low <= kept <= high for (_, low, high), kept in before]):.0%} "
        f"| {statistics.mean(high - low for (_, low, high), _ in before):.2f} |"
    )


def _distances(off: Numbers) -> str:
    return f"{np.abs(off).mean():.3f} | {np.mean(np.abs(off) <= NEAR):.0%} | {np.mean(np.abs(off) <= 0.05):.0%}"


def plot(compared: Sequence[Compared]) -> None:
    """Expected against kept, and how often intervals of a width hold what was kept."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for family in sorted({one.run.family for one in compared}):
        own = [one for one in compared if one.run.family == family]
        left.scatter([one.said.value for one in own], [one.outcome.kept for one in own], s=12, label=family, alpha=0.8)
    left.plot([0, 1.1], [0, 1.1], color="grey", linewidth=1)
    left.set(xlabel="expected, by constants of other corpora", ylabel="kept (nDCG@10, of embedding everything)")
    left.legend(fontsize=8)
    widths = np.array([one.said.high - one.said.low for one in compared])
    held = np.array([one.held for one in compared])
    order = np.array_split(np.argsort(widths), 6)
    right.plot([widths[rows].mean() for rows in order], [held[rows].mean() for rows in order], "o-")
    right.axhline(0.95, color="grey", linewidth=1)
    right.set(xlabel="width of the 95 % interval (sixths of the runs)", ylabel="share that holds what was kept")
    right.set_ylim(0, 1.03)
    figure.savefig(RESULTS / "expectations.png", dpi=110)


if __name__ == "__main__":
    main()
