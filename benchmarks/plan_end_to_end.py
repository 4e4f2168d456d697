"""What a budget buys, from end to end.

Run `python benchmarks/plan_end_to_end.py DATA_DIR CACHE_DIR CORPUS:OLD[:NEW] …`. DATA_DIR is in the layout of
`corpora.py`; the new model is all-MiniLM-L6-v2 in 8 bits, which packages carry, where no other one of `field/models.py`
is named, and every corpus must hold vectors of both. Of each corpus a Chroma folder is made with the old model's
vectors, one plan for each budget (`--budgets`, shares of the tokens of embedding everything) and seed (`--seeds`), and
the migration by it, as the command line does. Told are the setting that the plan chose, what it expects to keep with
its interval, and what the migrated folder keeps: nDCG@10 by judgements of exact searches, as a share of embedding
everything. Embeddings go through a cache in CACHE_DIR. Appends to `results/plans.jsonl`, and writes `results/plans.md`
from the last run of each kind, as `documentation_tables.py` does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus, Vectors
from field.models import open_model

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client

NEW, NOTES = "minilm-int8", Address("notes")
PAGE = 2000
FILE = Path(__file__).parent / "results" / "plans.jsonl"
KEYS = ("corpus", "old", "new", "budget", "seed")


class Collection:
    """The documents of a corpus with a text, as a Chroma folder of the old model."""

    def __init__(self, corpus: Corpus, old: str, new: str, provider: Cached) -> None:
        self.corpus, self.old, self.new, self.provider = corpus, old, new, provider
        self.rows = [row for row, text in enumerate(corpus.texts) if text.strip()]
        texts = [corpus.texts[row] for row in self.rows]
        if provider.bill(texts).tokens:
            provider.remember(texts, corpus.documents[new][self.rows])

    def build(self, folder: Path) -> None:
        """Write it."""
        with open_client(folder) as client:
            notes = client.create_collection("notes", embedding_function=None, metadata={"hnsw:space": "cosine"})
            for start in range(0, len(self.rows), PAGE):
                part = self.rows[start : start + PAGE]
                notes.add(
                    ids=[str(row) for row in part],
                    documents=[self.corpus.texts[row] for row in part],
                    embeddings=self.corpus.documents[self.old][part],
                )

    def stored(self, folder: Path) -> Vectors:
        """The vectors that it holds now, in the rows of the corpus."""
        vectors = np.zeros_like(self.corpus.documents[self.new])
        with open_client(folder) as client:
            notes = client.get_collection("notes", embedding_function=None)
            for start in range(0, len(self.rows), PAGE):
                page = notes.get(limit=PAGE, offset=start, include=["embeddings"])
                vectors[[int(record) for record in page["ids"]]] = page["embeddings"]
        return vectors

    def migrated(self, budget: float, seed: int) -> dict[str, Any]:
        """Plan, migrate, and measure."""
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home) / "home" / "db"
            self.build(folder)
            migrator = Migrator(folder)
            curve = migrator.cost_quality_curve("notes", self.provider, token_share=budget, seed=seed)
            option = curve.within(budget * curve.size.tokens)
            migrator.migrate_by_plan(BudgetPlan.of(NOTES, curve, option, {}, seed=seed), self.provider, force=True)
            kept = self.corpus.measure(self.old, self.new, self.stored(folder), np.arange(self.corpus.size))
        expected = option.expected
        return {
            "corpus": self.corpus.name,
            "old": self.old,
            "new": self.new,
            "nothing": round(kept.nothing_retention.value, 4),
            "budget": budget,
            "seed": seed,
            "setting": option.setting.to_json(),
            "calibration": curve.calibration,
            "cost": round(option.share_of_tokens, 4),
            "kept": round(kept.retention.value, 4),
            "expected": [round(value, 4) for value in (expected.value, expected.low, expected.high)],
        }


def main() -> None:
    """Measure what is asked for, and write the table of all that was measured."""
    parser = argparse.ArgumentParser(description="What a budget buys, from end to end.")
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="CORPUS:OLD[:NEW]")
    parser.add_argument("--budgets", type=float, nargs="+", default=(0.15, 0.3))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1))
    given = parser.parse_args()
    for name, old, new in ([*pair.split(":"), NEW][:3] for pair in given.pairs):
        provider = Cached(open_model(new, given.data / "packages"), given.cache / f"{new}.sqlite3")
        collection = Collection(Corpus(given.data / name), old, new, provider)
        for seed in given.seeds:
            for budget in given.budgets:
                row = collection.migrated(budget, seed)
                print(row, flush=True)
                with FILE.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
    FILE.with_suffix(".md").write_text(table(read()))


def read() -> list[dict[str, Any]]:
    """The last run of each kind, in the order of the first ones."""
    rows = [{"new": NEW, **json.loads(line)} for line in FILE.read_text().splitlines()]
    return list({tuple(row[key] for key in KEYS): row for row in rows}.values())


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Means over seeds, a line for each corpus, as Markdown."""
    budgets = sorted({row["budget"] for row in rows})
    heads = [cell for budget in budgets for cell in (f"{budget:.0%}: kept", "expected")]
    lines = [f"| corpus, old model | doing nothing | {' | '.join(heads)} |", f"|---|--:|{'--:|---|' * len(budgets)}"]
    for change in dict.fromkeys(changed(row) for row in rows):
        own = [row for row in rows if changed(row) == change]
        cells = []
        for budget in budgets:
            runs = [row for row in own if row["budget"] == budget]
            kept = [row["kept"] for row in runs]
            value, low, high = (statistics.mean(row["expected"][end] for row in runs) for end in range(3))
            spread = f" ± {statistics.pstdev(kept):.2f}" if len(kept) > 1 else ""  # of one seed there is none
            cells += [f"**{statistics.mean(kept):.2f}**{spread}"]
            cells += [f"{value:.2f} [{low:.2f}, {high:.2f}]"]
        lines.append(f"| {change} | {own[0]['nothing']:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def changed(row: dict[str, Any]) -> str:
    """Corpus and models, as the tables name them: the new one only where it is not the usual one."""
    return f"{row['corpus']}, {row['old']}" + (f" → {row['new']}" if row["new"] != NEW else "")


def outcome(rows: Sequence[dict[str, Any]]) -> str:
    """How often what was expected came true, and was better than doing nothing, in two sentences."""
    off = [row["expected"][0] - row["kept"] for row in rows]
    held = sum(row["expected"][1] <= row["kept"] <= row["expected"][2] for row in rows)
    near = sum(abs(one) <= 0.03 for one in off)
    better = []
    for budget in sorted({row["budget"] for row in rows}):
        own = [row for row in rows if row["budget"] == budget]
        better.append(f"{sum(row['kept'] > row['nothing'] for row in own)} of {len(own)} at {budget:.0%} of the cost")
    return (
        f"Of {len(rows)} runs {held} kept what lies in the 95 % interval, {near} were within .03; expected was "
        f"{statistics.mean(map(abs, off)):.3f} off, {statistics.mean(off):+.3f} on average.\nMore than doing nothing "
        f"kept {', '.join(better)}."
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "# What a budget buys, from end to end",
        (__doc__ or "").partition("\n")[2].strip(),
        "",
        outcome(rows),
        "",
        "| corpus, old model | budget | seed | doing nothing | kept | expected | extracts | documents |",
        "|---|--:|--:|--:|--:|---|---|--:|",
    ]
    for row in rows:
        value, low, high = row["expected"]
        setting = row["setting"]
        words = f"{setting['extract_kind']} {setting['extract_words']}" if setting["extract_words"] else "–"
        lines.append(
            f"| {changed(row)} | {row['budget']:.0%} | {row['seed']} | {row['nothing']:.2f} | "
            f"**{row['kept']:.2f}** | {value:.2f} [{low:.2f}, {high:.2f}] | {words} | {setting['documents']:,} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
