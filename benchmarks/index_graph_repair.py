"""Whether to keep an index's graph, build it anew or repair it: `python benchmarks/index_graph_repair.py DATA_DIR`.

A Chroma folder of 16,000 real texts (SciFact, Cranfield and WordNet glosses) with potion-base-8M's vectors, migrated to
all-MiniLM-L6-v2 in several ways: by projections learned from few or many texts, embedded again in part and as a whole,
by arithmetic, and by a random matrix. For each: what can be known before anything is written, and what is found after.

Then the graph that was kept with the vectors of embedding everything again is repaired through Chroma: records whose
links lead to less similar ones than the links of others are updated, which makes hnswlib link them anew. That is
compared with building a new index. Writes `results/index_graph_repair.md`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from corpora import load, read_lines
from other_models import Vectors, unit

from lightmigrate import CollectionJob, Migrator, Model, Projection, fit
from lightmigrate.migration.aside import build
from lightmigrate.migration.recall import Exact
from lightmigrate.projection.terms.base import Texts
from lightmigrate.quality.metrics import neighbour_overlap, search
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.labels import ALL
from lightmigrate.vectors import evenly

RESULT = Path(__file__).parent / "results" / "index_graph_repair.md"
CORPORA = ("scifact", "cranfield", "pool")
OLD, NEW = "potion-8m", "minilm-l6"
RECORDS, PAGE, SAMPLE, QUERIES = 16_000, 1000, 500, 200
REPAIRED = (0.1, 0.3)


@dataclass(frozen=True)
class Looked:
    """A step that returns the vectors of texts that are known.

    Attributes:
        shape: `(d_in, d_out)`.
        places: the row of each text.
        vectors: `(n, d_out)`.
    """

    shape: tuple[int, int]
    places: dict[str, int]
    vectors: Vectors

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The vectors of the texts; zeros without texts, which deleted records of the index have."""
        if texts is None:
            return np.zeros((len(vectors), self.shape[1]), np.float32)
        return self.vectors[[self.places[text or ""] for text in texts]]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    texts, old, new = corpus(parser.parse_args().data)
    lines: list[str] = []
    repaired: list[str] = []
    with tempfile.TemporaryDirectory() as home:
        template = Path(home) / "template"
        write(template, old, texts)
        for name, vectors in ways(old, new):
            folder = Path(shutil.copytree(template, Path(home) / "keep" / "database"))
            before, foreseen, after, seconds = migrate(folder, old, vectors, texts, "keep")
            sample = evenly(len(old), SAMPLE)
            overlap = neighbour_overlap(old[sample], vectors[sample])
            lines.append(f"| {name} | {overlap:.2f} | {before:.3f} | {foreseen:.3f} | {after:.3f} | {seconds:.1f} |\n")
            print(lines[-1], end="", flush=True)
            if vectors is new:
                shutil.copytree(folder, Path(home) / "kept")
                shutil.rmtree(folder.parent)
                folder = Path(shutil.copytree(template, Path(home) / "keep" / "database"))
                *_, after, seconds = migrate(folder, old, vectors, texts, "rebuild")
                lines.append(
                    f"| the same with a new index | {overlap:.2f} | {before:.3f} | | {after:.3f} | {seconds:.1f} |\n"
                )
                print(lines[-1], end="", flush=True)
            shutil.rmtree(folder.parent)
        for line in repairs(Path(home), new):
            repaired.append(line)
            print(line, end="", flush=True)
    RESULT.write_text(report(lines, repaired), encoding="utf-8")


def corpus(data: Path) -> tuple[list[str], Vectors, Vectors]:
    """Different texts and their vectors by both models."""
    texts = [line["text"] for name in CORPORA for line in read_lines(data / name / "docs.jsonl")]
    shuffled = np.random.default_rng(0).permutation(len(texts)).tolist()
    rows = list({texts[row]: row for row in reversed(shuffled) if texts[row].strip()}.values())[-RECORDS:]
    old, new = (
        unit(np.concatenate([load(data / name / model / "docs.npy") for name in CORPORA])[rows]).astype(np.float32)
        for model in (OLD, NEW)
    )
    return [texts[row] for row in rows], old, new


def ways(old: Vectors, new: Vectors) -> Iterator[tuple[str, Vectors]]:
    """The new vectors of each way to migrate, by name."""
    rng = np.random.default_rng(1)
    shuffled = rng.permutation(len(old))
    projected = {}
    for pairs in (2000, 500, 100):
        rows = shuffled[:pairs]
        projection = fit(
            old[rows], new[rows], method="ridge", source_model=model(OLD, old), target_model=model(NEW, new)
        )
        projected[pairs] = projection.apply(old, None)
        yield f"projection learned from {pairs:,} texts", projected[pairs]
    for share in (0.1, 0.5):
        exact = shuffled[: int(share * len(old))]
        mixed = projected[500].copy()
        mixed[exact] = new[exact]
        yield f"projection learned from 500 texts, {share:.0%} embedded again", mixed
    yield "everything embedded again", new
    yield "arithmetic: other lengths", old * np.float32(1.7)
    yield "a random matrix", old @ rng.normal(size=(old.shape[1], new.shape[1])).astype(np.float32)


