"""In which order `refine` should embed documents: `python benchmarks/refine_orders.py DATA_DIR [ENCODED_DIR]`.

The directories are those of `encode_words.py` and `encode_extracts.py`. A real Chroma collection is projected by a fit
to a twentieth of its documents and refined by `Migrator.refine` until 10, 25, 50 and 75 % of its texts are exact, once
in every order. Without ENCODED_DIR one projection of the vectors and the texts serves for all shares. With it the
projection reads the new model's word vectors and extracts of 12 words, and `refine` refits it on the exact rows, in
random order. (In `results/refine_orders.jsonl` the other orders with them are of a version that did so in every order.)
Nothing is embedded for that.

`retrieved` is given half of the queries, the past, and judged by the other half; then the other way round. All others
are judged by both halves as well. For each share:

- `kept`: nDCG@10 by human judgements on the whole collection, exact search, as a share of re-embedding everything;
- `top` and `top_true`: how much of the first ten is exact, and how much of what re-embedding everything puts there is
  of these rows: where both are equal, exact rows neither out-score projected ones nor are out-scored by them;
- `relevant`: how much of what is relevant is exact.

`newest` goes by the order of the files, which have no dates, so that it says nothing about newer documents.
Appends to `results/refine_orders.jsonl`, skips what stands there, and writes `results/refine_orders.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus, Rows, Vectors, corpora

import lightmigrate
from lightmigrate.budget.late_rows import Recording
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.migration.partly_exact import PartlyExact
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.metrics import ndcg_at_k, search
from lightmigrate.refinement.order import ORDERS, Order
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.training.text_digest import text_digest

RESULTS = Path(__file__).parent / "results"
PAIRS = (("potion-8m", "minilm-l6"), ("use-multi", "minilm-l6"))
MAPPED_BY = 0.05
SHARES = (0.10, 0.25, 0.50, 0.75)
TEN = 10
FIRST_WORDS = 12
ADDRESS = Address("documents")
RUN = ("corpus", "old", "new", "refit", "seed", "order")


class Remembered(Provider):
    """A model that says what is on disk, and nothing else."""

    provider = "benchmark"
    in_process = True

    def __init__(self, name: str, documents: Mapping[str, Vectors], queries: Mapping[str, Vectors]) -> None:
        super().__init__(name)
        self._documents, self._queries = documents, queries

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """What it said of them."""
        known = self._queries if queries else self._documents
        return np.stack([known[text] for text in texts])


class Case:
    """One change of models on one corpus, and a collection that is projected."""

    def __init__(
        self, corpus: Corpus, texts: Sequence[str], old: str, new: str, seed: int, begun: Vectors | None, place: Path
    ) -> None:
        self._corpus, self._queries, self._old, self._new, self._seed = corpus, texts, old, new, seed
        self._begun, self._place = begun, place
        self._true = corpus.documents[new]
        self._readable = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
        known: dict[str, Vectors] = {}
        self._words = corpus.words(new) if begun is not None else None
        if begun is not None and self._words is not None:
            known |= dict(zip(self._words.words, np.asarray(self._words.vectors), strict=True))
            known |= {ExtractRule(FIRST_WORDS).of(text): begun[row] for row, text in enumerate(corpus.texts)}
        known |= {text: self._true[row] for row, text in enumerate(corpus.texts)}
        said = dict(zip(texts, corpus.queries[new], strict=True))
        self._provider = Cached(Remembered(new, known, said), place / "cache.sqlite3")
        shuffled = np.random.default_rng(seed).permutation(len(texts))
        self._halves = np.array_split(shuffled, 2)
        self._build()

    def measured(self, order: Order) -> Iterator[dict[str, Any]]:
        """A row for every share of exact documents."""
        for half, past in enumerate(self._halves if order == "retrieved" else [np.empty(0, int)]):
            judged = self._halves[1 - half] if order == "retrieved" else np.concatenate(self._halves)
            folder = self._place / f"{order}-{half}"
            shutil.copytree(self._place / "mapped", folder)
            for share in (MAPPED_BY, *SHARES):
                exact = self._exact_rows(folder)
                wanted = round(share * len(self._readable)) - len(exact)
                if wanted > 0:
                    lightmigrate.Migrator(folder).refine(
                        ADDRESS.name,
                        self._provider,
                        documents=wanted,
                        order=order,
                        queries=[self._queries[query] for query in past],
                        refit=self._begun is not None,
                        seed=self._seed,
                    )
                    exact = self._exact_rows(folder)
                yield {"share": share, "half": half, **self._quality(folder, exact, judged)}
            shutil.rmtree(folder)

    def _quality(self, folder: Path, exact: Rows, judged: Rows) -> dict[str, float]:
        asked = self._corpus.queries[self._new][judged]
        relevant = [self._corpus.relevant[query] for query in judged]
        with open_client(folder) as client:
            held = client.get_collection(ADDRESS.name, embedding_function=None).get(include=["embeddings"])
        vectors = np.empty_like(self._true)
        vectors[[int(one) for one in held["ids"]]] = held["embeddings"]
        found, best = (search(asked, space, TEN) for space in (vectors, self._true))
        sought = np.array([row for grades in relevant for row in grades])
        return {
            "kept": round(ndcg_at_k(found, relevant) / ndcg_at_k(best, relevant), 4),
            "top": round(float(np.isin(found, exact).mean()), 4),
            "top_true": round(float(np.isin(best, exact).mean()), 4),
            "relevant": round(float(np.isin(sought, exact).mean()), 4),
            "exact": round(len(exact) / len(self._readable), 4),
        }

    def _exact_rows(self, folder: Path) -> Rows:
        with Provenance.of(folder) as provenance:
            return np.array([int(one) for one in provenance.ids(ADDRESS, VectorOrigin.EXACT)])

    def _build(self) -> None:
        """The collection as a migration by a plan leaves it, and what is noted of it."""
        old, texts = self._corpus.documents[self._old], self._corpus.texts
        taught = np.random.default_rng(self._seed).permutation(self._readable)[: round(MAPPED_BY * len(self._readable))]
        said = [texts[row] for row in taught]
        beginnings, words = None, 0
        if self._begun is not None:
            beginnings, words = (
                Extracts(ExtractRule(FIRST_WORDS), self._begun[taught], self._provider.embed),
                FIRST_WORDS,
            )
        made = lightmigrate.fit(
            old[taught],
            self._true[taught],
            said,
            words=self._words,
            extracts=beginnings,
            seed=self._seed,
            target_model=lightmigrate.Model(self._new, self._true.shape[1]),
        )
        digests = {text_digest(text) for text in said}
        projection = PartlyExact.of(made, digests, self._provider.embed)
        ids = [str(row) for row in range(len(old))]
        nothing = [None] * len(ids)
        page = Page(ids, old, [text or None for text in texts], nothing)
        facts = {
            "model": self._new,
            "provider": {},
            "dimension": self._true.shape[1],
            "reads_texts": True,
            "expected": [[0.0, EXPECTED]],
        }
        folder = self._place / "mapped"
        vectors = projection.apply(old, texts)
        with open_client(folder) as client:
            collection = client.create_collection(
                ADDRESS.name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )
            for start in range(0, len(ids), 5000):
                rows = slice(start, start + 5000)
                collection.add(ids=ids[rows], embeddings=vectors[rows], documents=list(texts[rows]))
        with Provenance.of(folder) as provenance:
            provenance.start(ADDRESS, facts, made)
            provenance.add(ADDRESS, Recording(projection, words, digests, digests).rows(page, vectors))


# Noted for `status`, which nobody asks here.
EXPECTED = {"value": 0.0, "low": 0.0, "high": 0.0}


def main() -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoded", type=Path, nargs="?")
    parser.add_argument("--corpus", help="only this one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=list(ORDERS), help="only these")
    options = parser.parse_args()
    file = RESULTS / "refine_orders.jsonl"
    done = {tuple(run[key] for key in RUN) for run in read()}
    for corpus in corpora(options.data, options.encoded):
        if options.corpus not in (None, corpus.name):
            continue
        texts = [json.loads(line)["text"] for line in (options.data / corpus.name / "queries.jsonl").open()]
        for seed, (old, new) in itertools.product(options.seeds, PAIRS):
            begun = None
            if options.encoded is not None:
                begun = np.load(options.encoded / corpus.name / f"{new}.first.npz")[str(FIRST_WORDS)].astype(np.float32)
            refit = begun is not None
            missing = [order for order in options.orders if (corpus.name, old, new, refit, seed, order) not in done]
            if not missing:
                continue
            with tempfile.TemporaryDirectory() as place:
                case = Case(corpus, texts, old, new, seed, begun, Path(place))
                for order in missing:
                    facts = dict(zip(RUN, (corpus.name, old, new, refit, seed, order), strict=True))
                    rows = [facts | row for row in case.measured(order)]
                    with file.open("a") as opened:
                        opened.writelines(json.dumps(row) + "\n" for row in rows)
                    for row in rows:
                        print(*row.values(), flush=True)
    (RESULTS / "refine_orders.md").write_text(report(read()), encoding="utf-8")


def read() -> list[dict[str, Any]]:
    """All that was measured."""
    file = RESULTS / "refine_orders.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def report(runs: Sequence[Mapping[str, Any]]) -> str:
    """What was kept by every order, and whether exact rows out-score projected ones."""
    shares = [f"{share:.0%}" for share in (MAPPED_BY, *SHARES)]
    lines = [
        "What `refine` keeps when it embeds documents in one order or another, by the share of texts that is exact:",
        "nDCG@10 on the whole collection as a share of re-embedding everything, mean ± standard deviation over seeds,",
        "which draw the calibration documents and the halves of the queries. `retrieved` knew one half of the queries",
        "and is judged by the other. The files have no dates: `newest` is their order, backwards. `step`: the smallest",
        "growth of the mean from one share to the next; below 0 more exact documents found less. Projection: one of",
        "vectors and texts for all shares, or one with extracts of 12 words, too, refitted on the exact rows. What",
        "this kept in the orders `retrieved` and `uncertain` is why `refine` refits in random order only:",
        "documents that were selected otherwise do not represent the others.",
        "",
        f"| pair | projection | order | {' | '.join(shares)} | step | seeds |",
        f"|---|---|---|{'--:|' * len(shares)}--:|--:|",
    ]
    for (corpus, old, new, refit, order), own in grouped(runs, "corpus", "old", "new", "refit", "order").items():
        kept = [[_mean(some, "kept") for some in seeds(own, share)] for share in (MAPPED_BY, *SHARES)]
        steps = [statistics.mean(more) - statistics.mean(less) for less, more in itertools.pairwise(kept)]
        cells = [*map(_spread, kept), f"{min(steps):+.3f}"]
        projection = "refitted" if refit else "one"
        head = f"| {corpus}: {old} → {new} | {projection} | {order} | "
        lines.append(f"{head}{' | '.join(cells)} | {len({run['seed'] for run in own})} |")
    lines += [
        "",
        "How much of the first ten is exact, in points above what re-embedding everything puts there of the same rows",
        "(0: exact rows neither out-score projected ones nor are out-scored), means over seeds; and how much of what",
        "is relevant is exact.",
        "",
        f"| pair | projection | order | {' | '.join(shares[1:])} | relevant that is exact |",
        f"|---|---|---|{'--:|' * len(SHARES)}---|",
    ]
    for (corpus, old, new, refit, order), own in grouped(runs, "corpus", "old", "new", "refit", "order").items():
        by_share = [[run for run in own if run["share"] == share] for share in SHARES]
        cells = [f"{100 * (_mean(some, 'top') - _mean(some, 'top_true')):+.1f}" for some in by_share]
        found = " / ".join(f"{_mean(some, 'relevant'):.0%}" for some in by_share)
        projection = "refitted" if refit else "one"
        lines.append(f"| {corpus}: {old} → {new} | {projection} | {order} | {' | '.join(cells)} | {found} |")
    return "\n".join(lines) + "\n"


def grouped(runs: Sequence[Mapping[str, Any]], *names: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Runs that share these facts."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        found[tuple(run[name] for name in names)].append(run)
    return dict(sorted(found.items(), key=lambda item: [str(one) for one in item[0]]))


def seeds(runs: Sequence[Mapping[str, Any]], share: float) -> list[list[Mapping[str, Any]]]:
    """The runs of a share, by seed."""
    return list(grouped([run for run in runs if run["share"] == share], "seed").values())


def _mean(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(statistics.mean(run[name] for run in runs))


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.pstdev(values):.3f}" if values else "–"


if __name__ == "__main__":
    main()
