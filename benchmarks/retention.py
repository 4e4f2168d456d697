"""What a projection keeps of retrieval: `python benchmarks/retention.py DATA_DIR`.

DATA_DIR holds folders with `docs.jsonl`, `queries.jsonl`, `qrels.jsonl` and for each model `MODEL/docs.npy`
and `MODEL/queries.npy` (row i belongs to line i, any float dtype). For every dataset, every ordered pair of
its models, every number K of calibration documents and every seed: K documents drawn at random are the
pairs the projection is fitted to; nDCG@10 by human judgements is then measured on all other documents
(`held-out`) and on the whole collection (`all`), beside doing nothing and beside re-embedding everything.

Writes `results/retention.json` and `results/retention.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import lightmigrate
from lightmigrate.estimators.methods import Method
from lightmigrate.quality.retention import Retention

Vectors = npt.NDArray[np.float32]
METHODS: tuple[Method, ...] = ("procrustes", "low_rank", "ridge", "kernel", "lexical", "auto")
RESULTS = Path(__file__).parent / "results"


class Dataset:
    """One corpus with its judgements and its vectors by several models."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        lines = read_lines(folder / "docs.jsonl")
        self.texts: list[str] = [line["text"] for line in lines]
        documents = {line["id"]: row for row, line in enumerate(lines)}
        queries = {line["id"]: row for row, line in enumerate(read_lines(folder / "queries.jsonl"))}
        self.relevant: list[dict[int, float]] = [{} for _ in queries]
        for line in read_lines(folder / "qrels.jsonl"):
            if line["rel"] > 0:
                self.relevant[queries[line["query_id"]]][documents[line["doc_id"]]] = line["rel"]
        self.models = sorted(path.parent.name for path in folder.glob("*/docs.npy"))
        self.documents = {name: load(folder / name / "docs.npy") for name in self.models}
        self.queries = {name: load(folder / name / "queries.npy") for name in self.models}
        self.size = len(documents)

    def measure(self, old: str, new: str, migrated: Vectors, rows: npt.NDArray[np.int64]) -> Retention:
        """Retention among the documents in `rows`; `migrated` holds all documents."""
        place = {int(row): index for index, row in enumerate(rows)}
        return lightmigrate.measure_retention(
            old_queries=self.queries[old],
            new_queries=self.queries[new],
            old_documents=self.documents[old][rows],
            new_documents=self.documents[new][rows],
            migrated_documents=migrated[rows],
            relevant=[{place[row]: g for row, g in grades.items() if row in place} for grades in self.relevant],
            resamples=1,  # the spread reported here is over seeds
        )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, nargs="+", default=[500, 1000, 2000], help="calibration documents")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    options = parser.parse_args()
    rows = []
    for folder in sorted(path.parent for path in options.data.glob("*/qrels.jsonl")):
        for row in measure_all(Dataset(folder), options):
            print(*row.values(), flush=True)
            rows.append(row)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "retention.json").write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "retention.md").write_text(as_markdown(rows))


def measure_all(dataset: Dataset, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row for each pair of models, K, seed and method."""
    for old, new in itertools.permutations(dataset.models, 2):
        for size, seed in itertools.product(options.pairs, range(options.seeds)):
            if size > dataset.size * 3 // 4:  # too few documents left to measure on
                continue
            shuffled = np.random.default_rng(seed).permutation(dataset.size)
            fitted, held_out = shuffled[:size], np.sort(shuffled[size:])
            for method in options.methods:
                started = time.perf_counter()
                projection = lightmigrate.fit(
                    dataset.documents[old][fitted],
                    dataset.documents[new][fitted],
                    [dataset.texts[row] for row in fitted],
                    method=method,
                    seed=seed,
                )
                fitted_at = time.perf_counter()
                migrated = projection.apply(dataset.documents[old], dataset.texts)
                applied_at = time.perf_counter()
                outside = dataset.measure(old, new, migrated, held_out)
                whole = dataset.measure(old, new, migrated, np.arange(dataset.size))
                yield {
                    "dataset": dataset.name,
                    "old": old,
                    "new": new,
                    "pairs": size,
                    "seed": seed,
                    "method": method,
                    "chosen": projection.info.training["method"],
                    "nothing": round(outside.nothing_retention.value, 4),
                    "held_out": round(outside.retention.value, 4),
                    "overlap": round(outside.overlap, 4),
                    "nothing_all": round(whole.nothing_retention.value, 4),
                    "all": round(whole.retention.value, 4),
                    "fit_seconds": round(fitted_at - started, 2),
                    "vectors_per_second": round(dataset.size / (applied_at - fitted_at)),
                }


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Means over seeds, with the standard deviation of the held-out retention."""
    lines = [
        "Retention: nDCG@10 of the new model's queries on migrated documents, as a share of the same on documents",
        "really embedded by the new model. `nothing` is what keeping the old model gives, on the same scale.",
        f"Means over {len({row['seed'] for row in rows})} seeds ± standard deviation.",
        "",
        "| dataset | old → new | K | method | held-out: nothing | migrated | overlap@10 | all: nothing | migrated |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = ("dataset", "old", "new", "pairs", "method")
    for key, group in itertools.groupby(sorted(rows, key=itemgetter(*keys)), key=itemgetter(*keys)):
        runs = list(group)
        mean = {
            name: statistics.mean(r[name] for r in runs)
            for name in ("nothing", "held_out", "overlap", "nothing_all", "all")
        }
        spread = statistics.pstdev(run["held_out"] for run in runs)
        dataset, old, new, size, method = key
        lines.append(
            f"| {dataset} | {old} → {new} | {size} | {method} | {mean['nothing']:.3f} "
            f"| {mean['held_out']:.3f} ± {spread:.3f} | {mean['overlap']:.3f} "
            f"| {mean['nothing_all']:.3f} | {mean['all']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def load(path: Path) -> Vectors:
    """Vectors as float32."""
    vectors: Vectors = np.load(path, allow_pickle=False).astype(np.float32)
    return vectors


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
