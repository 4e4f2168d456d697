"""Longer extracts, or whole documents? `python benchmarks/first_words.py DATA_DIR ENCODED_DIR`.

SciFact, potion → MiniLM, by a projection fitted to 100 random documents and the extracts of nearly all. Beside human
judgements (nDCG@10 as a share of what embedding everything gives) stands a measure without judgements: how many of the
first ten are those that embedding everything finds. Last, the tokens of longer extracts spent on whole
documents instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from corpora import Corpus, Rows, Vectors

import lightmigrate
from lightmigrate.estimators.extracts import Extracts, OtherExtracts
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.quality.metrics import search

RESULT = Path(__file__).parent / "results" / "first_words.md"
OLD, NEW = "potion-8m", "minilm-l6"
LENGTHS = (16, 24, 48, 56, 80, 96)
CALIBRATION, TAUGHT = 100, 4000
# Of SciFact 56 words and so many whole documents take as many tokens as 96 words.
INSTEAD = (56, 711)


def main(data: Path, encoded: Path) -> None:
    """Measure and write."""
    corpus = Corpus(data / "scifact", encoded)
    first = np.load(encoded / "scifact" / f"{NEW}.first.npz")
    rng = np.random.default_rng(0)
    drawn = rng.permutation(corpus.size)[:TAUGHT]
    lines = []
    for words in LENGTHS:
        said = first[str(words)].astype(np.float32)
        mapped = read_by_map(corpus, said, words, drawn)
        lines.append(f"| {words} | {measured(corpus, said)} | {measured(corpus, mapped)} |")
        if words == INSTEAD[0]:
            whole = drawn[: CALIBRATION + INSTEAD[1]]
            mapped[whole] = corpus.documents[NEW][whole]
            instead = f"| {words}, and {len(whole)} documents whole | | | {measured(corpus, mapped)} |"
    RESULT.write_text(
        f"{(__doc__ or '').partition(chr(10))[2].strip()}\n\n"
        "| words of an extract | alone: kept | of the first ten | with the projection: kept | of the first ten |\n"
        "|---|--:|--:|--:|--:|\n" + "\n".join([*lines, instead]) + "\n"
    )


def read_by_map(corpus: Corpus, said: Vectors, words: int, drawn: Rows) -> Vectors:
    """All documents, projected by a fit to the first of those drawn and to the extracts of all drawn."""
    old, new, texts = corpus.documents[OLD], corpus.documents[NEW], corpus.texts
    own, more = np.split(drawn, [CALIBRATION])
    beginnings = Extracts(
        ExtractRule(words), said[own], None, OtherExtracts(old[more], [texts[row] for row in more], said[more])
    )
    fitted = lightmigrate.fit(
        old[own], new[own], texts=[texts[row] for row in own], words=corpus.words(NEW), extracts=beginnings
    )
    by_text = {ExtractRule(words).of(text): row for text, row in zip(texts, said, strict=True)}
    return fitted.reading_with(lambda wanted: np.stack([by_text[one] for one in wanted])).apply(old, texts)


def measured(corpus: Corpus, vectors: Vectors) -> str:
    """Both shares."""
    everything: Rows = np.arange(corpus.size)
    kept = corpus.measure(OLD, NEW, vectors, everything).retention.value
    found, true = (search(corpus.queries[NEW], rows, 10) for rows in (vectors, corpus.documents[NEW]))
    shared = np.mean([np.isin(one, other).mean() for one, other in zip(true, found, strict=True)])
    return f"{kept:.3f} | {shared:.2f}"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
