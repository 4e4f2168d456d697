"""What fitting takes, by pairs and dimension: `python benchmarks/fit_seconds.py`.

A projection is fitted to K sentences of the packaged corpus, from the static model that a package carries (256 numbers)
to targets of 256, 768 and 1,536 numbers: its embeddings of the sentence and of parts of it, side by side, so that the
old vector alone does not determine the new one. By `auto` from the vectors alone, by `auto` with the texts and the
vectors of the frequent words of all sentences, by `lexical`, which real collections choose, and which also fits what
records without a text get, and by `auto` with embedded extracts, 8 words of each of the K sentences, of which 300 at
most are pairs. `auto` tries all methods, so its seconds hardly depend on which one it takes. Seconds are those of the
processor, in one thread, the least of `--repeats` runs, above 1,000 sentences of one run; ratios are to the fit to 300
of the same kind and hold for other machines. Other programs may run beside it, which lengthens even these seconds.

Writes `results/fit_seconds.json`, in which what an earlier run measured of other sizes is kept, and
`results/fit_seconds.md`, whose second table is what `budget/fitting_time.py` foresees a fit to more documents by; and
how fast the machine is, by the probe of `migration/duration.py`.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from other_models import Vectors, unit, wordllama

import lightmigrate
from lightmigrate import WordVectors
from lightmigrate.budget.fitting_time import STANDARD
from lightmigrate.estimators.extracts import Extracts, OtherExtracts
from lightmigrate.estimators.methods import Method
from lightmigrate.migration.duration import machine_seconds
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.training.corpus import draw, packaged_corpus
from lightmigrate.training.frequent_words import WordCounter

RESULT = Path(__file__).parent / "results" / "fit_seconds.json"
SIZES, DIMENSIONS = (30, 100, 300, 1000, 2000, 4000), (256, 768, 1536)
KEYS = ("dimension", "pairs", "kind")
MOST_WORDS = 6000
MOST_REPEATED = 1000
EXTRACT_WORDS = 8
KINDS: Mapping[str, Method] = {"auto, no text": "auto", "auto": "auto", "lexical": "lexical", "auto, extracts": "auto"}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dimensions", type=int, nargs="+", default=DIMENSIONS)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    texts = draw(packaged_corpus(), max(options.sizes))
    source, words = wordllama(texts), frequent_words(texts)
    for dimension, size, kind in itertools.product(options.dimensions, options.sizes, KINDS):
        some = texts[:size]
        pairs = min(size, STANDARD) if kind == "auto, extracts" else size
        of_words = parts(words.words, dimension)
        given: dict[str, Any] = {"method": KINDS[kind]}
        if kind != "auto, no text":
            given["texts"] = some[:pairs]
            given["words"] = WordVectors(words.words, of_words, words.counts, words.documents)
        if kind == "auto, extracts":
            given["extracts"] = extracts(some, source[:size], dimension, pairs)
        targets = parts(some[:pairs], dimension)
        repeats = options.repeats if size <= MOST_REPEATED else 1
        seconds = min(fitted(source[:pairs], targets, given) for _ in range(repeats))
        write({"dimension": dimension, "pairs": size, "kind": kind, "seconds": seconds}, len(words.words))


def write(row: Mapping[str, Any], words: int) -> None:
    """Put a row in the place of what was measured before, and write both files."""
    print(dict(row), flush=True)
    before = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    kept = {tuple(one[key] for key in KEYS): one for one in [*before, dict(row)]}
    order = list(KINDS)
    rows = sorted(kept.values(), key=lambda one: (one["dimension"], one["pairs"], order.index(one["kind"])))
    speed = round(machine_seconds(), 4)
    facts = {"words": words, "numpy": np.__version__, "machine_seconds": speed, "rows": rows}
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


def extracts(texts: Sequence[str], source: Vectors, dimension: int, pairs: int) -> Extracts:
    """The first words of all texts, of which the first `pairs` are those of the pairs."""
    rule = ExtractRule(EXTRACT_WORDS)
    vectors = parts([rule.of(text) for text in texts], dimension)
    others = OtherExtracts(source[pairs:], texts[pairs:], vectors[pairs:]) if pairs < len(texts) else None
    return Extracts(rule, vectors[:pairs], None, others)


def fitted(source: Vectors, target: Vectors, given: Mapping[str, Any]) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    lightmigrate.fit(source, target, **given)
    return round(time.process_time() - started, 4)


def growth(facts: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """For each kind and number of sentences how many times as long it takes as 300: the median of the dimensions."""
    seconds = {tuple(row[key] for key in KEYS): row["seconds"] for row in facts["rows"]}
    ratios: dict[str, dict[int, list[float]]] = {kind: {} for kind in KINDS}
    for (dimension, size, kind), taken in seconds.items():
        if standard := seconds.get((dimension, STANDARD, kind)):
            ratios[kind].setdefault(size, []).append(taken / standard)
    return {
        kind: {size: statistics.median(of_size) for size, of_size in sorted(own.items())}
        for kind, own in ratios.items()
    }


def table(facts: Mapping[str, Any]) -> str:
    """As Markdown, the kinds side by side, and how they grow."""
    lines = [
        "# What fitting takes",
        (__doc__ or "").partition("\n")[2].strip(),
        "",
        f"{facts['words']:,} frequent words, NumPy {facts['numpy']}; `machine_seconds` {facts['machine_seconds']}.",
        "",
        f"| target numbers | sentences | {' | '.join(f'{kind}, s | ratio' for kind in KINDS)} |",
        f"|--:|--:|{'--:|--:|' * len(KINDS)}",
    ]
    smallest = min(row["dimension"] for row in facts["rows"])
    rows = {tuple(row[key] for key in KEYS): row["seconds"] for row in facts["rows"]}
    for dimension, size in dict.fromkeys(key[:2] for key in rows):
        cells = []
        for kind in KINDS:
            taken, first = rows.get((dimension, size, kind)), rows.get((smallest, STANDARD, kind))
            cells.append("– | –" if taken is None or not first else f"{taken:.2f} | {taken / first:.2f}")
        lines.append(f"| {dimension:,} | {size:,} | {' | '.join(cells)} |")
    grown = growth(facts)
    sizes = sorted({size for own in grown.values() for size in own})
    lines += [
        "",
        f"How many times as long as {STANDARD} sentences, median of the dimensions:",
        "",
        f"| | {' | '.join(f'{size:,}' for size in sizes)} |",
        f"|---|{'--:|' * len(sizes)}",
    ]
    for kind, own in grown.items():
        lines.append(f"| {kind} | {' | '.join(f'{own[size]:.3g}' if size in own else '–' for size in sizes)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
