"""Which documents, and how many single words, a budget is best spent on.

Run `python benchmarks/short_documents.py DATA_DIR ENCODED_DIR CORPUS:OLD:NEW …`. DATA_DIR and ENCODED_DIR are those of
`corpora.py` and `encode_words.py`. For each budget (`--shares` of the tokens of embedding everything)
`lightmigrate.fit` learns from the frequent words that are paid for and from as many documents as the rest buys, taken
at random, from the shorter half of all documents, each as likely next as 1/length⁴, or shortest first; nothing else is
counted. Told is what the whole collection keeps, the paid documents exact and the others projected: nDCG@10 by
judgements, as a share of embedding everything, and the overlap of the first ten, means over `--seeds`. Writes
`results/short_documents.md`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from corpora import Corpus, Rows

import lightmigrate
from lightmigrate import WordVectors
from lightmigrate.providers.base import estimated_tokens

FILE = Path(__file__).parent / "results" / "short_documents.md"


def at_random(lengths: Rows, shuffled: Rows) -> Rows:
    """As they come."""
    return shuffled


def shorter_half_first(lengths: Rows, shuffled: Rows) -> Rows:
    """The shorter half at random, then the longer one."""
    longer = lengths[shuffled] > np.median(lengths)
    return shuffled[np.argsort(longer, kind="stable")]


def shortest_first(lengths: Rows, shuffled: Rows) -> Rows:
    """By length."""
    return shuffled[np.argsort(lengths[shuffled], kind="stable")]


def shorter_oftener(lengths: Rows, shuffled: Rows) -> Rows:
    """At random, each as likely next as 1/length⁴ (Efraimidis and Spirakis 2006)."""
    waits = np.random.default_rng(int(shuffled[0])).exponential(size=len(shuffled)) * lengths[shuffled] ** 4.0
    return shuffled[np.argsort(waits, kind="stable")]


ORDERS: Mapping[str, Callable[[Rows, Rows], Rows]] = {
    "at random": at_random,
    "shorter half": shorter_half_first,
    "as 1/length⁴": shorter_oftener,
    "shortest first": shortest_first,
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Which documents and words a budget is best spent on.")
    parser.add_argument("data", type=Path)
    parser.add_argument("encoded", type=Path)
    parser.add_argument("changes", nargs="+", metavar="CORPUS:OLD:NEW")
    parser.add_argument("--shares", type=float, nargs="+", default=(0.15, 0.3))
    parser.add_argument("--words", type=float, nargs="+", default=(0.0, 0.5, 1.0), help="shares of the frequent words")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1))
    given = parser.parse_args()
    lines = [
        "# Which documents and words a budget buys best",
        (__doc__ or "").partition("\n")[2].strip(),
        "",
        "| corpus, models | budget | documents | words | their tokens | documents paid for | kept | overlap |",
        "|---|--:|---|--:|--:|--:|--:|--:|",
    ]
    for name, old, new in (change.split(":") for change in given.changes):
        corpus = Corpus(given.data / name, given.encoded)
        for share in given.shares:
            for order in ORDERS:
                for part in given.words if order == "shorter half" else [1.0]:
                    cells = measured(corpus, old, new, share, order, part, given.seeds)
                    lines.append(f"| {name}, {old} → {new} | {share:.0%} | {order} | {cells} |")
                    print(lines[-1], flush=True)
    FILE.write_text("\n".join(lines) + "\n")


def measured(corpus: Corpus, old: str, new: str, share: float, order: str, part: float, seeds: list[int]) -> str:
    """The cells of one line."""
    lengths = np.array([estimated_tokens([text]) for text in corpus.texts])
    known = corpus.words(new)
    assert known is not None
    count = round(part * len(known.words))
    words = WordVectors(known.words[:count], known.vectors[:count], known.counts[:count], known.documents)
    paid = estimated_tokens(list(words.words))
    kept, overlaps, bought = [], [], []
    for seed in seeds:
        shuffled = np.random.default_rng(seed).permutation(corpus.size)
        ordered = ORDERS[order](lengths, shuffled)
        rows = ordered[: np.searchsorted(np.cumsum(lengths[ordered]), share * lengths.sum() - paid)]
        source, target = corpus.documents[old], corpus.documents[new]
        texts = [corpus.texts[row] for row in rows]
        projection = lightmigrate.fit(source[rows], target[rows], texts, words=words if count else None, seed=seed)
        vectors = projection.apply(source, corpus.texts)
        vectors[rows] = target[rows]
        found = corpus.measure(old, new, vectors, np.arange(corpus.size))
        kept.append(found.retention.value)
        overlaps.append(found.overlap)
        bought.append(len(rows))
    spread = statistics.pstdev(kept)
    return (
        f"{count:,} | {paid / lengths.sum():.1%} | {statistics.mean(bought):,.0f} "
        f"| {statistics.mean(kept):.3f} ± {spread:.3f} | {statistics.mean(overlaps):.3f}"
    )


if __name__ == "__main__":
    main()
