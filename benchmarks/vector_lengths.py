"""What a projection keeps in l2 and by the inner product: `python benchmarks/vector_lengths.py DATA_DIR [CORPUS ...]`.

What DATA_DIR holds stands in `corpora.py`. The new model is wordllama without normalisation (a package carries it): its
lengths differ between texts. K documents drawn at random are the pairs. For every old model, method and distance:
nDCG@10 by human judgements as a share of re-embedding (`retention`) and the shared part of the first ten results
(`overlap`) for projected documents alone; the same retention with every other document exact, and the share of the true
projected and exact results that are found there. `raw` regresses vectors, `one length` and `lengths` regress
directions; `lengths` is what `fit` does. Writes `results/vector_lengths.md`; some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from corpora import Corpus, read_lines

from lightmigrate.estimators.fit import fit
from lightmigrate.estimators.methods import Fits, Method, Pairs
from lightmigrate.quality.beside_exact import found_beside_exact
from lightmigrate.quality.metrics import ndcg_at_k, ranking_overlap, search, unit
from lightmigrate.vectors import Metric

RESULT = Path(__file__).parent / "results" / "vector_lengths.md"
Vectors = npt.NDArray[np.float32]
METHODS: tuple[Method, ...] = ("ridge", "procrustes", "lexical", "averaged")
METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")
PAIRS, SEED, K = 400, 0, 10
LONG = 80.0


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("corpora", nargs="*", default=["cranfield"])
    options = parser.parse_args()
    lines = [
        "# Lengths: what a projection keeps in l2 and by the inner product\n\n",
        f"By `benchmarks/vector_lengths.py`: {PAIRS} pairs, new model wordllama (256) without normalisation, whole "
        "corpus.\n"
        "Retention is nDCG@10 as a share of re-embedding; overlap is of the first ten results. Beside exact: every\n"
        "other document is exact; the last two columns are the share of true results found of each kind.\n",
    ]
    for name in options.corpora:
        corpus = Corpus(options.data / name)
        encoded = embedded(options.data / name, corpus)
        for old in (model for model in corpus.models if model in ("minilm-l6", "potion-8m")):
            lines.append(f"\n## {name}, {old} → wordllama\n\n")
            lines.append(
                "| method | form | distance | length | retention | overlap | beside exact | projected | exact |\n"
            )
            lines.append("|---|---|---|--:|--:|--:|--:|--:|--:|\n")
            for row in measured(corpus, old, *encoded):
                print(row, end="", flush=True)
                lines.append(row)
    RESULT.write_text("".join(lines))


def embedded(folder: Path, corpus: Corpus) -> tuple[Vectors, Vectors]:
    """Documents and queries by wordllama, lengths near 80."""
    from wordllama import WordLlama  # type: ignore[import-untyped]  # it carries no types

    spec = find_spec("wordllama")
    assert spec is not None  # it was imported
    model: Any = WordLlama.load(cache_dir=Path(str(spec.origin)).parent, disable_download=True)
    queries = [line["text"] for line in read_lines(folder / "queries.jsonl")]
    documents = [text if text.strip() else "empty" for text in corpus.texts]
    vectors = (np.asarray(model.embed(texts), dtype=np.float32) * LONG for texts in (documents, queries))
    return next(vectors), next(vectors)


def measured(corpus: Corpus, old: str, documents: Vectors, queries: Vectors) -> Iterator[str]:
    """A row of the table for each method, form and distance."""
    rows, _ = corpus.split(PAIRS, SEED)
    others = np.setdiff1d(np.arange(corpus.size), rows)
    lengths = np.linalg.norm(documents, axis=1)
    for method in METHODS:
        for form, vectors in projected(corpus, old, documents, rows, method):
            ratio = float(np.median(np.linalg.norm(vectors, axis=1)[others] / lengths[others]))
            for metric in METRICS:
                expected, answer = (search(queries, found, K, metric) for found in (documents, vectors))
                odd = np.arange(corpus.size)[:, None] % 2 == 1
                mixed = search(queries, np.where(odd, documents, vectors), K, metric)
                best = ndcg_at_k(expected, corpus.relevant)
                counts = found_beside_exact(queries, documents, vectors, np.full(len(queries), -1), K, metric).sum(
                    axis=2
                )
                shares = counts[:, 0] / counts[:, 1]
                numbers = (
                    ndcg_at_k(answer, corpus.relevant) / best,
                    ranking_overlap(expected, answer),
                    ndcg_at_k(mixed, corpus.relevant) / best,
                    *shares.tolist(),
                )
                stated = " | ".join(f"{number:.3f}" for number in numbers)
                yield f"| {method} | {form} | {metric} | {ratio:.2f} | {stated} |\n"


def projected(
    corpus: Corpus, old: str, documents: Vectors, rows: npt.NDArray[np.int64], method: Method
) -> Iterator[tuple[str, Vectors]]:
    """All documents, projected in each form."""
    source, target = corpus.documents[old], documents[rows]
    texts = [corpus.texts[row] for row in rows]
    raw = Fits(Pairs(source[rows].astype(np.float64), target.astype(np.float64), texts, None, None, 1000, SEED))[method]
    yield "raw", raw.step.apply(source, corpus.texts)
    projection = fit(source[rows], target, texts, method=method, seed=SEED)
    vectors = projection.apply(source, corpus.texts)
    yield "one length", unit(vectors) * np.float32(np.median(np.linalg.norm(target, axis=1)))
    yield "lengths", vectors


if __name__ == "__main__":
    main()
