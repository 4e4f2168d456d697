"""The corpora the benchmarks read: documents, queries, human judgements, and vectors by several models.

DATA_DIR holds a folder for each corpus with `docs.jsonl`, `queries.jsonl`, `qrels.jsonl` and for each model
`MODEL/docs.npy` and `MODEL/queries.npy` (row i belongs to line i, any float dtype). A document that is part of a longer
one names it as its `parent`. ENCODED_DIR is what `encode_words.py` made of them: word vectors and pseudo-queries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import lightmigrate
from lightmigrate import WordVectors
from lightmigrate.quality.metrics import ndcg_at_k
from lightmigrate.quality.retention import Retention

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

# Where doing nothing keeps less of what embedding again gives, a change of models is an upgrade.
UPGRADE = 1.01


class Corpus:
    """One corpus with its judgements and its vectors by several models."""

    def __init__(self, folder: Path, encoded: Path | None = None) -> None:
        self.name = folder.name
        lines = read_lines(folder / "docs.jsonl")
        self.texts: list[str] = [line["text"] for line in lines]
        documents = {line["id"]: row for row, line in enumerate(lines)}
        queries = {line["id"]: row for row, line in enumerate(read_lines(folder / "queries.jsonl"))}
        self.relevant: list[dict[int, float]] = [{} for _ in queries]
        for line in read_lines(folder / "qrels.jsonl"):
            if line["rel"] > 0:
                self.relevant[queries[line["query_id"]]][documents[line["doc_id"]]] = line["rel"]
        parents = [line.get("parent", line["id"]) for line in lines]
        place = {parent: row for row, parent in enumerate(dict.fromkeys(parents))}
        self.parents: Rows = np.array([place[parent] for parent in parents])
        self.models = sorted(path.parent.name for path in folder.glob("*/docs.npy"))
        self.documents = {name: load(folder / name / "docs.npy") for name in self.models}
        self.queries = {name: load(folder / name / "queries.npy") for name in self.models}
        self.size = len(documents)
        self._encoded = None if encoded is None else encoded / self.name

    def words(self, model: str) -> WordVectors | None:
        """The corpus's frequent words by a model; `None` where ENCODED_DIR has not got it."""
        if self._encoded is None or not (self._encoded / f"{model}.npz").exists():
            return None
        said = json.loads((self._encoded / "texts.json").read_text())
        vectors = np.load(self._encoded / f"{model}.npz")["words"].astype(np.float32)
        return WordVectors(said["words"], vectors, said["counts"], said["documents"])

    def sentences(self, model: str) -> Vectors | None:
        """A sentence of each document by a model, row i for document i; `None` where ENCODED_DIR has not got it."""
        if self._encoded is None or not (self._encoded / f"{model}.npz").exists():
            return None
        return np.asarray(np.load(self._encoded / f"{model}.npz")["sentences"], dtype=np.float32)

    def split(self, size: int, seed: int) -> tuple[Rows, Rows]:
        """The rows to calibrate on, at random, and all others in order."""
        shuffled = np.random.default_rng(seed).permutation(self.size)
        return shuffled[:size], np.sort(shuffled[size:])

    def measure(self, old: str, new: str, migrated: Vectors, rows: Rows) -> Retention:
        """Retention among the documents in `rows`; `migrated` holds all documents."""
        place = {int(row): index for index, row in enumerate(rows)}
        return lightmigrate.measure_retention(
            old_queries=self.queries[old],
            new_queries=self.queries[new],
            old_documents=self.documents[old][rows],
            new_documents=self.documents[new][rows],
            migrated_documents=migrated[rows],
            relevant=[{place[row]: g for row, g in grades.items() if row in place} for grades in self.relevant],
            resamples=1,  # the spread that is reported is over seeds
        )

    def measure_parents(self, new: str, migrated: Vectors) -> float:
        """nDCG@10 of whole documents, as a share of re-embedding: a document is as near as its nearest chunk.

        Args:
            new: the model of the queries.
            migrated: vectors of all chunks, `(n, d)`.
        """
        relevant: list[dict[int, float]] = [{} for _ in self.relevant]
        for grades, of_parents in zip(self.relevant, relevant, strict=True):
            for row, grade in grades.items():
                parent = int(self.parents[row])
                of_parents[parent] = max(grade, of_parents.get(parent, 0))
        kept, best = (
            ndcg_at_k(self._nearest_parents(self.queries[new], rows), relevant)
            for rows in (migrated, self.documents[new])
        )
        return kept / best

    def _nearest_parents(self, queries: Vectors, documents: Vectors) -> Rows:
        lengths = np.linalg.norm(documents, axis=1, keepdims=True)
        order = np.argsort(self.parents, kind="stable")
        starts = np.flatnonzero(np.diff(self.parents[order], prepend=-1))
        near = queries @ (documents / np.where(lengths > 0, lengths, 1))[order].T
        nearest: Rows = np.argsort(-np.maximum.reduceat(near, starts, axis=1), axis=1, kind="stable")[:, :10]
        return nearest


def corpora(data: Path, encoded: Path | None = None, only: str | None = None) -> Iterator[Corpus]:
    """All corpora with judgements, by name, or the one that is named."""
    for folder in sorted(path.parent for path in data.glob("*/qrels.jsonl")):
        if only in (None, folder.name):
            yield Corpus(folder, encoded)


def load(path: Path) -> Vectors:
    """Vectors as float32."""
    vectors: Vectors = np.load(path, allow_pickle=False).astype(np.float32)
    return vectors


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
