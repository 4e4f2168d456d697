"""How well documents added after a migration are found.

Run `python benchmarks/added_documents.py DATA_DIR ENCODED_DIR [CORPUS:OLD:NEW …]`; the directories are those of
`encode_words.py` and `encode_extracts.py`. Without changes of models named, all upgrades to two models. A collection is
projected by projections that read extracts, fitted to 80 documents embedded whole and the extracts of all; a tenth of
the documents come afterwards, embedded by the new model. With vectors that are predicted and then divided by their
length, and as `fit` makes them (`lightmigrate/projection/unit_sphere.py`):

- `before`: nDCG@10 by human judgements before the tenth came, as a share of what embedding everything gives;
- `after`: the same afterwards;
- `new` and `old`: how much of what is relevant among the newcomers, and among the others, is in the first ten, as a
  share of what embedding everything finds;
- `seen`: how much of the first ten are newcomers, as a share of what embedding everything puts there.

Writes `results/added_documents.md`, or another file (`--results`).
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from corpora import UPGRADE, Corpus, Rows, Vectors, corpora

import lightmigrate
from lightmigrate import Extracts
from lightmigrate.estimators.extracts import OtherExtracts
from lightmigrate.projection.steps import ByText, Sum
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.quality.metrics import ndcg_at_k, search

RESULTS = Path(__file__).parent / "results" / "added_documents.md"
NEW_MODELS = ("minilm-l6", "potion-8m")
LENGTHS = (12, 24, 48)
CALIBRATION = 80
NEWCOMERS = 0.1
SEEDS = 3
COLUMNS = ("before", "after", "new", "old", "seen")
HEAD = f"""A collection is projected, with extracts, by a fit to 80 documents embedded whole and the extracts of all; a
tenth of the documents come afterwards, embedded by the new model. Predicted vectors divided by their length →
extended to length 1 from the mean; means over {SEEDS} seeds, upgrades only. `before` and `after`
they came: what is kept; `new` and `old`: how much of what is relevant among them, and among the others, is
found; `seen`: how much of the first ten they are; all as shares of what embedding everything gives. Measured
by `benchmarks/added_documents.py`.

| upgrade | words of an extract | {" | ".join(COLUMNS)} |
|---|--:|{"---|" * len(COLUMNS)}
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="How well documents added after a migration are found.")
    parser.add_argument("data", type=Path)
    parser.add_argument("encoded", type=Path)
    parser.add_argument("changes", nargs="*", metavar="CORPUS:OLD:NEW")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    given = parser.parse_args()
    lines = []
    for corpus, old, new in changes(given.data, given.encoded, given.changes):
        begun = np.load(given.encoded / corpus.name / f"{new}.first.npz")
        for words in LENGTHS:
            runs = [compared(corpus, old, new, words, begun[str(words)], seed) for seed in range(SEEDS)]
            cells = [
                " → ".join(f"{statistics.mean(run[side][column] for run in runs):.2f}" for side in (0, 1))
                for column in range(len(COLUMNS))
            ]
            lines.append(f"| {corpus.name}: {old} → {new} | {words} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    given.results.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def changes(data: Path, encoded: Path, named: Sequence[str]) -> Iterator[tuple[Corpus, str, str]]:
    """The corpora with an old and a new model: those that are named, or all upgrades."""
    for name, old, new in (change.split(":") for change in named):
        yield Corpus(data / name, encoded), old, new
    for corpus in () if named else corpora(data, encoded):
        for new, old in itertools.product(NEW_MODELS, corpus.models):
            if old != new and _nothing(corpus, old, new) < UPGRADE:
                yield corpus, old, new


def compared(
    corpus: Corpus, old: str, new: str, words: int, begun: Vectors, seed: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The columns with vectors divided by their length, and as they are."""
    begun = begun.astype(np.float32)
    true, stored = corpus.documents[new], corpus.documents[old]
    readable = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
    shuffled = np.random.default_rng(seed).permutation(readable)
    taught, others = shuffled[:CALIBRATION], shuffled[CALIBRATION:]
    newcomers = others[: round(NEWCOMERS * len(readable))]
    of_text = {ExtractRule(words).of(corpus.texts[row]): begun[row] for row in readable}
    projection = lightmigrate.fit(
        stored[taught],
        true[taught],
        [corpus.texts[row] for row in taught],
        words=corpus.words(new),
        extracts=Extracts(
            ExtractRule(words),
            begun[taught],
            lambda texts: np.stack([of_text[text] for text in texts]),
            OtherExtracts(stored[others], [corpus.texts[row] for row in others], begun[others]),
        ),
        seed=seed,
    )
    (step,) = projection.steps
    assert isinstance(step, ByText)
    both = (replace(step.with_text, centre=None), step.with_text)
    divided, extended = (tuple(_judged(corpus, new, one, stored, taught, newcomers)) for one in both)
    return divided, extended


def _judged(corpus: Corpus, new: str, step: Sum, stored: Vectors, taught: Rows, newcomers: Rows) -> Iterator[float]:
    true, queries = corpus.documents[new], corpus.queries[new]
    texts = [text or " " for text in corpus.texts]
    readable = np.array([bool(text.strip()) for text in texts])
    mapped = np.array(true)
    mapped[readable] = step.apply(stored[readable], [text for text in texts if text.strip()])
    mapped[taught] = true[taught]
    after = mapped.copy()
    after[newcomers] = true[newcomers]
    best = search(queries, true, 10)
    whole = ndcg_at_k(best, corpus.relevant)
    yield ndcg_at_k(search(queries, mapped, 10), corpus.relevant) / whole
    found = search(queries, after, 10)
    yield ndcg_at_k(found, corpus.relevant) / whole
    is_new = np.isin(np.arange(len(true)), newcomers)
    for some in (is_new, ~is_new):
        yield _recall(found, corpus, some) / _recall(best, corpus, some)
    yield float(is_new[found].mean() / is_new[best].mean())


def _recall(found: Rows, corpus: Corpus, among: np.typing.NDArray[np.bool_]) -> float:
    """How much of what is relevant among some documents is found."""
    relevant = [[row for row in grades if among[row]] for grades in corpus.relevant]
    hits = sum(np.isin(own, rows).sum() for own, rows in zip(relevant, found, strict=True))
    return float(hits / sum(map(len, relevant)))


def _nothing(corpus: Corpus, old: str, new: str) -> float:
    return corpus.measure(old, new, corpus.documents[new], np.arange(corpus.size)).nothing_retention.value


if __name__ == "__main__":
    main()
