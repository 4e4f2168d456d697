"""What a start costs that changes the model behind many small collections: `python benchmarks/many_collections.py`.

A folder as an application makes it that keeps a collection for every uploaded file: 120 and 1,000 collections of 3 to
30 different chunks (SciFact abstracts of the demo's corpus cut into pieces, potion-base-8M, 256 dimensions), cosine,
with a recorded default function. The application then starts with another model (wordllama, 128 dimensions). Each start
runs in a process of its own, in turn: `auto_migrate` with 500 calibration documents; with as many as there are texts,
so that it embeds everything; and what people do today, embedding every text and writing every collection anew.

Told are the texts and tokens that the model was asked for, seconds (in all and of the processor), and the largest
memory of the process beyond the largest until its encoder was loaded. Writes `many_collections.json` and
`many_collections.md` into the folder given, by default `results`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import auto_migrate
from lightmigrate.demo.data import load_corpus
from lightmigrate.providers.base import estimated_tokens
from lightmigrate.stores.chroma.client import open_client
from tests.encoders import WordLlamaFunction

ROOT = Path(__file__).parents[1]
SIZES = (120, 1000)
WORDS_OF_A_CHUNK = 40
WAYS = ("learned", "everything", "by hand")


def build(folder: Path, collections: int) -> None:
    """The folder. The old vector of a chunk lies between that of its document and that of another one.

    So chunks of one document differ along the directions in which the model's vectors differ, as real ones do. With
    noise in all directions they would look like rows of several models.
    """
    corpus, rng = load_corpus(), np.random.default_rng(0)
    chunks = [
        (" ".join(words[start : start + WORDS_OF_A_CHUNK]), row)
        for row, text in enumerate(corpus.documents)
        for words in [text.split()]
        for start in range(0, len(words), WORDS_OF_A_CHUNK)
    ]
    with open_client(folder) as client:
        for number in range(collections):
            chosen = [chunks[place] for place in rng.integers(0, len(chunks), int(rng.integers(3, 31)))]
            rows = [row for _, row in chosen]
            others = rng.integers(0, len(corpus.documents), len(rows))
            vectors = 0.6 * corpus.old_documents[rows] + 0.4 * corpus.old_documents[others]
            collection = client.create_collection(f"file-{uuid.UUID(int=number)}", metadata={"hnsw:space": "cosine"})
            collection.add(
                ids=[f"{number}-{place}" for place in range(len(rows))],
                documents=[f"{text} [{number}-{place}]" for place, (text, _) in enumerate(chosen)],
                embeddings=vectors.astype(np.float32),
                metadatas=[{"name": "file.pdf"} for _ in rows],
            )


class Counting(WordLlamaFunction):
    """The new model, and what it was asked for."""

    def __init__(self, dimension: int = 128) -> None:
        super().__init__(dimension)
        self.texts = self.tokens = 0

    def embed(self, texts: list[str]) -> Any:
        """See `WordLlamaFunction`."""
        self.texts, self.tokens = self.texts + len(texts), self.tokens + estimated_tokens(texts)
        return super().embed(texts)


def largest_memory() -> int:
    """The most that this process has held so far, in KiB. Unlike `ru_maxrss` it counts nothing of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def start(folder: Path, way: str) -> dict[str, Any]:
    """One start in this process."""
    model = Counting()
    model.embed(["loads it"])
    model.texts = model.tokens = 0
    before = largest_memory()
    began, processor = time.perf_counter(), time.process_time()
    exact, kept = 0, 1.0
    if way == "by hand":
        exact = _by_hand(folder, model)
    else:
        report = auto_migrate(folder, model, calibrate=500 if way == "learned" else 10**6, min_quality=0.0)
        assert {one.action for one in report.collections} == {"migrated"}, report.error
        exact = sum(one.exact for one in report.collections)
        preservation = report.collections[0].preservation
        assert preservation is not None
        assert preservation.expected is not None
        kept = preservation.expected.value
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - processor,
        "megabytes": (largest_memory() - before) / 1024,
        "texts": model.texts,
        "tokens": model.tokens,
        "exact": exact,
        "expected": kept,
    }


def _by_hand(folder: Path, model: Counting) -> int:
    """Embed every text again and write every collection anew; no backup, no verification."""
    written = 0
    with open_client(folder) as client:
        for old in client.list_collections():
            rows = client.get_collection(old.name, embedding_function=None).get(include=["documents", "metadatas"])
            vectors = model.embed(list(rows["documents"] or []))
            client.delete_collection(old.name)
            new = client.create_collection(old.name, metadata={"hnsw:space": "cosine"}, embedding_function=None)
            new.add(ids=rows["ids"], documents=rows["documents"], metadatas=rows["metadatas"], embeddings=vectors)
            written += len(rows["ids"])
    return written


def measure(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Every way on a fresh copy, each in a process of its own."""
    results = []
    with tempfile.TemporaryDirectory() as home:
        for collections in sizes:
            template = Path(home) / f"{collections}"
            build(template, collections)
            for way in WAYS:
                place = Path(home) / way.replace(" ", "_")
                folder = shutil.copytree(template, place / "chroma_data")
                environment = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "PYTHONPATH": str(ROOT)}
                command = [sys.executable, __file__, "--start", str(folder), "--way", way]
                done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
                results.append({"collections": collections, "way": way, **json.loads(done.stdout.splitlines()[-1])})
                print(results[-1], file=sys.stderr)
                shutil.rmtree(place)
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "# A start that changes the model behind many small collections",
        "`python benchmarks/many_collections.py`; two shared cores, so processor seconds compare better than seconds.",
        "The memory is what the process took beyond the most that it had taken until its encoder was loaded.",
        "",
        "| collections | way | texts asked | tokens | rows exact | expected quality | s | processor s | MiB |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in results:
        lines.append(
            f"| {one['collections']:,} | {one['way']} | {one['texts']:,} | {one['tokens']:,} | {one['exact']:,} "
            f"| {one['expected']:.2f} | {one['seconds']:.0f} | {one['processor_seconds']:.0f} "
            f"| {one['megabytes']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start is not None:
        print(json.dumps(start(given.start, given.way)))
        return
    results = measure(given.sizes)
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "many_collections.json").write_text(json.dumps(results, indent=1) + "\n")
    (given.folder / "many_collections.md").write_text(table(results))


if __name__ == "__main__":
    main()
