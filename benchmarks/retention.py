"""What a projection keeps of retrieval: `python benchmarks/retention.py DATA_DIR --encoded ENCODED_DIR`.

What DATA_DIR and ENCODED_DIR hold stands in `corpora.py`. For every corpus, every ordered pair of its models, every
number K of calibration documents and every seed: K documents drawn at random are the pairs a projection is fitted to;
nDCG@10 by human judgements is then measured on all other documents (`held_out`) and on the whole collection (`all`;
`parents` counts the documents that chunks are part of), beside doing nothing and beside re-embedding everything. What
the gate expects, without judgements, is `predicted`. A contestant whose package is not installed is skipped, with a
line.

Appends to `results/retention.jsonl` as it goes and skips what stands there; `retention_report.py` makes tables and plot
of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from corpora import UPGRADE, Corpus, corpora
from fitting_methods import CONTESTANTS, Contestant, Pairs

from lightmigrate.quality.gate import gate

RESULTS = Path(__file__).parent / "results" / "retention.jsonl"
SIZES = {"cranfield": (300, 500, 1000)}
USUAL_SIZES = (500, 1000, 2000)
KEYS = ("corpus", "old", "new", "pairs", "seed", "method")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoded", type=Path, help="without it: no word vectors, no prediction of the gate")
    parser.add_argument("--corpus", help="only this one")
    parser.add_argument("--pairs", type=int, nargs="+", help="numbers of calibration documents")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--upgrades", action="store_true", help="only pairs whose new model searches better")
    parser.add_argument("--only", nargs="+", metavar="OLD:NEW", help="only these pairs of models")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to append to")
    options = parser.parse_args()
    done = {tuple(row[key] for key in KEYS) for row in map(json.loads, _lines(options.results)) if not _outdated(row)}
    for corpus in corpora(options.data, options.encoded, options.corpus):
        for row in measure_all(corpus, options, done):
            print(*row.values(), flush=True)
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")


def measure_all(corpus: Corpus, options: argparse.Namespace, done: set[Any]) -> Iterator[dict[str, Any]]:
    """One row for each pair of models, K, seed and method that is not in `done`."""
    sizes = options.pairs or SIZES.get(corpus.name, USUAL_SIZES)
    everything = np.arange(corpus.size)
    for size, (old, new), seed in itertools.product(
        sizes, itertools.permutations(corpus.models, 2), range(options.seeds)
    ):
        if options.only and f"{old}:{new}" not in options.only:
            continue
        fitted, held_out = corpus.split(size, seed)
        truth = corpus.documents[new]
        pairs = Pairs(
            corpus.documents[old][fitted],
            truth[fitted],
            [corpus.texts[row] for row in fitted],
            corpus.words(new),
            seed,
        )
        if options.upgrades and corpus.measure(old, new, truth, everything).nothing_retention.value >= UPGRADE:
            continue
        for method in options.methods:
            if (corpus.name, old, new, size, seed, method) in done:
                continue
            started = time.perf_counter()
            try:
                found = CONTESTANTS[method](pairs)
            except ImportError as error:
                print(f"{method} is skipped: {error}", flush=True)
                continue
            fitted_at = time.perf_counter()
            migrated = found.apply(corpus.documents[old], corpus.texts)
            applied_at = time.perf_counter()
            outside = corpus.measure(old, new, migrated, held_out)
            whole = corpus.measure(old, new, migrated, everything)
            yield {
                "corpus": corpus.name,
                "old": old,
                "new": new,
                "pairs": size,
                "seed": seed,
                "method": method,
                "chosen": found.chosen,
                "nothing": round(outside.nothing_retention.value, 4),
                "held_out": round(outside.retention.value, 4),
                "overlap": round(outside.overlap, 4),
                "nothing_all": round(whole.nothing_retention.value, 4),
                "all": round(whole.retention.value, 4),
                "overlap_all": round(whole.overlap, 4),
                "parents": round(corpus.measure_parents(new, migrated), 4),
                **predictions(corpus, new, fitted, found),
                "fit_seconds": round(fitted_at - started, 2),
                "vectors_per_second": round(corpus.size / (applied_at - fitted_at)),
                "bytes": size_of(found),
            }


def predictions(corpus: Corpus, new: str, fitted: Any, found: Contestant) -> dict[str, Any]:
    """What the gate says from the calibration pairs alone."""
    sentences = corpus.sentences(new)
    if sentences is None or found.held_out is None:
        return {}
    judged = partial(gate, true=corpus.documents[new][fitted], projected=found.held_out, collection_size=corpus.size)
    said = judged(queries=sentences[fitted], taken_from=range(len(fitted)))
    by_users = judged(queries=corpus.queries[new], taken_from=None)
    return {
        "predicted_overlap": round(said.migrated.overlap.value, 4),
        "predicted": round(said.expected_retention.value, 4),
        "verdict": said.verdict,
        "predicted_overlap_by_users": round(by_users.migrated.overlap.value, 4),
        "predicted_by_users": round(by_users.expected_retention.value, 4),
    }


def size_of(found: Contestant) -> int:
    """Bytes of the file it is saved in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.npz"
        found.save(path)
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def _outdated(row: dict[str, Any]) -> bool:
    """Measured by an earlier version of this script, which predicted less."""
    return "predicted" in row and "predicted_by_users" not in row


def _lines(results: Path) -> list[str]:
    return results.read_text().splitlines() if results.exists() else []


if __name__ == "__main__":
    main()
