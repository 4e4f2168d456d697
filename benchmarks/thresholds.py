"""Which evidence gives a threshold its new number: `python benchmarks/thresholds.py DATA_DIR [CORPUS ...]`.

What DATA_DIR holds stands in `corpora.py`. A collection is migrated by a lexical projection of 500 documents, which are
exact afterwards. Thresholds are the distances that let through 10, 25, 50, 75 and 90 % of the ten nearest documents of
one half of the users' queries in the old space; each is carried over by three kinds of evidence: none (the number stays
as it is), distances from 200 documents, as `migrate` measures them, and distances from the other half of the queries.
The error is the difference between the share that the threshold let through and the share that its new number lets
through, for the first half of the queries. Writes `results/thresholds.md`; some minutes.
"""

from __future__ import annotations

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from corpora import Corpus

from lightmigrate.estimators.fit import fit
from lightmigrate.migration.recall import QUERIES, Exact
from lightmigrate.scores.distances import Distances
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.scores.thresholds import corresponding
from lightmigrate.stores.base import Address
from lightmigrate.vectors import evenly

RESULT = Path(__file__).parent / "results" / "thresholds.md"
Vectors = npt.NDArray[np.float32]
PAIRS, SEED = 500, 0
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
EVIDENCE = ("unchanged", "documents", "queries")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("corpora", nargs="*", default=["scifact", "cranfield"])
    options = parser.parse_args()
    lines = [
        "# Thresholds: which evidence gives one its new number\n\n",
        f"By `benchmarks/thresholds.py`: cosine, lexical projection of {PAIRS} documents. Mean difference between the\n"
        "share of the ten nearest that a threshold of before let through and the share that its new number lets\n"
        "through, over five thresholds, for queries that were not measured with.\n\n",
        f"| corpus | upgrade | {' | '.join(EVIDENCE)} |\n|---|---|--:|--:|--:|\n",
    ]
    errors = []
    for name in options.corpora:
        corpus = Corpus(options.data / name)
        for old, new in permutations(corpus.models, 2):
            errors.append(measured(corpus, old, new))
            lines.append(row(name, f"{old} → {new}", errors[-1]))
            print(lines[-1], end="", flush=True)
    lines += [row("all", "mean", np.mean(errors, axis=0)), row("all", "worst", np.max(errors, axis=0))]
    RESULT.write_text("".join(lines))


def row(*cells: object) -> str:
    """A line of the table; the errors last."""
    *names, errors = cells
    return f"| {' | '.join(map(str, names))} | {' | '.join(f'{error:.2f}' for error in np.asarray(errors))} |\n"


def measured(corpus: Corpus, old: str, new: str) -> list[float]:
    """The error with each kind of evidence."""
    before, after = corpus.documents[old], corpus.documents[new]
    fitted, _ = corpus.split(PAIRS, SEED)
    texts = [corpus.texts[number] for number in fitted]
    projection = fit(before[fitted], after[fitted], texts, method="lexical", seed=SEED)
    now = projection.apply(before, corpus.texts)
    now[fitted] = after[fitted]
    judged, given = (slice(start, None, 2) for start in (0, 1))
    truth = (searched(corpus.queries[old][judged], before), searched(corpus.queries[new][judged], now))
    thresholds = [float(value) for value in np.quantile(truth[0].neighbours, SHARES)]
    sampled = evenly(len(before), QUERIES)
    moved = ScoreShift.of(Address("documents"), from_documents(before, sampled), from_documents(now, sampled))
    assert moved is not None
    by_documents = (moved.before, moved.now)
    by_queries = (searched(corpus.queries[old][given], before), searched(corpus.queries[new][given], now))
    carried = [
        thresholds,
        *([shift.now for shift in corresponding(thresholds, [pair])] for pair in (by_documents, by_queries)),
    ]
    shares = np.array([share(truth[0], threshold) for threshold in thresholds])
    return [float(np.mean(np.abs([share(truth[1], number) for number in numbers] - shares))) for numbers in carried]


def share(distances: Distances, threshold: float) -> float:
    """Of the ten nearest, that a threshold lets through."""
    return float(np.mean(distances.neighbours <= threshold))


def searched(queries: Vectors, vectors: Vectors) -> Distances:
    """The distances from queries of users."""
    exact = Exact(queries, "cosine")
    exact.add(vectors)
    distances = exact.distances_from_outside(vectors[evenly(len(vectors), 200)])
    assert distances is not None
    return distances


def from_documents(vectors: Vectors, rows: list[int]) -> Distances:
    """The distances from documents."""
    exact = Exact(vectors[rows], "cosine")
    exact.add(vectors)
    distances = exact.distances()
    assert distances is not None
    return distances


if __name__ == "__main__":
    main()