def model(name: str, vectors: Vectors) -> Model:
    """The model of some vectors."""
    return Model(name, vectors.shape[1])


def write(folder: Path, vectors: Vectors, texts: Sequence[str] | None) -> float:
    """A collection of the vectors, by cosine; the processor's seconds."""
    with open_client(folder) as client:
        collection = client.create_collection("notes", metadata={"hnsw:space": "cosine"}, embedding_function=None)
        started = time.process_time()
        for start in range(0, len(vectors), PAGE):
            rows = range(start, min(start + PAGE, len(vectors)))
            documents = None if texts is None else [texts[row] for row in rows]
            collection.add(ids=[str(row) for row in rows], embeddings=vectors[rows], documents=documents)
        return time.process_time() - started


def migrate(
    folder: Path, old: Vectors, new: Vectors, texts: Sequence[str], route: str
) -> tuple[float, float, float, float]:
    """Recall before, foreseen if the graph is kept, and after; the processor's seconds."""
    recalls: list[float] = []
    plain = Exact.recalls_of

    def recalls_of(self: Exact, distances: Sequence[Sequence[float]] | Vectors) -> npt.NDArray[np.float64]:
        found = plain(self, distances)
        recalls.append(float(found.mean()))
        return found

    shape = (old.shape[1], new.shape[1])
    few = fit(old[:200], new[:200], method="ridge", source_model=model(OLD, old), target_model=model(NEW, new))
    projection = Projection((Looked(shape, {text: row for row, text in enumerate(texts)}, new),), few.info)
    started = time.process_time()
    with patch.object(build, "LOSS", 1.0), patch.object(Exact, "recalls_of", recalls_of):  # kept whatever it finds
        Migrator(folder).migrate(
            [CollectionJob("notes", projection)], index="rebuild" if route == "rebuild" else "keep", force=True
        )
    return recalls[0], recalls[-2], recalls[-1], time.process_time() - started


def repairs(home: Path, new: Vectors) -> Iterator[str]:
    """Repairs of the kept graph, and a new index: recall and the processor's seconds, a line for each."""
    worst = weakest(home / "kept", new)
    yield f"| kept as it is | {recall(home / 'kept', new):.3f} | 0 |\n"
    for name, order in (("weakest", worst), ("random", np.random.default_rng(2).permutation(len(new)))):
        for share in REPAIRED:
            folder = Path(shutil.copytree(home / "kept", home / "repaired"))
            rows = order[: int(share * len(new))]
            with open_client(folder) as client:
                collection = client.get_collection("notes", embedding_function=None)
                started = time.process_time()
                for start in range(0, len(rows), PAGE):
                    part = rows[start : start + PAGE]
                    collection.update(ids=[str(row) for row in part], embeddings=new[part])
                seconds = time.process_time() - started
            yield f"| the {name} {share:.0%} linked anew | {recall(folder, new):.3f} | {seconds:.1f} |\n"
            shutil.rmtree(folder)
    seconds = write(home / "new", new, None)
    yield f"| a new index | {recall(home / 'new', new):.3f} | {seconds:.1f} |\n"


def weakest(folder: Path, new: Vectors) -> Vectors:
    """The records, those with the least similar links first."""
    (header,) = folder.glob("*/header.bin")
    index = HnswFiles.open(header.parent)
    labels, links = index.labels(ALL), index.links_of(np.arange(index.elements))
    rows = np.array([int(labels.ids[label]) for label in index.labels_of_elements().tolist()])
    vectors = unit(new)[rows]
    similar = [
        (vectors[own[1 : 1 + (own[0] & 0xFFFF)].astype(np.intp)] @ vector).mean()
        for own, vector in zip(links, vectors, strict=True)
    ]
    return rows[np.argsort(similar)]


def recall(folder: Path, new: Vectors) -> float:
    """recall@10 of the index in a folder."""
    rows = evenly(len(new), QUERIES)
    expected = search(new[rows], new, 11)
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=None)
        answers = collection.query(query_embeddings=new[rows], n_results=11, include=[])["ids"]
    pairs = zip(expected.tolist(), answers, strict=True)
    return float(np.mean([(len(set(map(str, wanted)) & set(found)) - 1) / 10 for wanted, found in pairs]))


def report(lines: Sequence[str], repaired: Sequence[str]) -> str:
    """As Markdown."""
    return f"""# What is known of a graph before it is kept, and what repairing it costs

{RECORDS:,} records, {OLD} → {NEW}, cosine; recall@10 by {QUERIES} of the records; seconds of the processor for the
whole migration, verified. "Foreseen" is what a search through the old graph with the new vectors finds before anything
is written; the overlap is of the nearest neighbours in a sample of {SAMPLE}, before and after. Made by
`benchmarks/index_graph_repair.py`.

| new vectors, graph kept | overlap | recall before | foreseen | after | s |
|---|--:|--:|--:|--:|--:|
{"".join(lines)}
The graph that was kept with the vectors of embedding everything again, repaired through Chroma's `update`:

| index | recall | s |
|---|--:|--:|
{"".join(repaired)}"""


if __name__ == "__main__":
    main()
