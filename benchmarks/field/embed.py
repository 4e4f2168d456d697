"""Embed corpora: `python -m field.embed OUTPUT_DIR CORPUS:MODEL …` in `benchmarks/`.

Reads `OUTPUT_DIR/CORPUS/docs.jsonl` and `queries.jsonl`; writes `MODEL/docs.npy` and `MODEL/queries.npy` beside them,
float32, row i for line i. Models are those of `models.py`. What is there is not made again. A line for each pair that
is there is added to `OUTPUT_DIR/READY`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from corpora import read_lines
from other_models import Vectors

from field.models import open_model
from lightmigrate.providers.base import Provider


def main(output: Path, wanted: list[str]) -> None:
    """Embed what is missing."""
    for corpus, model in (one.split(":") for one in wanted):
        target = output / corpus / model
        if (target / "docs.npy").exists():
            continue
        documents, queries = (
            [line["text"] for line in read_lines(output / corpus / file)] for file in ("docs.jsonl", "queries.jsonl")
        )
        provider = open_model(model, output / "packages")
        target.mkdir(exist_ok=True)
        started = time.perf_counter()
        np.save(target / "queries.npy", by_length(provider, queries, True))
        np.save(target / "docs.npy", by_length(provider, documents, False))
        said = f"{corpus} {model}: {len(documents)} documents, {time.perf_counter() - started:.0f} s"
        print(said, flush=True)
        with (output / "READY").open("a") as file:
            file.write(f"{said}\n")


def by_length(provider: Provider, texts: list[str], queries: bool) -> Vectors:
    """Vectors in the order of the texts, which are sent in the order of their lengths: that wastes least on padding.

    A text that is blank or of which the model knows no word has a row of zeros.
    """
    order = np.argsort([len(text) for text in texts], kind="stable")
    embedded = provider.embed_each([texts[row] for row in order.tolist()], queries=queries)
    vectors = np.empty_like(embedded)
    vectors[order] = np.nan_to_num(embedded)
    return vectors


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
