"""What a plan foresees of more documents, and what they give.

Run `python benchmarks/growth.py DATA_DIR CACHE_DIR CORPUS:OLD …`. DATA_DIR is in the layout of `corpora.py`; the new
model is all-MiniLM-L6-v2 in 8 bits (`minilm-int8`). A plan measures on some documents (`--first`) and foresees what a
projection would keep that is fitted to `--times` as many. Here it is fitted, in the order in which a plan embeds
documents, and what the whole collection keeps (documents that were embedded whole have their own vectors) stands beside
what the gate says of it, of fits to halves of the documents, and of the first fit (`ahead`) if as many documents as in
the later ones had their own vectors. Every corpus, `--seeds` times.

With what is kept stands how sure that is: nDCG@10 is a mean over the corpus's queries, and with other queries of the
same users it would be another one. `spread` is its standard deviation over queries drawn anew (paired with embedding
everything), `near` the share of draws within .03: how often somebody who knew what all queries of all users keep would
be within .03 of what is measured with these.

Appends a line for each fit to `results/growth.jsonl`, skips what stands there, and writes `results/growth.md` from it,
for projections that read the texts. `now` is what a plan on the first documents says of more of them. `before` it took
.8 for the power with which the odds grow, however many documents there are, and that halfway to what fits to halves of
the documents showed (which the lines of 30 November have, and no new ones). Below it are the powers
with which the gate's own odds grow, in which no judgement is; that they fall beyond 500 documents is read from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus, Vectors
from field.models import open_model

import lightmigrate
from lightmigrate.budget.quality_estimator import sentences_for, typical_growth, with_odds
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Gate
from lightmigrate.quality.metrics import ndcg_per_query, search
from lightmigrate.training.diverse_sample import diverse_sample
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.training.train import Training

NEW, NEAR, DRAWS = "minilm-int8", 0.03, 2000
FILE = Path(__file__).parent / "results" / "growth.jsonl"
EARLIER_GROWTH, EARLIER_HALVES = 0.8, 80
Row = dict[str, Any]
KEYS = ("corpus", "old", "seed", "first", "documents", "reads_texts")


class Collection:
    """A corpus, and the documents of it in the order in which a plan embeds them."""

    def __init__(self, corpus: Corpus, old: str, provider: Cached) -> None:
        self.corpus, self.old, self.provider = corpus, old, provider
        self.readable = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
        texts = [corpus.texts[row] for row in self.readable]
        provider.remember(texts, corpus.documents[NEW][self.readable])
        counter = WordCounter()
        for text in texts:
            counter.add(text)
        self.words, self.frequencies = counter.frequent(), counter.frequencies()
        self.judged = [row for row, grades in enumerate(corpus.relevant) if grades]
        self.exact = self._gains(corpus.documents[NEW])

    def data(self, seed: int, first: int) -> lightmigrate.CalibrationData:
        """All documents; the first represent the collection."""
        old = self.corpus.documents[self.old]
        chosen = self.readable[diverse_sample(old[self.readable], len(self.readable), seed)]
        chosen = np.random.default_rng(seed).permutation(chosen)
        return lightmigrate.CalibrationData(
            [self.corpus.texts[row] for row in chosen],
            old[chosen],
            self.words,
            len(self.readable),
            frequencies=self.frequencies,
            positions=chosen,
        ).shorter_first(first)

    def runs(self, seed: int, first: int, times: tuple[int, ...], done: set[Any]) -> Iterator[dict[str, Any]]:
        """A line for each fit that is not in `done`."""
        whole = self.data(seed, first)
        for reads_texts, more in itertools.product((True, False), times):
            count = first * more
            key = (self.corpus.name, self.old, seed, first, count, reads_texts)
            if key in done or 2 * count > len(self.readable):
                continue
            started = time.process_time()
            data = whole.first(count) if reads_texts else whole.first(count).without_texts()
            training = lightmigrate.train(data, self.provider, sentences=sentences_for(first), seed=seed)
            row = dict(zip(KEYS, key, strict=True)) | self._seen(training) | self._kept(training)
            if more == 1:
                shares = {str(each): min(1.0, first * each / len(self.readable)) for each in times}
                row["ahead"] = {each: _facts(training.gate_when_exact(share)) for each, share in shares.items()}
            yield row | {"seconds": round(time.process_time() - started, 1)}

    def _seen(self, training: Training) -> dict[str, Any]:
        count, size = len(training.data.texts), len(self.readable)
        exact = training.gate_when_exact(count / size)
        return {
            "texts": size,
            "method": training.projection.info.training["method"],
            "gate": _facts(training.gate),
            "when_exact": _facts(exact),
        }

    def _kept(self, training: Training) -> dict[str, Any]:
        corpus, rows = self.corpus, training.data.positions
        assert rows is not None, "documents of a collection have positions"
        vectors = training.projection.apply(corpus.documents[self.old], corpus.texts)
        held_out = np.setdiff1d(self.readable, rows)
        outside = corpus.measure(self.old, NEW, vectors, held_out)
        vectors[rows] = corpus.documents[NEW][rows]
        whole = corpus.measure(self.old, NEW, vectors, np.arange(corpus.size))
        drawn = self._drawn(self._gains(vectors))
        return {
            "nothing": round(whole.nothing_retention.value, 4),
            "kept": round(whole.retention.value, 4),
            "held_out": round(outside.retention.value, 4),
            "queries": len(self.judged),
            "spread": round(float(drawn.std()), 4),
            "near": round(float((np.abs(drawn - whole.retention.value) <= NEAR).mean()), 4),
        }

    def _gains(self, documents: Vectors) -> Vectors:
        ranking = search(self.corpus.queries[NEW][self.judged], documents, 10)
        return np.asarray(ndcg_per_query(ranking, [self.corpus.relevant[row] for row in self.judged]))

    def _drawn(self, kept: Vectors) -> Vectors:
        """What as many queries drawn anew keep, `(DRAWS,)`."""
        picks = np.random.default_rng(0).integers(0, len(kept), (DRAWS, len(kept)))
        return np.asarray(kept[picks].mean(axis=1) / self.exact[picks].mean(axis=1))


def _facts(judged: Gate) -> dict[str, float]:
    found = judged.migrated.found
    return {
        "expected": round(judged.expected_retention.value, 4),
        "low": round(judged.expected_retention.low, 4),
        "high": round(judged.expected_retention.high, 4),
        "found": round(found.value, 4) if found is not None else 0.0,
        "overlap": round(judged.migrated.overlap.value, 4),
        "recall": round(judged.reembedded.recall.value, 4) if judged.reembedded.recall is not None else 0.0,
    }


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("pairs", nargs="*", metavar="CORPUS:OLD")
    parser.add_argument("--first", type=int, nargs="+", default=(30, 60, 120, 240))
    parser.add_argument("--times", type=int, nargs="+", default=(1, 2, 4))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    given = parser.parse_args()
    FILE.touch()
    done = {tuple(row[key] for key in KEYS) for row in read()}
    provider = Cached(open_model(NEW, given.data / "packages"), given.cache / "minilm.sqlite3")
    for name, old in (pair.split(":") for pair in given.pairs):
        collection = Collection(Corpus(given.data / name), old, provider)
        for seed, first in itertools.product(given.seeds, given.first):
            for row in collection.runs(seed, first, tuple(given.times), done):
                print(row, flush=True)
                with FILE.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
    FILE.with_suffix(".md").write_text(table(read()))


def table(rows: Sequence[Row]) -> str:
    """As Markdown: how far off is what was foreseen, by corpus and number of documents."""
    lines = [
        "# What a plan foresees of more documents",
        (__doc__ or "").partition("\n")[2].strip(),
        "",
        "| corpus | first documents | fits | before: off | absolute | now: off | absolute "
        "| the gate with all: off | absolute |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    later = {tuple(row[key] for key in KEYS): row for row in rows}
    cases: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for row in rows:
        if row["documents"] > row["first"] or not row["reads_texts"]:
            continue
        for more, ahead in row["ahead"].items():
            found = later.get(tuple({**row, "documents": row["first"] * int(more)}[key] for key in KEYS))
            if more != "1" and found is not None:
                said = [*foreseen(row, ahead["expected"], int(more)), found["when_exact"]["expected"]]
                cases.setdefault((row["corpus"], row["first"]), []).append(tuple(one - found["kept"] for one in said))
    for name, first, own in [
        *((*key, cases[key]) for key in sorted(cases)),
        ("**all**", "", list(itertools.chain(*cases.values()))),
    ]:
        off = np.array(own)
        cells = [f"{one.mean():+.3f} | {np.abs(one).mean():.3f}" for one in off.T]
        lines.append(f"| {name} | {first} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *powers(rows)]) + "\n"


def foreseen(row: Row, kept: float, more: int) -> list[float]:
    """Before, and now."""
    before, full = EARLIER_GROWTH, row["gate"]["expected"]
    if "halves" in row and row["first"] >= EARLIER_HALVES and 0 < full < 1:
        half = row["halves"]["expected"]
        before += (max(0.0, _power(half, full, 2)) - before) / 2 if 0 < half < 1 else 0.0
    return [with_odds(kept, more**power) for power in (before, typical_growth(row["first"], row["first"] * more))]


def powers(rows: Sequence[Row]) -> list[str]:
    """With which power the gate's odds grow from one number of documents to another one, as Markdown."""
    fits: dict[tuple[Any, ...], dict[int, float]] = {}
    for row in rows:
        if row["reads_texts"]:
            key = (row["corpus"], row["old"], row["seed"], row["first"])
            fits.setdefault(key, {})[row["documents"]] = row["gate"]["expected"]
    found: dict[tuple[int, int], list[float]] = {}
    for by_size in fits.values():
        for (few, before), (many, after) in itertools.pairwise(sorted(by_size.items())):
            if 0 < before < 1 and 0 < after < 1:
                found.setdefault((few, many), []).append(_power(before, after, many / few))
    lines = ["| from | to | fits | power, median | quartiles | typical |", "|--:|--:|--:|--:|--:|--:|"]
    for (few, many), own in sorted(found.items()):
        low, middle, high = np.percentile(own, [25, 50, 75])
        cells = f"{middle:.2f} | {low:.2f} to {high:.2f} | {typical_growth(few, many):.2f}"
        lines.append(f"| {few:,} | {many:,} | {len(own)} | {cells} |")
    return lines


def _power(before: float, after: float, times: float) -> float:
    return math.log(after / (1 - after) * (1 - before) / before) / math.log(times)


def read() -> list[Row]:
    """All runs."""
    return [json.loads(line) for line in FILE.read_text().splitlines()]


if __name__ == "__main__":
    main()
