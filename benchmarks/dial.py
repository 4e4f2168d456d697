"""What a share of the new model's tokens buys: `python benchmarks/dial.py DATA_DIR MODELS_DIR ENCODED_DIR`.

The directories are those of `encoders.py` and `beginnings.py`, which must have run. For every corpus, pair of models
and seed, on the whole collection, nDCG@10 by human judgements as a share of what re-embedding everything gives:

- `budget`: what `lightmigrate plan --budget` chooses for a share of the tokens, everything counted: calibration
  documents, sentences, single words, first words that were tried, first words, whole documents;
- `length`: one calibration, every number of first words, costs as they are and as they would be if the calibration
  were that of 100,000 documents of this kind;
- `mixed`: the best of these with 10 to 75 % of the documents embedded whole, at random.

Beside them, at the same cost: ridge with random documents re-embedded (`ridge`), the short embedding alone (`short`),
doing nothing (`nothing`). `expected` is what the plan says before anything but the first calibration documents was
embedded, `expected_then` what the gate says of the map that is used in the end.

Appends to `results/dial.jsonl` as it goes and skips what stands there; `dial_report.py` makes tables and a plot of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from beginnings import WORDS
from corpora import Corpus, Rows, Vectors, corpora
from encoders import encoder

import lightmigrate
from lightmigrate.calibration.sample import diverse_sample
from lightmigrate.calibration.words import FrequentWords, WordCounter
from lightmigrate.dial.census import Census, tokens_of
from lightmigrate.dial.curve import LENGTHS, Curve, draw_curve
from lightmigrate.dial.database import WORDS_SHARE, drawn_samples, usual_samples, words_within
from lightmigrate.dial.setting import Option, Setting
from lightmigrate.dial.study import MOST_FITTED, sentences_for
from lightmigrate.projection.abridged import abridge
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.cache import Cached

RESULTS = Path(__file__).parent / "results" / "dial.jsonl"
BUDGETS = (0.1, 0.15, 0.2, 0.3, 0.5)
MIXED = (0.1, 0.25, 0.5, 0.75)
CALIBRATION = 1000
AS_IF = 100_000


class Encoder(Provider):
    """A model of the data, which is opened when it is asked for something that is not in the cache."""

    provider = "benchmark"

    def __init__(self, name: str, models: Path) -> None:
        super().__init__(name)
        self._models = models
        self._encode: Callable[[Sequence[str]], Vectors] | None = None

    def priced(self, tokens: int) -> Bill:
        """Nothing."""
        return Bill(tokens, 0.0)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """By the model itself."""
        self._encode = self._encode or encoder(self.name, self._models)
        return self._encode(texts)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("encoded", type=Path)
    parser.add_argument("--corpus", help="only this one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", metavar="OLD:NEW", help="only these pairs of models")
    options = parser.parse_args()
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    done = {tuple(json.loads(line)[key] for key in ("corpus", "old", "new", "seed")) for line in lines}
    for corpus in corpora(options.data, options.encoded):
        if options.corpus not in (None, corpus.name):
            continue
        for seed, (old, new) in itertools.product(options.seeds, itertools.permutations(corpus.models, 2)):
            if (corpus.name, old, new, seed) in done or (options.only and f"{old}:{new}" not in options.only):
                continue
            path = options.encoded / corpus.name / f"{new}.first.npz"
            if not path.exists():
                print(f"{path} is missing: beginnings.py makes it", flush=True)
                continue
            beginnings = {int(words): rows.astype(np.float32) for words, rows in np.load(path).items()}
            provider = Cached(Encoder(new, options.models), options.encoded / f"{new}.sqlite3")
            rows = list(Pair(corpus, old, new, seed, provider, beginnings).measured())
            with RESULTS.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            for row in rows:
                print(*row.values(), flush=True)


class Pair:
    """One change of models on one corpus."""

    def __init__(
        self, corpus: Corpus, old: str, new: str, seed: int, provider: Cached, beginnings: dict[int, Vectors]
    ) -> None:
        self.corpus, self.old, self.new, self.seed, self.provider = corpus, old, new, seed, provider
        self.everything: Rows = np.arange(corpus.size)
        self.readable = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
        self.texts = [corpus.texts[row] for row in self.readable]
        self.beginnings = beginnings
        self._remember()
        counter = WordCounter()
        for text in self.texts:
            counter.add(text)
        self.words = counter.frequent()
        begun = {words: [abridge(text, words) for text in self.texts] for words in LENGTHS}
        self.census = Census(
            records=corpus.size,
            texts=len(self.texts),
            tokens=tokens_of(provider, self.texts),
            beginnings={words: tokens_of(provider, texts) for words, texts in begun.items()},
            whole={words: sum(a == b for a, b in zip(begun[words], self.texts, strict=True)) for words in LENGTHS},
            content_sha256="",
            dimension=corpus.documents[old].shape[1],
        )

    def measured(self) -> Iterator[dict[str, Any]]:
        """A row for every point."""
        nothing = self._retention(self.corpus.documents[self.new]).nothing_retention.value
        for budget in BUDGETS:
            tokens = budget * self.census.tokens
            first, drawn_rows = usual_samples(self.census, tokens), self._sampled(drawn_samples(self.census, tokens))
            words = words_within(self.words, self.provider, WORDS_SHARE * tokens)
            curve = draw_curve(
                self._material(drawn_rows[:first], words), self.census, self.provider, tokens=tokens, seed=self.seed
            )
            option = curve.within(tokens)
            setting = option.setting
            fitted = drawn_rows[: min(setting.documents, MOST_FITTED)]
            read = words if setting.reads_texts else None
            done = lightmigrate.train(
                self._material(fitted, read),
                self.provider,
                first_words=setting.first_words or None,
                sentences=sentences_for(self.census),
                seed=self.seed,
            )
            kept = self._kept(done, self._with_random(fitted, setting.documents))
            facts = {"kind": "budget", "budget": budget, "first": first, "growth": round(curve.growth, 3)}
            yield self._row(facts, curve, option, done, kept, nothing)
        first_rows = self._sampled(min(CALIBRATION, self.census.texts // 2))
        curve = draw_curve(self._material(first_rows, self.words), self.census, self.provider, seed=self.seed)
        tried = [Setting(False, 0, len(first_rows)), *(Setting(True, n, len(first_rows)) for n in (0, *LENGTHS))]
        for setting in tried:
            done = curve.training(setting)
            yield self._row(
                {"kind": "length"}, curve, curve.option(setting), done, self._kept(done, first_rows), nothing
            )
        best = max(tried, key=lambda setting: curve.option(setting).expected.value)
        for share in MIXED:
            exact = self._with_random(
                first_rows, len(first_rows) + round(share * (self.census.texts - len(first_rows)))
            )
            done = curve.training(best)
            gate = done.gate_when_exact(len(exact) / self.census.texts)
            option = replace(curve.option(replace(best, documents=len(exact))), expected=gate.expected_retention)
            yield self._row({"kind": "mixed", "share": share}, curve, option, done, self._kept(done, exact), nothing)

    def _sampled(self, count: int) -> Rows:
        vectors = self.corpus.documents[self.old][self.readable]
        chosen = diverse_sample(vectors, min(count, len(vectors)), self.seed)
        rows: Rows = self.readable[np.random.default_rng(self.seed).permutation(chosen)]
        return rows

    def _material(self, rows: Rows, words: FrequentWords | None) -> lightmigrate.Material:
        texts = [self.corpus.texts[row] for row in rows]
        return lightmigrate.Material(texts, self.corpus.documents[self.old][rows], words, self.census.texts)

    def _with_random(self, rows: Rows, count: int) -> Rows:
        others = np.random.default_rng(self.seed).permutation(np.setdiff1d(self.readable, rows))
        return np.concatenate([rows, others[: max(0, count - len(rows))]])

    def _kept(self, done: lightmigrate.Training, exact: Rows) -> float:
        """Retention of the whole collection: what was embedded whole is exact, the rest is mapped."""
        vectors = done.projection.apply(self.corpus.documents[self.old], self.corpus.texts)
        vectors[exact] = self.corpus.documents[self.new][exact]
        return float(self._retention(vectors).retention.value)

    def _ridge(self, share: float) -> float:
        """Ridge, and as many random documents embedded by the new model as the tokens buy."""
        exact = np.random.default_rng(self.seed).permutation(self.readable)[: round(share * len(self.readable))]
        old, new = self.corpus.documents[self.old], self.corpus.documents[self.new]
        vectors = lightmigrate.fit(old[exact], new[exact], method="ridge", seed=self.seed).apply(old)
        vectors[exact] = new[exact]
        return float(self._retention(vectors).retention.value)

    def _short(self, share: float) -> float:
        """The new model's embedding of nothing but the first words, read off between the lengths that were measured."""
        points = [(0.0, 0.0), (1.0, 1.0)]
        for words in WORDS:
            tokens = tokens_of(self.provider, [abridge(text, words) for text in self.texts])
            points.append((tokens / self.census.tokens, self._retention(self.beginnings[words]).retention.value))
        costs, kept = zip(*sorted(points), strict=True)
        return float(np.interp(share, costs, kept))

    def _row(
        self,
        facts: dict[str, Any],
        curve: Curve,
        option: Option,
        done: lightmigrate.Training,
        kept: float,
        nothing: float,
    ) -> dict[str, Any]:
        setting, cost = option.setting, option.share_of_tokens
        then = done.gate_when_exact(setting.documents / self.census.texts).expected_retention
        as_if = option.tokens - curve.paid + curve.paid * self.census.texts / AS_IF
        return {
            "corpus": self.corpus.name,
            "old": self.old,
            "new": self.new,
            "seed": self.seed,
            **facts,
            "documents": setting.documents,
            "first_words": setting.first_words if setting.reads_texts else None,
            "method": done.projection.info.training["method"],
            "cost": round(cost, 4),
            "cost_as_if": round(as_if / self.census.tokens, 4),
            "kept": round(kept, 4),
            "expected": round(option.expected.value, 4),
            "expected_then": round(then.value, 4),
            "nothing": round(nothing, 4),
            "ridge": round(self._ridge(cost), 4) if cost <= 1 else None,
            "short": round(self._short(cost), 4),
        }

    def _retention(self, vectors: Vectors) -> Any:
        return self.corpus.measure(self.old, self.new, vectors, self.everything)

    def _remember(self) -> None:
        """Fill the cache with what is on disk already: whole documents, their first words, and single words."""
        if not self.provider.bill(self.texts).tokens:
            return
        documents = self.corpus.documents[self.new]
        known = {text: documents[row] for row, text in zip(self.readable, self.texts, strict=True)}
        for words, rows in self.beginnings.items():
            known |= {abridge(text, words): rows[row] for row, text in zip(self.readable, self.texts, strict=True)}
        said = self.corpus.words(self.new)
        if said is not None:
            known |= dict(zip(said.words, np.asarray(said.vectors), strict=True))
        self.provider.remember(list(known), np.stack(list(known.values())))


if __name__ == "__main__":
    main()
