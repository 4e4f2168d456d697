"""What fitting takes, by pairs and dimension: `python benchmarks/fit_seconds.py`.

A projection is fitted to K sentences of the packaged corpus, from the static model that a package carries (256 numbers)
to targets of 256, 768 and 1,536 numbers: its embeddings of the sentence and of parts of it, side by side, so that the
old vector alone does not determine the new one. By `auto` from the vectors alone, by `auto` with the texts and the
vectors of the frequent words of all sentences, and by `lexical`, which real collections choose, and which also fits
what records without a text get. `auto` tries all methods, so its seconds hardly depend on which one it takes. Seconds
are those of the processor, in one thread, the least of `--repeats` runs; ratios are to the smallest fit of the same
kind and hold for other machines. Writes `results/fit_seconds.json` and `results/fit_seconds.md`.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

import argparse
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from other_models import Vectors, unit, wordllama

import lightmigrate
from lightmigrate import WordVectors
from lightmigrate.estimators.methods import Method
from lightmigrate.training.corpus import draw, packaged_corpus
from lightmigrate.training.frequent_words import WordCounter

RESULT = Path(__file__).parent / "results" / "fit_seconds.json"
SIZES, DIMENSIONS = (300, 1000, 2000, 4000), (256, 768, 1536)
MOST_WORDS = 6000
KINDS: Mapping[str, tuple[Method, bool]] = {
    "auto, no text": ("auto", False),
    "auto": ("auto", True),
    "lexical": ("lexical", True),
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dimensions", type=int, nargs="+", default=DIMENSIONS)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    texts = draw(packaged_corpus(), max(options.sizes))
    source, words = wordllama(texts), frequent_words(texts)
    rows = []
    for dimension, size, (kind, (method, reads)) in itertools.product(options.dimensions, options.sizes, KINDS.items()):
        targets, of_words = parts(texts[:size], dimension), parts(words.words, dimension)
        given = WordVectors(words.words, of_words, words.counts, words.documents)
        seconds = min(
            fitted(method, source[:size], targets, texts[:size] if reads else None, given if reads else None)
            for _ in range(options.repeats)
        )
        rows.append({"dimension": dimension, "pairs": size, "kind": kind, "seconds": seconds})
        print(rows[-1], flush=True)
    facts = {"words": len(words.words), "numpy": np.__version__, "rows": rows}
    RESULT.write_text(json.dumps(facts, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text(table(facts))


def frequent_words(texts: Sequence[str]) -> Any:
    """Those of all sentences."""
    counter = WordCounter()
    for text in texts:
        counter.add(text)
    return counter.frequent(MOST_WORDS)


def parts(texts: Sequence[str], dimension: int) -> Vectors:
    """Embeddings of each text, of its halves and of its thirds, side by side, unit vectors `(n, dimension)`."""
    columns = []
    for number, of in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))[: dimension // 256]:
        columns.append(wordllama([part(text.split(), number, of) or text for text in texts]))
    return unit(np.hstack(columns))


def part(words: Sequence[str], number: int, of: int) -> str:
    """One of several parts of a text, of about the same number of words."""
    return " ".join(words[len(words) * number // of : len(words) * (number + 1) // of])


def fitted(
    method: Method, source: Vectors, target: Vectors, texts: Sequence[str] | None, words: WordVectors | None
) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    lightmigrate.fit(source, target, texts, method=method, words=words)
    return round(time.process_time() - started, 2)


def table(facts: dict[str, Any]) -> str:
    """As Markdown, the kinds side by side."""
    lines = [
        "# What fitting takes",
        (__doc__ or "").partition("\n")[2].strip(),
        "",
        f"{facts['words']:,} frequent words, NumPy {facts['numpy']}.",
        "",
        f"| target numbers | pairs | {' | '.join(f'{kind}, s | ratio' for kind in KINDS)} |",
        f"|--:|--:|{'--:|--:|' * len(KINDS)}",
    ]
    first: dict[str, float] = {}
    for row in facts["rows"]:
        first.setdefault(row["kind"], row["seconds"])
    for (dimension, pairs), kinds in itertools.groupby(facts["rows"], lambda row: (row["dimension"], row["pairs"])):
        cells = [f"{row['seconds']:.1f} | {row['seconds'] / first[row['kind']]:.1f}" for row in kinds]
        lines.append(f"| {dimension:,} | {pairs:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
