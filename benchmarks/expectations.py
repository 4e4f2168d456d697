"""What the gate sees of a projection, beside what people judge: `python benchmarks/expectations.py DATA_DIR CACHE_DIR`.

DATA_DIR is in the layout of `corpora.py`; the models are those of `field/models.py`. For every corpus, change of models
(`--only OLD:NEW`), number of calibration documents and kind of projection (vectors alone, texts and words, extracts of
a sixth of the words, of two kinds), a projection is trained as the product trains it, and everything is recorded from
which an expectation could be computed: for every sentence of a calibration document (also for parts of 3 and 6 words,
and for 4 content words) the rank of its own document, and for these and for every query of users, where the nearest
documents of the new model's space stand among the projected ones, and the other way round. Beside it stands what human
judgements (or headings) say of the documents that were not calibrated on, and of the whole collection; and, for several
shares of exact documents, what the gate expects then, and what the whole collection keeps with so many exact ones.

Appends a line for each run to `CACHE_DIR/expectations.jsonl`, with an `.npz` of the ranks beside it, and skips what
stands there. `expectations_fit.py` fits the gate's constants to that, each corpus left out, and writes the results.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus, Rows, Vectors, corpora
from field.models import open_model

import lightmigrate
from lightmigrate.projection.terms.extract_rule import DocumentFrequencies, ExtractKind, ExtractRule
from lightmigrate.projection.terms.words import count_words, first_words, words_of
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.metrics import search
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.training.diverse_sample import diverse_sample
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.training.judge import Judge
from lightmigrate.training.train import Training

SIZES = (100, 300, 1000)
EXACT_SHARES = (0.1, 0.3, 0.5)
SHARE_OF_WORDS, FEWEST_WORDS, MOST_WORDS = 1 / 6, 4, 24
TRIED: Mapping[str, tuple[bool, ExtractKind | None]] = {
    "vectors": (False, None),
    "texts": (True, None),
    "first": (True, "first"),
    "content": (True, "content"),
}
SENTENCES = 300
DEPTH = 20
KEYS = ("corpus", "old", "new", "pairs", "seed", "tried")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--corpus", nargs="+", help="only these")
    parser.add_argument("--only", nargs="+", metavar="OLD:NEW", help="only these changes of models")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--tried", nargs="+", choices=TRIED, default=list(TRIED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    file = options.cache / "expectations.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    done = {tuple(json.loads(line)[key] for key in KEYS) for line in lines}
    for corpus in corpora(options.data):
        if options.corpus and corpus.name not in options.corpus:
            continue
        for old, new in itertools.permutations(corpus.models, 2):
            if options.only and f"{old}:{new}" not in options.only:
                continue
            change = Change(corpus, old, new, options)
            for row, ranks in change.runs(done):
                np.savez_compressed(options.cache / f"{row['ranks']}.npz", **ranks)
                with file.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(*row.values(), flush=True)


class Change:
    """One change of models on one corpus."""

    def __init__(self, corpus: Corpus, old: str, new: str, options: argparse.Namespace) -> None:
        self.corpus, self.old, self.new, self.options = corpus, old, new, options
        self.readable = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
        self.provider = Cached(open_model(new, options.data / "packages"), options.cache / f"{new}.sqlite3")
        counter = WordCounter()
        for row in self.readable:
            counter.add(corpus.texts[row])
        mean = float(np.mean([len(corpus.texts[row].split()) for row in self.readable]))
        self.extract_words = int(np.clip(round(SHARE_OF_WORDS * mean), FEWEST_WORDS, MOST_WORDS))
        self.words = counter.frequent()
        self.frequencies: DocumentFrequencies = counter.frequencies()

    def runs(self, done: set[Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """A line and the ranks of each run that is not in `done`."""
        for size, seed, tried in itertools.product(self.options.sizes, self.options.seeds, self.options.tried):
            key = (self.corpus.name, self.old, self.new, size, seed, tried)
            if key in done or 2 * size > len(self.readable):
                continue
            started = time.perf_counter()
            fitted = self._sampled(size, seed)
            row, ranks = self._run(fitted, seed, tried)
            named = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
            seconds = round(time.perf_counter() - started, 1)
            yield dict(zip(KEYS, key, strict=True)) | row | {"seconds": seconds, "ranks": named}, ranks

    def _run(self, fitted: Rows, seed: int, tried: str) -> tuple[dict[str, Any], dict[str, Any]]:
        corpus, (reads, kind) = self.corpus, TRIED[tried]
        texts = [corpus.texts[row] for row in fitted]
        old, new = corpus.documents[self.old], corpus.documents[self.new]
        self.provider.remember(texts, new[fitted])
        captured: dict[str, Any] = {}
        data = lightmigrate.CalibrationData(
            texts, old[fitted], self.words if reads else None, len(self.readable), frequencies=self.frequencies
        )
        training = lightmigrate.train(
            data,
            self.provider,
            extract_words=self.extract_words if kind else None,
            extract_kind=kind or "first",
            sentences=SENTENCES,
            seed=seed,
        )
        embedded, predicted = training.judge.embedded, training.held_out
        rows = training.judge.request.query_rows
        captured |= ranks_of("sentences", embedded.new_queries, embedded.new, predicted, rows)
        for name, words in (("short", 6), ("shorter", 3)):
            queries, own = parts_of(texts, words, seed)
            captured |= ranks_of(name, self.provider.embed_queries(queries), embedded.new, predicted, own)
        queries, own = keywords_of(texts, self.frequencies, seed)
        captured |= ranks_of("keywords", self.provider.embed_queries(queries), embedded.new, predicted, own)
        captured |= ranks_of("users", corpus.queries[self.new], embedded.new, predicted, None)
        captured |= neighbours(old[fitted], new[fitted])
        projected = training.projection.apply(old, corpus.texts)
        held_out = np.setdiff1d(self.readable, fitted)
        whole = projected.copy()
        whole[fitted] = new[fitted]
        outside = corpus.measure(self.old, self.new, projected, held_out)
        all_of = corpus.measure(self.old, self.new, whole, np.arange(corpus.size))
        gate = training.gate
        return {
            "documents": len(self.readable),
            "extract_words": self.extract_words if kind else 0,
            "method": training.projection.info.training["method"],
            "expected": rounded(gate.expected_retention),
            "expected_by_users": rounded(self._by_users(training, 0.0)),
            "overlap": round(gate.migrated.overlap.value, 4),
            "held_out": round(outside.retention.value, 4),
            "held_out_overlap": round(outside.overlap, 4),
            "held_out_nothing": round(outside.nothing_retention.value, 4),
            "whole": round(all_of.retention.value, 4),
            "whole_overlap": round(all_of.overlap, 4),
            "nothing": round(all_of.nothing_retention.value, 4),
            "ndcg": round(all_of.reembedded.value, 4),
            "fit_seconds": round(training.fitting_seconds, 1),
            "exact": [
                self._when_exact(training, fitted, projected, share, seed)
                for share in EXACT_SHARES
                if share * len(self.readable) >= len(fitted)
            ],
        }, captured

    def _when_exact(
        self, training: Training, fitted: Rows, projected: Vectors, share: float, seed: int
    ) -> dict[str, Any]:
        """What the gate expects when a share of the documents is exact, and what the whole collection keeps then."""
        corpus, new = self.corpus, self.corpus.documents[self.new]
        others = np.random.default_rng(seed).permutation(np.setdiff1d(self.readable, fitted))
        exact = np.concatenate([fitted, others])[: round(share * len(self.readable))]
        whole = projected.copy()
        whole[exact] = new[exact]
        return {
            "share": share,
            "kept": round(corpus.measure(self.old, self.new, whole, np.arange(corpus.size)).retention.value, 4),
            "expected": rounded(training.gate_when_exact(share).expected_retention),
            "expected_by_users": rounded(self._by_users(training, share)),
        }

    def _by_users(self, training: Training, share: float) -> QualityEstimate:
        """What the gate expects by the queries of users."""
        judge = judge_of(training.judge, self.corpus.queries[self.new])
        return judge.judge(training.held_out, training.judges, share).expected_retention

    def _sampled(self, size: int, seed: int) -> Rows:
        chosen = diverse_sample(self.corpus.documents[self.old][self.readable], size, seed)
        rows: Rows = self.readable[np.random.default_rng(seed).permutation(chosen)]
        return rows


def judge_of(judge: Judge, queries: Vectors) -> Judge:
    """The same judge with queries of users, by the new model."""
    request = replace(judge.request, queries=[""] * len(queries), query_rows=None)
    return replace(judge, request=request, embedded=replace(judge.embedded, new_queries=queries, old_queries=None))


def rounded(estimate: QualityEstimate) -> list[float]:
    """The value and both ends."""
    return [round(end, 4) for end in estimate.ends]


def parts_of(texts: list[str], words: int, seed: int) -> tuple[list[str], list[int]]:
    """So many consecutive words of documents, from random places, and for each the row of its document."""
    rng = np.random.default_rng(seed)
    rows = np.resize(rng.permutation(len(texts)), min(SENTENCES, 2 * len(texts))).tolist()
    starts = [int(rng.integers(0, max(1, count_words(texts[row]) - words + 1))) for row in rows]
    return [first_words(texts[row], words, start) for row, start in zip(rows, starts, strict=True)], rows


def keywords_of(texts: list[str], frequencies: DocumentFrequencies, seed: int) -> tuple[list[str], list[int]]:
    """Four content words of documents, at random, in their order, and for each the row of its document."""
    rng = np.random.default_rng(seed)
    rows = np.resize(rng.permutation(len(texts)), min(SENTENCES, 2 * len(texts))).tolist()
    rule = ExtractRule(10**6, "content", frequencies)
    found = []
    for row in rows:
        words = list(dict.fromkeys(words_of(rule.of(texts[row])))) or [texts[row]]
        kept = np.sort(rng.permutation(len(words))[:4]).tolist()
        found.append(" ".join(words[at] for at in kept))
    return found, rows


def ranks_of(name: str, queries: Vectors, true: Vectors, projected: Vectors, own: Any) -> dict[str, Any]:
    """Of each query the ranks of the nearest true documents among the projected ones and the other way round.

    The ranks `(q, DEPTH)` leave out the query's own document, whose ranks are `(q,)`.
    """
    order = {side: search(queries, rows, len(rows)) for side, rows in (("true", true), ("projected", projected))}
    place = {side: np.argsort(ranking, axis=1) for side, ranking in order.items()}
    found: dict[str, Any] = {}
    for side, other in (("true", "projected"), ("projected", "true")):
        first = order[side][:, : DEPTH + 1]
        if own is not None:
            mine = np.asarray(own)[:, None]
            first = np.take_along_axis(first, np.argsort(first == mine, axis=1, kind="stable"), axis=1)
            found[f"{name}_own_{side}"] = np.take_along_axis(place[side], mine, axis=1)[:, 0].astype(np.int32)
        first = first[:, :DEPTH]
        ranks = np.take_along_axis(place[other], first, axis=1)
        if own is not None:  # as if the own document were not there
            ranks = ranks - (ranks > np.take_along_axis(place[other], mine, axis=1))
        found[f"{name}_{side}_in_{other}"] = ranks.astype(np.int32)
    return found


def neighbours(old: Vectors, new: Vectors) -> dict[str, Any]:
    """Of each document the ranks of its nearest others of the new space in the old one, `(n, DEPTH)`."""
    order = search(new, new, len(new))
    order = np.take_along_axis(order, np.argsort(order == np.arange(len(new))[:, None], axis=1, kind="stable"), axis=1)
    place = np.argsort(search(old, old, len(old)), axis=1)
    own = np.take_along_axis(place, np.arange(len(new))[:, None], axis=1)
    found = np.take_along_axis(place, order[:, :DEPTH], axis=1)
    return {"documents_new_in_old": (found - (found > own)).astype(np.int32)}


if __name__ == "__main__":
    main()
