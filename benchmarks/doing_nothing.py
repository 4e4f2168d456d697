"""What can be said of doing nothing: `python benchmarks/doing_nothing.py DATA_DIR CACHE_DIR CORPUS:OLD:NEW …`.

DATA_DIR is in the layout of `corpora.py`; the models are those of `field/models.py`. Nothing is projected. For every
change of models and some hundred documents drawn at random (`--sizes`, `--seeds`) two things are measured that need no
judgements:

- `overlap`: how many of the nearest documents of a document by the new model are among its nearest by the old one, as
  it would be among 300 documents; this needs only the stored vectors and the documents embedded by the new model;
- `found`: the discounted gain of finding a sentence's own document by the old model, as a share of that by the new one;
  this needs the old model.

Beside them stands what doing nothing keeps by judgements: nDCG@10 of the old model's queries on its own vectors, as a
share of embedding everything. The constants of `quality/doing_nothing.py` are fitted to that by least absolute
differences; what is reported comes from constants that were fitted without the corpus and its relatives.

Writes `results/doing_nothing.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus
from field.models import open_model

from lightmigrate.providers.cache import Cached
from lightmigrate.quality.depth import gain_in_collection
from lightmigrate.quality.doing_nothing import BY_NEIGHBOURS, NothingCurve, neighbours_kept
from lightmigrate.quality.gate import FOUND_AMONG
from lightmigrate.quality.metrics import nearer_documents
from lightmigrate.training.sentences import pseudo_queries

FILE = Path(__file__).parent / "results" / "doing_nothing.md"
SENTENCES = 300
Row = dict[str, Any]


def main() -> None:
    """Measure, fit and write."""
    parser = argparse.ArgumentParser(description="What can be said of doing nothing.")
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("changes", nargs="+", metavar="CORPUS:OLD:NEW")
    parser.add_argument("--sizes", type=int, nargs="+", default=(100, 300))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1))
    given = parser.parse_args()
    rows: list[Row] = []
    for name, old, new in (change.split(":") for change in given.changes):
        corpus = Corpus(given.data / name)
        models = {
            model: Cached(open_model(model, given.data / "packages"), given.cache / f"{model}.sqlite3")
            for model in (old, new)
        }
        everything = np.arange(corpus.size)
        kept = corpus.measure(old, new, corpus.documents[new], everything).nothing_retention.value
        for size, seed in product(given.sizes, given.seeds):
            rows.append(measured(corpus, old, new, models, size, seed) | {"kept": kept})
            print(rows[-1], flush=True)
    FILE.write_text(report(rows))


def measured(corpus: Corpus, old: str, new: str, models: dict[str, Cached], size: int, seed: int) -> Row:
    """What is seen of some documents."""
    readable = np.array([row for row, text in enumerate(corpus.texts) if text.strip()])
    drawn = np.random.default_rng(seed).permutation(readable)[:size]
    before, after = corpus.documents[old][drawn], corpus.documents[new][drawn]
    texts, own = pseudo_queries([corpus.texts[row] for row in drawn], SENTENCES, seed)
    among = max(len(drawn), min(len(readable), FOUND_AMONG))
    gains = [
        gain_in_collection(nearer_documents(models[model].embed_queries(texts), vectors, np.array(own)), size, among)
        for model, vectors in ((old, before), (new, after))
    ]
    return {
        "corpus": corpus.name,
        "old": old,
        "new": new,
        "size": size,
        "overlap": neighbours_kept(before, after, "cosine", "cosine"),
        "found": float(gains[0].mean() / gains[1].mean()),
    }


def fit(rows: Sequence[Row], seen: str, form: Callable[[float, float, float], NothingCurve]) -> NothingCurve:
    """Least absolute differences over a grid."""
    best = (np.inf, 0.0, 0.0)
    for steepness, power in product(np.arange(0.4, 4.01, 0.05), np.arange(0.2, 12.01, 0.2)):
        curve = form(float(steepness), float(power), 0.0)
        best = min(
            best, (sum(abs(curve.kept(row[seen]) - row["kept"]) for row in rows), float(steepness), float(power))
        )
    curve = form(best[1], best[2], 0.0)
    error = float(np.quantile([abs(curve.kept(row[seen]) - row["kept"]) for row in rows], 0.95))
    return form(best[1], best[2], error)


def shown(curve: NothingCurve) -> str:
    """The constants."""
    return f"{curve.ceiling:g} - {curve.steepness:.2f}·(1 - seen)^{curve.power:.1f} ± {curve.error:.2f}"


def family(row: Row) -> str:
    """The corpus with its relatives."""
    name = str(row["corpus"]).split("-")[0]
    return {"pydoc": "python", "code": "python"}.get(name, name)


def report(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = ["# Doing nothing", (__doc__ or "").partition("\n")[2].strip(), ""]
    for title, seen in (("From the stored vectors alone", "overlap"), ("By what the old model finds", "found")):

        def form(steepness: float, power: float, error: float) -> NothingCurve:
            return NothingCurve(steepness, power, BY_NEIGHBOURS.ceiling, error)

        fitted = fit(rows, seen, form)
        families = sorted(set(map(family, rows)))
        curves = {one: fit([row for row in rows if family(row) != one], seen, form) for one in families}
        lines += [
            f"## {title}",
            f"Fitted to all: {shown(fitted)}."
            + (f" In the package: {shown(BY_NEIGHBOURS)}." if seen == "overlap" else ""),
            "",
            "| corpus | old → new | doing nothing keeps | expected, means over samples | in the 95 % interval |",
            "|---|---|--:|---|--:|",
        ]
        off, held = [], []
        for key in dict.fromkeys((row["corpus"], row["old"], row["new"]) for row in rows):
            own = [row for row in rows if (row["corpus"], row["old"], row["new"]) == key]
            said = [curves[family(row)].kept(row[seen]) for row in own]
            inside = [abs(one - own[0]["kept"]) <= curves[family(own[0])].error for one in said]
            off += [one - own[0]["kept"] for one in said]
            held += inside
            lines.append(
                f"| {key[0]} | {key[1]} → {key[2]} | {own[0]['kept']:.2f} | {np.mean(said):.2f} "
                f"| {np.mean(inside):.0%} |"
            )
        lines += [
            f"| **all** | | | {np.mean(np.abs(off)):.2f} off, {np.mean(off):+.2f} on average | {np.mean(held):.0%} |",
            "",
        ]
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    main()
