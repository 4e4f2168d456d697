"""Which words of a text the new model is asked for: `python benchmarks/extracts.py DATA_DIR CACHE_DIR [CORPUS:OLD …]`.

DATA_DIR is in the layout of `corpora.py`; the new model is all-MiniLM-L6-v2 in 8 bits, which packages carry, and every
corpus must hold its vectors (`minilm-int8`, or `minilm-l6` in full precision). Extracts of twelve words of every
document go through a cache in CACHE_DIR. For each kind of extract:

- `tokens`: of the extracts, as a share of those of the whole documents;
- `alone`: nDCG@10 of the extracts' own embeddings, as a share of what embedding everything gives;
- `ridge`: the same for a plain ridge from the old vector and the embedding of the extract, 1,000 pairs or half of all;
- `projected`: the same for `lightmigrate.fit` with texts, word vectors and 500 other extracts, with 100 and 300 pairs;
- `overlap`: of held-out predictions with the true neighbours, with 300 pairs; a plan chooses by what the gate expects,
  of which this is a part.

Appends to `results/extracts.jsonl` and writes `results/extracts.md` from it.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus, Rows, Vectors

from lightmigrate import Extracts, WordVectors
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.extracts import OtherExtracts
from lightmigrate.estimators.fit import LANDMARKS, fit_pairs
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.projection.terms.extract_rule import DocumentFrequencies, ExtractRule
from lightmigrate.projection.terms.words import STEM_LETTERS, words_of
from lightmigrate.providers.cache import Cached
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.training.request import tokens_of

RESULTS = Path(__file__).parent / "results"
NEW = ("minilm-int8", "minilm-l6")
WORDS, OTHERS, MOST_WORDS = 12, 500, 1500
PAIRS, RIDGE_PAIRS = (100, 300), 1000
SEEDS = (0, 1)

Rule = Callable[[str], str]


def kinds(frequencies: DocumentFrequencies) -> dict[str, Rule]:
    """All that was tried; those of the package first."""
    scores = Scores(frequencies)
    return {
        "first": ExtractRule(WORDS).of,
        "content": ExtractRule(WORDS, "content", frequencies).of,
        "rarest": ExtractRule(WORDS, "rarest", frequencies).of,
        "tf-idf": scores.weighed,
        "half first, half rarest": scores.half,
        "richest window": scores.window,
    }


class Scores:
    """Kinds that are not in the package."""

    def __init__(self, frequencies: DocumentFrequencies) -> None:
        self._counts = dict(zip(frequencies.stems, frequencies.counts, strict=True))
        self._documents = frequencies.documents

    def weighed(self, text: str) -> str:
        """The words with the largest tf·idf, each stem once, in their order."""
        words, stems, rarity = self._read(text)
        counts = Counter(stems)
        scores = [(1 + math.log(counts[stem])) * own for stem, own in zip(stems, rarity, strict=True)]
        return self._best(words, stems, scores, 0)

    def half(self, text: str) -> str:
        """The first words, and as many of the rarest others."""
        return self._best(*self._read(text), WORDS // 2)

    def window(self, text: str) -> str:
        """The words in a row with the largest sum of idf."""
        words, _, rarity = self._read(text)
        start = max(range(max(1, len(words) - WORDS + 1)), key=lambda first: sum(rarity[first : first + WORDS]))
        return " ".join(words[start : start + WORDS])

    def _read(self, text: str) -> tuple[list[str], list[str], list[float]]:
        words = text.split()
        stems = ["".join(words_of(word)[:1])[:STEM_LETTERS] for word in words]
        return words, stems, [math.log(self._documents / self._counts.get(stem, 1)) if stem else 0.0 for stem in stems]

    def _best(self, words: list[str], stems: list[str], scores: list[float], first: int) -> str:
        chosen = list(range(min(first, len(words))))
        known = {stems[number] for number in chosen} | {""}
        for number in sorted(range(len(words)), key=lambda number: -scores[number]):
            if len(chosen) < WORDS and stems[number] not in known:
                known.add(stems[number])
                chosen.append(number)
        return " ".join(words[number] for number in sorted(chosen))


def main(data: Path, cache: Path, pairs: Sequence[str]) -> None:
    """Measure what is asked for, and write the tables of all that was measured."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.encoders import minilm

    provider = Cached(minilm(), cache / "minilm.sqlite3")
    file = RESULTS / "extracts.jsonl"
    for corpus_name, old in (pair.split(":") for pair in pairs):
        measured = Measured(Corpus(data / corpus_name), old, provider)
        for kind, rule in kinds(measured.frequencies).items():
            row = {"corpus": corpus_name, "old": old, "nothing": measured.nothing, "kind": kind, **measured.of(rule)}
            print(row, flush=True)
            with file.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    write([json.loads(line) for line in file.read_text().splitlines()])


