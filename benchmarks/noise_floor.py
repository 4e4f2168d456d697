"""How near any estimate can come to what is measured: `python benchmarks/noise_floor.py`, after `growth.py`.

What a migration keeps is measured by a corpus's own queries, 225 to 300 of them. Other queries of the same users would
give another number. Somebody who knew what all queries keep would be off by that alone: `queries` is the standard
deviation of what is measured over queries drawn anew, `within .03` the share of draws within .03 of their mean. Who
plans does not know which documents will be drawn to calibrate on, either: `documents` is the standard deviation over
seeds, and the last share counts both (as normal). `needed` is how many queries of users would have to be judged for
four draws of five to be within .03.

Reads `results/growth.jsonl`, projections that read the texts. Writes `results/noise_floor.md`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from math import erf, hypot, sqrt
from typing import Any

from growth import FILE, NEAR, read

# Four of five draws from a normal distribution are within so many standard deviations.
FOUR_OF_FIVE = 1.2816
Run = dict[str, Any]


def main() -> None:
    """Write the table."""
    runs = [run for run in read() if run["reads_texts"]]
    FILE.with_name("noise_floor.md").write_text("\n".join(table(runs)) + "\n")


def table(runs: Sequence[Run]) -> Iterator[str]:
    """A line for each corpus and number of documents, as Markdown."""
    yield "# How near an estimate can come"
    yield (__doc__ or "").partition("\n")[2].strip()
    yield ""
    yield "| corpus | queries | documents | kept | queries: ± | within .03 | documents: ± | within .03, both | needed |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    alone, both = [], []
    for corpus in dict.fromkeys(run["corpus"] for run in runs):
        of_corpus = [run for run in runs if run["corpus"] == corpus]
        for documents in sorted({run["documents"] for run in of_corpus}):
            own = [run for run in of_corpus if run["documents"] == documents]
            by_seed = [
                statistics.mean(run["kept"] for run in own if run["seed"] == seed) for seed in {r["seed"] for r in own}
            ]
            spread = statistics.mean(run["spread"] for run in own)
            near = statistics.mean(run["near"] for run in own)
            alone.append(near)
            cells = [f"{own[0]['queries']}", f"{documents:,}", f"{statistics.mean(by_seed):.2f}", f"{spread:.3f}"]
            cells.append(f"{near:.0%}")
            if len(by_seed) > 1:
                drawn = statistics.stdev(by_seed)
                both.append(within(hypot(spread, drawn)))
                cells += [f"{drawn:.3f}", f"{both[-1]:.0%}"]
            else:
                cells += ["–", "–"]
            needed = own[0]["queries"] * (spread * FOUR_OF_FIVE / NEAR) ** 2
            yield f"| {corpus} | {' | '.join(cells)} | {needed:,.0f} |"
    yield f"| **all** | | | | | **{statistics.mean(alone):.0%}** | | **{statistics.mean(both):.0%}** | |"


def within(deviation: float) -> float:
    """The share of a normal distribution that is within .03 of its mean."""
    return erf(NEAR / (deviation * sqrt(2)))


if __name__ == "__main__":
    main()
