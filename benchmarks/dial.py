"""What a share of the new model's tokens buys: `python benchmarks/dial.py DATA_DIR MODELS_DIR ENCODED_DIR`.

The directories are those of `encoders.py` and `beginnings.py`, which must have run; `budget` does without the latter,
and then says nothing of `short`. For every corpus, pair of models
and seed, on the whole collection, nDCG@10 by human judgements as a share of what re-embedding everything gives:

- `budget`: what a plan chooses for a share of the tokens that knows first words only (`plan_end_to_end.py` follows
  `lightmigrate plan`, which compares kinds of extracts), everything counted: calibration documents, sentences, single
  words, extracts that were tried, extracts, whole documents;
- `length`: one calibration and several lengths of extracts, costs as they are and as they would be if the
  calibration were that of 100,000 documents of this kind;
- `mixed`: the best of these with 10 to 75 % of the documents embedded whole, at random.

Beside them, at the same cost: ridge with random documents re-embedded (`ridge`), the short embedding alone (`short`),
doing nothing (`nothing`). `expected` is what the plan says before anything but the first calibration documents was
embedded, `expected_then` what the gate expects of the projection that is used in the end.

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
from corpora import Corpus, Rows, Vectors, corpora
from encoders import encoder

import lightmigrate
from lightmigrate.budget.budget_split import (
    LENGTHS,
    drawn_samples,
    lengths_within,
    more_extracts,
    usual_samples,
    words_within,
)
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.curve import measure_curve
from lightmigrate.budget.curve_data import CurveData
from lightmigrate.budget.measuring_options import MeasuringOptions
from lightmigrate.budget.quality_estimator import sentences_for, tokens_to_measure
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.projection.terms.extract_rule import ExtractKind, ExtractRule
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.training.diverse_sample import diverse_sample
from lightmigrate.training.frequent_words import FrequentWords, WordCounter
from lightmigrate.training.request import tokens_of
from lightmigrate.training.train import Training

RESULTS = Path(__file__).parent / "results" / "dial.jsonl"
BUDGETS = (0.1, 0.15, 0.2, 0.3, 0.5)
MIXED = (0.1, 0.25, 0.5, 0.75)
KINDS = ("budget", "length")
CALIBRATION = 500
LENGTHS_SHOWN = (8, 24, 48)
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
    parser.add_argument("--budgets", type=float, nargs="+", default=BUDGETS, help="shares of the tokens")
    parser.add_argument("--only", nargs="+", metavar="OLD:NEW", help="only these pairs of models")
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=KINDS, help="only these; `mixed` comes with length"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to append to")
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    done = {tuple(json.loads(line)[key] for key in ("corpus", "old", "new", "seed", "kind")) for line in lines}
    for corpus in corpora(options.data, options.encoded, options.corpus):
        pairs = [
            pair
            for pair in itertools.permutations(corpus.models, 2)
            if not options.only or ":".join(pair) in options.only
        ]
        for kind, seed, (old, new) in itertools.product(options.kinds, options.seeds, pairs):
            if (corpus.name, old, new, seed, kind) in done:
                continue
            path = options.encoded / corpus.name / f"{new}.first.npz"
            if not path.exists() and kind != "budget":
                print(f"{path} is missing: beginnings.py makes it", flush=True)
                continue
            stored = np.load(path) if path.exists() else {}
            beginnings = {int(words): rows.astype(np.float32) for words, rows in stored.items()}
            provider = Cached(Encoder(new, options.models), options.encoded / f"{new}.sqlite3")
            pair, rows = Pair(corpus, old, new, seed, provider, beginnings), []
            for row in pair.budgets(options.budgets) if kind == "budget" else pair.lengths():
                rows.append(row)
                print(*row.values(), flush=True)
            with options.results.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)


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
        self.nothing = self._retention(corpus.documents[new]).nothing_retention.value
        counter = WordCounter()
        for text in self.texts:
            counter.add(text)
        self.words = counter.frequent()
        begun = {words: [ExtractRule(words).of(text) for text in self.texts] for words in LENGTHS}
        self.size = CollectionSize(
            records=corpus.size,
            texts=len(self.texts),
            tokens=tokens_of(provider, self.texts),
            extract_tokens={"first": {words: tokens_of(provider, texts) for words, texts in begun.items()}},
            short_texts={
                words: sum(a == b for a, b in zip(begun[words], self.texts, strict=True)) for words in LENGTHS
            },
            content_sha256="",
            dimension=corpus.documents[old].shape[1],
        )
        self.short = [
            (self.size.extract_tokens["first"][words] / self.size.tokens, self._retention(rows).retention.value)
            for words, rows in sorted(beginnings.items())
            if words in LENGTHS
        ]

    def budgets(self, budgets: Sequence[float]) -> Iterator[dict[str, Any]]:
        """What the plan chooses for each budget."""
        drawn_rows = self._sampled(drawn_samples(self.size))
        for budget in budgets:
            tokens = budget * self.size.tokens
            first, words = usual_samples(self.size, tokens), words_within(self.words, self.provider, tokens)
            left = tokens - tokens_to_measure(self._material(drawn_rows[:first], words), self.provider)
            lengths: dict[ExtractKind, list[int]] = {"first": lengths_within(self.size, left)}
            more = first + more_extracts(self.size, lengths, first, tokens)
            material = self._material(drawn_rows[:first], words, drawn_rows[first:more])
            curve = measure_curve(
                CurveData(material, self.size, lengths, len(material.texts)),
                self.provider,
                MeasuringOptions(seed=self.seed),
            )
            option = curve.within(tokens)
            setting = option.setting
            fitted = drawn_rows[: setting.documents]
            read = words if setting.reads_texts else None
            done = self._trained(self._material(fitted, read, drawn_rows[setting.documents :]), setting.extract_words)
            facts = {"kind": "budget", "budget": budget, "first": first, "tried": lengths["first"]}
            facts["growth"] = round(curve.growth, 3)
            exact = self._with_random(fitted, setting.documents)
            yield self._row(facts, setting, option.tokens, option.expected.value, done, exact)

    def lengths(self) -> Iterator[dict[str, Any]]:
        """One calibration with several lengths of extracts, and the best of them with more exact rows."""
        drawn_rows = self._sampled(drawn_samples(self.size))
        first_rows, others = np.split(drawn_rows, [min(CALIBRATION, self.size.texts // 2)])
        material = self._material(first_rows, self.words, others)
        calibration = tokens_to_measure(material, self.provider)
        done_with: dict[BudgetSetting, Training] = {}
        for reads, words in ((False, 0), *((True, words) for words in (0, *LENGTHS_SHOWN))):
            setting = BudgetSetting(reads, words, len(first_rows))
            done_with[setting] = done = self._trained(material if reads else replace(material, words=None), words)
            expected, tokens = (
                self._expected(done, first_rows),
                calibration + self.size.extract_tokens["first"].get(words, 0),
            )
            as_if = (tokens - calibration * (1 - self.size.texts / AS_IF)) / self.size.tokens
            facts = {"kind": "length", "cost_as_if": round(as_if, 4)}
            yield self._row(facts, setting, tokens, expected, done, first_rows)
        best = max(done_with, key=lambda one: self._expected(done_with[one], first_rows))
        for share in MIXED:
            more = round(share * (self.size.texts - len(first_rows)))
            exact = self._with_random(first_rows, len(first_rows) + more)
            done, setting = done_with[best], replace(best, documents=len(exact))
            tokens = (
                calibration
                + self.size.extract_tokens["first"].get(best.extract_words, 0)
                + round(share * self.size.tokens)
            )
            facts = {"kind": "mixed", "share": share}
            yield self._row(facts, setting, tokens, self._expected(done, exact), done, exact)

    def _trained(self, material: lightmigrate.CalibrationData, extract_words: int) -> Training:
        return lightmigrate.train(
            material,
            self.provider,
            extract_words=extract_words or None,
            sentences=sentences_for(len(material.texts)),
            seed=self.seed,
        )

    def _expected(self, done: Training, exact: Rows) -> float:
        return done.gate_when_exact(len(exact) / self.size.texts).expected_retention.value

    def _sampled(self, count: int) -> Rows:
        vectors = self.corpus.documents[self.old][self.readable]
        chosen = diverse_sample(vectors, min(count, len(vectors)), self.seed)
        rows: Rows = self.readable[np.random.default_rng(self.seed).permutation(chosen)]
        return rows

    def _material(
        self, rows: Rows, words: FrequentWords | None, more: Rows | None = None
    ) -> lightmigrate.CalibrationData:
        texts, vectors = self.corpus.texts, self.corpus.documents[self.old]
        material = lightmigrate.CalibrationData([texts[row] for row in rows], vectors[rows], words, self.size.texts)
        if more is None:
            return material
        return replace(material, extract_texts=[texts[row] for row in more], extract_vectors=vectors[more])

    def _with_random(self, rows: Rows, count: int) -> Rows:
        others = np.random.default_rng(self.seed).permutation(np.setdiff1d(self.readable, rows))
        return np.concatenate([rows, others[: max(0, count - len(rows))]])

    def _kept(self, done: Training, exact: Rows) -> float:
        """Retention of the whole collection: what was embedded whole is exact, the rest is projected."""
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

    def _short(self, share: float) -> float | None:
        """The new model's embedding of the extracts alone, read off between the lengths that were measured."""
        if not self.short:
            return None
        costs, kept = zip((0.0, 0.0), *self.short, (1.0, 1.0), strict=True)
        return round(float(np.interp(share, costs, kept)), 4)

    def _row(
        self,
        facts: dict[str, Any],
        setting: BudgetSetting,
        tokens: int,
        expected: float,
        done: Training,
        exact: Rows,
    ) -> dict[str, Any]:
        cost = tokens / self.size.tokens
        return {
            "corpus": self.corpus.name,
            "old": self.old,
            "new": self.new,
            "seed": self.seed,
            **facts,
            "documents": setting.documents,
            "first_words": setting.extract_words if setting.reads_texts else None,
            "method": done.projection.info.training["method"],
            "cost": round(cost, 4),
            "kept": round(self._kept(done, exact), 4),
            "expected": round(expected, 4),
            "expected_then": round(self._expected(done, exact), 4),
            "nothing": round(self.nothing, 4),
            "ridge": round(self._ridge(cost), 4) if cost <= 1 else None,
            "short": self._short(cost),
        }

    def _retention(self, vectors: Vectors) -> Any:
        return self.corpus.measure(self.old, self.new, vectors, self.everything)

    def _remember(self) -> None:
        """Fill the cache with what is on disk already: whole documents, their extracts, and single words."""
        if not self.provider.bill(self.texts).tokens:
            return
        documents = self.corpus.documents[self.new]
        known = {text: documents[row] for row, text in zip(self.readable, self.texts, strict=True)}
        for words, rows in self.beginnings.items():
            known |= {
                ExtractRule(words).of(text): rows[row] for row, text in zip(self.readable, self.texts, strict=True)
            }
        said = self.corpus.words(self.new)
        if said is not None:
            known |= dict(zip(said.words, np.asarray(said.vectors), strict=True))
        self.provider.remember(list(known), np.stack(list(known.values())))


if __name__ == "__main__":
    main()
