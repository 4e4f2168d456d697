"""What searches find after all vectors of a Chroma collection were replaced: `python benchmarks/replaced.py DATA`.

Chunks as in `beside_loop.py`, with vectors of `static` or another model of `start_models.py`; at first a weak
projection of wordllama's stands for them, learned on 800, in a new index or in the graph that wordllama's vectors had.
All are replaced in pieces, in random order, as a refinement does; then all, some or none are written once more, and
those that searches miss by their own vector again (`refinement/reachable.py`). After each: how many rows
are missed, and how many of the ten nearest are found, beside a new index: of 200 queries that are like the chunks
(their vectors, with noise), and of 300 that people asked (`*/queries.jsonl`), also about what is in no chunk. Writes
`replaced.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from beside_loop import chunks, some_queries
from start_models import MODELS

from lightmigrate import CollectionJob, Migrator
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.refinement import reachable
from lightmigrate.refinement.reachable import unreached, write_unreached
from lightmigrate.stores.base import Address, Collection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.stores.files import IndexRoute
from lightmigrate.vectors import METRICS, Metric, Vectors

NAME, SIZES = "docs", (2400, 16_000)
LEARNED, RIDGE, QUERIES, NOISE, NEAREST, PIECE, PAGE = 800, 0.3, 200, 0.02, 10, 256, 500

# What is written again before the missed ones, as a share of all rows.
BEFORE = {"none": 0.0, "a quarter": 0.25, "half": 0.5, "all": 1.0}

Row = tuple[str, int, float, float, float]


def projection(old: Vectors, new: Vectors) -> Projection:
    """From the old vectors, learned on a few."""
    mean = new.mean(axis=0)
    left = np.vstack([old[:LEARNED], RIDGE * np.eye(old.shape[1], dtype=np.float32)])
    right = np.vstack([new[:LEARNED] - mean, np.zeros((old.shape[1], new.shape[1]), np.float32)])
    weights = np.linalg.lstsq(left, right, rcond=None)[0]
    models = Model("wordllama", old.shape[1]), Model("static", new.shape[1])
    return Projection.affine(weights, mean, source=models[0], target=models[1])


class Measured:
    """What searches find of the new vectors in a collection whose vectors are replaced.

    Args:
        new: the vectors, unit, `(n, d)`.
        asked: those of people's queries, unit, `(q, d)`.
        space: the distance.
    """

    def __init__(self, new: Vectors, asked: Vectors, space: Metric) -> None:
        random = np.random.default_rng(0)
        self.ids = [f"d{row}" for row in range(len(new))]
        self._new, self._space, self._order = new, space, random.permutation(len(new))
        noise = NOISE * random.standard_normal((QUERIES, new.shape[1])).astype(np.float32)
        like_chunks = new[random.choice(len(new), QUERIES, replace=False)] + noise
        self._queries = [(queries, self._nearest(queries)) for queries in (like_chunks, asked)]

    def _nearest(self, queries: Vectors) -> list[set[str]]:
        first = np.argsort(-(queries @ self._new.T), axis=1)[:, :NEAREST].tolist()
        return [{self.ids[row] for row in rows} for rows in first]

    def make(self, client: Any, vectors: Vectors) -> None:
        """A new collection of these vectors."""
        collection = client.create_collection(
            NAME, embedding_function=None, configuration={"hnsw": {"space": self._space}}
        )
        for start in range(0, len(self.ids), PAGE):
            part = self.ids[start : start + PAGE]
            collection.add(part, embeddings=vectors[start : start + PAGE], documents=part)

    def new_index(self, folder: Path) -> Iterator[Row]:
        """Of an index that is built of the new vectors."""
        with open_client(folder) as client:
            seconds = _processor(lambda: self.make(client, self._new))
            yield self._row(client, "a new index", seconds)

    def replaced(self, folder: Path, how: str) -> Iterator[Row]:
        """Of one whose vectors are replaced, and the missed ones written again."""
        with open_client(folder) as client:

            def replace() -> None:
                collection = client.get_collection(NAME, embedding_function=None)
                for start in range(0, len(self.ids), PIECE):
                    part = self._order[start : start + PIECE]
                    collection.update([self.ids[number] for number in part], embeddings=self._new[part])

            yield self._row(client, f"{how}: all vectors replaced", _processor(replace))
        for before, share in BEFORE.items():  # each from the same beginning
            with tempfile.TemporaryDirectory(dir=folder.parent) as again:
                other = shutil.copytree(folder, Path(again) / "db")
                with open_client(other) as client:
                    collection = self._collection(client)
                    rows = np.resize(self._order, int(share * len(self._order)))

                    def write(collection: Collection = collection, rows: Any = rows) -> None:
                        for start in range(0, len(rows), PIECE):
                            part = rows[start : start + PIECE]
                            collection.replace_vectors([self.ids[number] for number in part], self._new[part])
                        write_unreached(collection, lambda page: page.vectors)

                    seconds = _processor(write)
                    yield self._row(client, f"{how}: {before} written again, then missed ones", seconds)

    def _collection(self, client: Any) -> Collection:
        return LiveChromaStore(client).collection(Address(NAME))

    def _row(self, client: Any, done: str, seconds: float) -> Row:
        collection = self._collection(client)
        pages = (self.ids[start : start + PAGE] for start in range(0, len(self.ids), PAGE))
        missed = sum(len(unreached(collection, collection.records(page), self._space)) for page in pages)
        like_chunks, asked = (self._found(collection, *queries) for queries in self._queries)
        return done, missed, like_chunks, asked, 1000 * seconds / len(self.ids)

    def _found(self, collection: Collection, queries: Vectors, nearest: list[set[str]]) -> float:
        found = collection.nearest(queries, NEAREST)[0]
        share = sum(len(exact.intersection(row)) for exact, row in zip(nearest, found, strict=True))
        return share / (NEAREST * len(queries))


def measured(folder: Path, old: Vectors, new: Vectors, asked: Vectors, space: Metric) -> Iterator[Row]:
    """What was done, rows that are missed, both shares of the nearest found, processor milliseconds for each row."""
    of = Measured(new, asked, space)
    yield from of.new_index(folder / "new")
    with open_client(folder / "old") as client:
        of.make(client, old)
    for how, index in (("projected into a new index", "rebuild"), ("into the graph of the old one", "keep")):
        shutil.copytree(folder / "old", folder / index / "db")
        job = CollectionJob(NAME, projection(old, new), soon_exact=True)
        Migrator(folder / index / "db").migrate([job], index=cast("IndexRoute", index))
        yield from of.replaced(folder / index / "db", how)


def _processor(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="What searches find after all vectors were replaced.")
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--spaces", nargs="+", choices=METRICS, default=("cosine",))
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=("static", "minilm"))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    reachable.LOOSENED = 1.0  # what it would choose itself is measured, too
    texts = chunks(arguments.data, max(arguments.sizes))
    old = np.asarray(MODELS["wordllama"]()(texts), np.float32)
    lines = [
        "# What searches find after all vectors were replaced",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
    ]
    lines += [
        "| model | rows | distance | | missed by own vector | found, like chunks | people's | processor ms a row |",
        "|---|--:|---|---|--:|--:|--:|--:|",
    ]
    for name in arguments.models:
        model = MODELS[name]()
        new, asked = (np.asarray(model(some), np.float32) for some in (texts, some_queries(arguments.data)))
        for size, space in itertools.product(arguments.sizes, arguments.spaces):
            with tempfile.TemporaryDirectory() as folder:
                for done, missed, like, people, seconds in measured(Path(folder), old[:size], new[:size], asked, space):
                    shares = f"{like:.3f} | {people:.3f}"
                    lines.append(f"| {name} | {size:,} | {space} | {done} | {missed:,} | {shares} | {seconds:.2f} |")
                    print(lines[-1], flush=True)
            (arguments.results / "replaced.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
