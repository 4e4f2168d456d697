"""What a start that changes the model takes beside the model and Chroma: `python benchmarks/hook.py [RECORDS ...]`.

Each size is a Chroma folder of that many different passages of about sixty words (windows of the demo's abstracts) with
wordllama's vectors (256 dimensions). The application starts with another static model: the token vectors of
all-MiniLM-L6-v2 (384 dimensions), averaged, so that the model's own work is small. A start runs in a process of its
own, with an empty cache and a registry without projections.

Seconds are the processor's. Every moment of the start counts once: for the model while it embeds, else for Chroma while
it writes, reads, opens or closes, else for the innermost step of lightmigrate that runs. Prints a table, and writes
`hook.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from start_models import StaticMiniLM

from lightmigrate import auto_migrate
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.chroma.client import open_client
from tests.encoders import WordLlama

HEADING = """# What a start takes beside the model and Chroma

`python benchmarks/hook.py --results benchmarks/results`: a start that changes the model of one collection, with the
hook's defaults, with `OPENBLAS_NUM_THREADS=1`. Seconds of the processor on two shared cores.

"""
SIZES = (1000, 4000, 16_000)
WORDS = 60
PAGE = 2000

# What is not lightmigrate's own, and counts first, in this order.
MODEL, WRITES, OPENS, READS = "the model", "Chroma writes", "Chroma opens and closes", "Chroma reads"
OUTSIDE = (MODEL, WRITES, OPENS, READS)
# The calls that are timed: what they are, their module, and the function or method, where it is looked up.
CALLS = (
    (WRITES, "chromadb.api.models.Collection", "Collection.add"),
    (WRITES, "chromadb.api.models.Collection", "Collection.upsert"),
    (WRITES, "chromadb.api.models.Collection", "Collection.update"),
    (WRITES, "chromadb.api.models.Collection", "Collection.delete"),
    (READS, "chromadb.api.models.Collection", "Collection.get"),
    (READS, "chromadb.api.models.Collection", "Collection.query"),
    (READS, "chromadb.api.models.Collection", "Collection.count"),
    ("copy the folder", "lightmigrate.migration.aside.build", "copy_database"),
    (OPENS, "lightmigrate.stores.chroma.exclusive", "open_client"),
    (OPENS, "lightmigrate.stores.chroma.exclusive", "ChromaFolderStore.close"),
    ("which texts were embedded", "lightmigrate.startup.decide", "startup_texts"),
    ("which model made the vectors", "lightmigrate.startup.decide", "by_measuring"),
    ("learn a projection", "lightmigrate.startup.projection_source", "ProjectionSource.find"),
    ("record the rows", "lightmigrate.budget.recorded", "_recorded"),
    ("record the rows", "lightmigrate.budget.recorded", "keep_beside"),
    ("draft the new vectors", "lightmigrate.migration.aside.draft", "Draft.write"),
    ("true neighbours", "lightmigrate.migration.aside.draft", "Draft.exact"),
    ("write the index", "lightmigrate.stores.chroma.replacement", "ChromaReplacement.put"),
    ("measure the index", "lightmigrate.migration.recall", "Exact.recall"),
    ("verify", "lightmigrate.migration.aside.build", "Build._verify"),
    ("sign and exchange", "lightmigrate.migration.aside.migration", "sign_new"),
    ("sign and exchange", "lightmigrate.migration.aside.migration", "sync_tree"),
    ("sign and exchange", "lightmigrate.migration.aside.migration", "AsideMigration._cut_over"),
)


class Clock:
    """What each moment was spent on: one label at a time, whatever several threads do."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._active: list[str] = []
        self._lock = threading.Lock()
        self._last = time.process_time()

    def _count(self) -> None:
        now = time.process_time()
        outside = [label for label in OUTSIDE if label in self._active]
        label = outside[0] if outside else self._active[-1] if self._active else "the rest"
        self.seconds[label] += now - self._last
        self._last = now

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed under a label."""

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            with self._lock:
                self._count()
                self._active.append(label)
            try:
                return function(*given, **named)
            finally:
                with self._lock:
                    self._count()
                    del self._active[len(self._active) - 1 - self._active[::-1].index(label)]

        return call

    def start(self) -> None:
        """Time all calls from now on."""
        for label, module, name in (*CALLS, (MODEL, "start_models", "StaticMiniLM.__call__")):
            *parents, last = name.split(".")
            owner: Any = functools.reduce(getattr, parents, importlib.import_module(module))
            plain = owner.__dict__[last]
            call = self.timed(label, getattr(plain, "__func__", plain))
            setattr(owner, last, classmethod(call) if isinstance(plain, classmethod) else call)
        self._last = time.process_time()

    def stop(self) -> dict[str, float]:
        """The seconds of each label."""
        with self._lock:
            self._count()
        return dict(self.seconds)


def build(folder: Path, records: int) -> None:
    """The folder before the start."""
    words = [text.split() for text in load_corpus().documents]
    places = [(number, start) for number, text in enumerate(words) for start in range(0, len(text) - WORDS // 2, 13)]
    chosen = np.random.default_rng(0).permutation(len(places))[:records]
    texts = [" ".join(words[number][start : start + WORDS]) for number, start in (places[place] for place in chosen)]
    if len(texts) < records:
        raise SystemExit(f"the corpus gives {len(places):,} passages")
    model = WordLlama()
    with open_client(folder) as client:
        collection = client.create_collection("passages", metadata={"hnsw:space": "cosine"}, embedding_function=None)
        for start in range(0, records, PAGE):
            part = texts[start : start + PAGE]
            collection.add(
                ids=[f"passage-{start + row}" for row in range(len(part))],
                documents=part,
                embeddings=model.embed(part),
                metadatas=[{"source": "abstracts", "row": start + row} for row in range(len(part))],
            )


def start(folder: Path, **options: Any) -> dict[str, Any]:
    """One start in this process."""
    model = StaticMiniLM()
    clock = Clock()
    clock.start()
    report = auto_migrate(folder, model, **options)
    seconds = clock.stop()
    assert report.action == "migrated", report
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (one,) = report.collections
    return {"records": one.migrated, "exact": one.exact, "seconds": seconds, "megabytes": memory}


def measure(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """A start at each size, in a process of its own."""
    results = []
    for records in sizes:
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home) / "home" / "chroma_data"
            build(folder, records)
            environment = {
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",  # the threads of more than one spin while they wait, in other parts' time
                "XDG_CACHE_HOME": f"{home}/cache",
                "XDG_DATA_HOME": f"{home}/data",
                "LIGHTMIGRATE_REGISTRY": f"{home}/registry",
            }
            command = [sys.executable, __file__, "--start", str(folder)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(results[-1], file=sys.stderr)
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    labels = [*OUTSIDE, *dict.fromkeys(label for label, _, _ in CALLS), "the rest"]
    labels = list(dict.fromkeys(labels))
    rows = [["seconds", *(f"{one['records']:,} records" for one in results)]]
    rows.append(["---", *("--:" for _ in results)])
    rows.append(["in all", *(f"{sum(one['seconds'].values()):.2f}" for one in results)])
    rows += [[label, *(f"{one['seconds'].get(label, 0.0):.2f}" for one in results)] for label in labels[:4]]
    beside = [sum(value for label, value in one["seconds"].items() if label not in OUTSIDE) for one in results]
    rows.append(["**everything else**", *(f"**{value:.2f}**" for value in beside)])
    rows += [[f"– {label}", *(f"{one['seconds'].get(label, 0.0):.2f}" for one in results)] for label in labels[4:]]
    rows.append(["rows that the model embedded", *(f"{one['exact']:,}" for one in results)])
    rows.append(["largest memory of the process, MiB", *(f"{one['megabytes']:.0f}" for one in results)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--results", type=Path, help="folder in which `hook.md` is written")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start is not None:
        print(json.dumps(start(given.start, min_quality=0.0)))  # passages that overlap are hard to tell apart
        return
    printed = table(measure(given.sizes))
    print(printed, end="")
    if given.results is not None:
        (given.results / "hook.md").write_text(HEADING + printed)


if __name__ == "__main__":
    main()