class Measured:
    """One corpus and one old model."""

    def __init__(self, corpus: Corpus, old: str, provider: Cached) -> None:
        self.corpus, self.old, self.provider = corpus, old, provider
        self.new = next(name for name in NEW if name in corpus.models)
        self.rows: Rows = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
        self.texts = [corpus.texts[row] for row in self.rows]
        counter = WordCounter()
        for text in self.texts:
            counter.add(text)
        self.frequencies, frequent = counter.frequencies(), counter.frequent(MOST_WORDS)
        vectors = provider.embed(frequent.words)
        self.words = WordVectors(frequent.words, vectors, frequent.counts, frequent.documents)
        kept = corpus.measure(old, self.new, corpus.documents[self.new], np.arange(corpus.size))
        self.nothing = round(kept.nothing_retention.value, 4)

    def of(self, rule: Rule) -> dict[str, Any]:
        """The columns of one kind."""
        extracts = [rule(text) for text in self.texts]
        embedded = np.asarray(self.provider.embed(extracts))
        old, new = (self.corpus.documents[name][self.rows] for name in (self.old, self.new))
        row: dict[str, Any] = {"tokens": tokens_of(self.provider, extracts) / tokens_of(self.provider, self.texts)}
        row["alone"] = self._kept(embedded)
        features, ridges = np.hstack([old, embedded]).astype(np.float64), []
        for seed in SEEDS:
            own = np.random.default_rng(seed).permutation(len(new))[: min(RIDGE_PAIRS, len(new) // 2)]
            ridge = fit_ridge(features[own], new[own].astype(np.float64))
            ridges.append(self._kept((features @ ridge.weights + ridge.bias).astype(np.float32)))
        row["ridge"] = float(np.mean(ridges))
        for count in PAIRS:
            kept, overlaps = zip(*(self._fitted(count, seed, old, new, embedded) for seed in SEEDS), strict=True)
            row[f"projected {count}"] = float(np.mean(kept))
        row["overlap"] = float(np.mean(overlaps))
        return {name: round(value, 4) for name, value in row.items()}

    def _fitted(self, count: int, seed: int, old: Vectors, new: Vectors, embedded: Vectors) -> tuple[float, float]:
        shuffled = np.random.default_rng(seed).permutation(len(new))
        own, more = shuffled[:count], shuffled[count : count + OTHERS]

        def embed(_: Sequence[str]) -> Vectors:
            return embedded  # all texts in their order

        extracts = Extracts(
            ExtractRule(WORDS),  # not used: the embeddings are given
            embedded[own],
            embed,
            OtherExtracts(old[more], [self.texts[row] for row in more], embedded[more]),
        )
        fitted = fit_pairs(
            old[own],
            new[own],
            [self.texts[row] for row in own],
            method="auto",
            words=self.words,
            extracts=extracts,
            prior=None,
            landmarks=LANDMARKS,
            seed=seed,
            source_model=None,
            target_model=None,
        )
        projected = fitted.projection.apply(old, self.texts)
        return self._kept(projected), float(HeldOutSearch(new[own], seed).overlaps(fitted.held_out).mean())

    def _kept(self, vectors: Vectors) -> float:
        migrated = np.zeros_like(self.corpus.documents[self.new])
        migrated[self.rows] = vectors
        kept = self.corpus.measure(self.old, self.new, migrated, np.arange(self.corpus.size))
        return float(kept.retention.value)


def write(rows: Sequence[dict[str, Any]]) -> None:
    """The tables, one for each corpus and old model."""
    columns = ("tokens", "alone", "ridge", *(f"projected {count}" for count in PAIRS), "overlap")
    lines = [(__doc__ or "").partition("\n")[2].strip()]
    for corpus, old in dict.fromkeys((row["corpus"], row["old"]) for row in rows):
        own = [row for row in rows if (row["corpus"], row["old"]) == (corpus, old)]
        lines.append(f"## {corpus}, {old} → all-MiniLM-L6-v2 (doing nothing {own[0]['nothing']:.3f})")
        lines.append("\n".join(_table(columns, own)))
    notes = RESULTS / "extracts_notes.md"
    if notes.exists():
        lines.append(notes.read_text().strip())
    (RESULTS / "extracts.md").write_text("\n\n".join(lines) + "\n")


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    best = {column: max(row[column] for row in rows) for column in columns if column != "tokens"}
    table = [f"| {WORDS} words | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    for row in rows:
        cells = [f"**{row[c]:.3f}**" if row[c] == best.get(c) else f"{row[c]:.3f}" for c in columns]
        table.append(f"| {row['kind']} | {' | '.join(cells)} |")
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
