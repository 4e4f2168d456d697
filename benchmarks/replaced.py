"""What searches find after all vectors of a Chroma collection were replaced: `python benchmarks/replaced.py DATA`.

Chunks as in `beside_loop.py`, with vectors of `static`; at first a weak projection of wordllama's stands for them,
learned on 800. All are replaced in pieces, in random order, as a refinement does; then the rows that searches miss by
their own vector are written again (`refinement/reachable.py`), in passes over all rows. After each: how many rows are
missed, and how many of the ten nearest of 200 queries (vectors of chunks, with noise) are found, beside a new index.
Writes `replaced.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from beside_loop import chunks
from start_models import MODELS

from lightmigrate.refinement import reachable
from lightmigrate.refinement.reachable import unreached, write_unreached
from lightmigrate.stores.base import Address, Collection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.vectors import METRICS, Metric, Vectors

SIZES = (2400, 16_000)
LEARNED, RIDGE, QUERIES, NOISE, NEAREST, PIECE, PAGE = 800, 0.3, 200, 0.02, 10, 256, 500

Row = tuple[str, int, float, float]


def projected(old: Vectors, new: Vectors) -> Vectors:
    """A projection of the old vectors, learned on a few."""
    mean = new.mean(axis=0)
    left = np.vstack([old[:LEARNED], RIDGE * np.eye(old.shape[1], dtype=np.float32)])
    right = np.vstack([new[:LEARNED] - mean, np.zeros((old.shape[1], new.shape[1]), np.float32)])
    rows = old @ np.linalg.lstsq(left, right, rcond=None)[0] + mean
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def measured(folder: Path, new: Vectors, before: Vectors, space: Metric) -> Iterator[Row]:
    """What was done, rows that are missed, the share of the nearest found, processor milliseconds for each row."""
    random = np.random.default_rng(0)
    ids = [f"d{row}" for row in range(len(new))]
    queries = new[random.choice(len(new), QUERIES, replace=False)]
    queries = queries + NOISE * random.standard_normal(queries.shape).astype(np.float32)
    nearest = [{ids[row] for row in rows} for rows in np.argsort(-(queries @ new.T), axis=1)[:, :NEAREST].tolist()]
    with open_client(folder) as client:

        def row(done: str, name: str, seconds: float) -> Row:
            collection: Collection = LiveChromaStore(client).collection(Address(name))
            missed = sum(len(unreached(collection, collection.records(page), space)) for page in _pages(ids))
            found = collection.nearest(queries, NEAREST)[0]
            share = sum(len(exact.intersection(row)) for exact, row in zip(nearest, found, strict=True))
            return done, missed, share / (NEAREST * QUERIES), 1000 * seconds / len(ids)

        def made(name: str, vectors: Vectors) -> Any:
            collection = client.create_collection(
                name, embedding_function=None, configuration={"hnsw": {"space": space}}
            )
            for start in range(0, len(ids), PAGE):
                collection.add(ids[start : start + PAGE], embeddings=vectors[start : start + PAGE])
            return collection

        yield row("a new index", "new", _processor(lambda: made("new", new)))
        replaced, order = made("replaced", before), random.permutation(len(ids))

        def replace() -> None:
            for start in range(0, len(ids), PIECE):
                part = order[start : start + PIECE]
                replaced.update([ids[number] for number in part], embeddings=new[part])

        yield row("all vectors replaced", "replaced", _processor(replace))
        reachable.PASSES = 1  # to look in between
        for number in range(3):
            collection: Collection = LiveChromaStore(client).collection(Address("replaced"))
            seconds = _processor(lambda: write_unreached(collection, lambda page: page.vectors))  # noqa: B023
            yield row(f"missed rows written again, pass {number + 1}", "replaced", seconds)


def _pages(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))


def _processor(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="What searches find after all vectors were replaced.")
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--spaces", nargs="+", choices=METRICS, default=("cosine", "l2"))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    texts = chunks(arguments.data, max(arguments.sizes))
    vectors = {name: np.asarray(MODELS[name]()(texts), np.float32) for name in ("wordllama", "static")}
    lines = [
        "# What searches find after all vectors were replaced",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
    ]
    lines += ["| rows | distance | | missed by their own vector | of the nearest found | processor ms a row |"]
    lines += ["|--:|---|---|--:|--:|--:|"]
    for size in arguments.sizes:
        new = vectors["static"][:size]
        before = projected(vectors["wordllama"][:size], new)
        for space in arguments.spaces:
            with tempfile.TemporaryDirectory() as folder:
                for done, missed, found, seconds in measured(Path(folder), new, before, space):
                    lines.append(f"| {size:,} | {space} | {done} | {missed:,} | {found:.3f} | {seconds:.2f} |")
                    print(lines[-1], flush=True)
    (arguments.results / "replaced.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
