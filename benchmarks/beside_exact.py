"""Are projected documents found beside exact ones? `python benchmarks/beside_exact.py DATA_DIR CORPUS:OLD:NEW …`.

`auto` with the texts is fitted to K documents of a corpus, without words (`--pairs`, `--seeds`). Told is nDCG@10 by
judgements as a share of embedding everything: where all documents are projected; where a tenth, drawn at random, is
exact, as if added later; where half are. `new` is how much of what is exact in that tenth, and among the ten nearest of
a query when everything is embedded, its search finds; `expected` what the gate expects without exact documents, and
with half (its queries are the documents themselves). Once with vectors that are predicted and then divided by their
length, and once as `fit` makes them, extended to length 1 from the mean of the new model's vectors
(`lightmigrate/projection/unit_sphere.py`). `alike` is the mean cosine of two documents by the new model. Means over the
seeds.

Writes `beside_exact.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from corpora import Corpus

from lightmigrate.estimators.fit import LANDMARKS, fit_pairs
from lightmigrate.projection.steps import ByText, Sum
from lightmigrate.quality.gate import gate
from lightmigrate.quality.metrics import is_ranked, search, unit
from lightmigrate.vectors import Vectors

PAIRS, SEEDS, ALIKE = (75, 300, 1000), 2, 500
FORMS = ("divided by its length", "from the mean")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("upgrades", nargs="+", help="such as help-zh:wordllama:use-multi")
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    lines = [
        "# Projected documents beside exact ones",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        "| corpus, old → new | alike | K | vectors | all projected | a tenth exact | half exact | new | expected, none "
        "and half exact |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for upgrade in options.upgrades:
        name, old, new = upgrade.split(":")
        corpus = Corpus(options.data / name)
        target = unit(corpus.documents[new])
        alike = float(np.mean(target[:ALIKE] @ target[:ALIKE].T))
        for pairs in options.pairs:
            if pairs >= corpus.size * 0.8:
                continue
            runs = np.array([measured(corpus, old, new, pairs, seed) for seed in range(options.seeds)])
            for form, numbers in zip(FORMS, runs.mean(axis=0).tolist(), strict=True):
                shown = ["–" if np.isnan(number) else f"{number:.2f}" for number in numbers]
                cells = " | ".join([*shown[:4], " ".join(shown[4:])])
                lines.append(f"| {name}, {old} → {new} | {alike:.2f} | {pairs:,} | {form} | {cells} |")
                print(lines[-1], flush=True)
    (options.results / "beside_exact.md").write_text("\n".join(lines) + "\n")


def measured(corpus: Corpus, old: str, new: str, pairs: int, seed: int) -> list[list[float]]:
    """The numbers of a line of each form; NaN for what is not known."""
    rows, _ = corpus.split(pairs, seed)
    rows = np.sort(rows)
    source, target = corpus.documents[old], unit(corpus.documents[new])
    texts = [corpus.texts[row] for row in rows]
    fitted = fit_pairs(
        source[rows], target[rows], texts, method="auto", words=None, prior=None, landmarks=LANDMARKS, seed=seed,
        source_model=None, target_model=None,
    )  # fmt: skip
    judged = gate(
        true=target[rows], projected=fitted.held_out, queries=target[rows], taken_from=list(range(pairs)),
        collection_size=corpus.size,
    ).expected_retention  # fmt: skip
    (step,) = fitted.projection.steps
    assert isinstance(step, (Sum, ByText))  # of a fit
    divided = ByText(*map(_divided, (step.with_text, step.plain))) if isinstance(step, ByText) else _divided(step)
    shuffled = np.random.default_rng(seed + 1).permutation(corpus.size)
    queries = unit(corpus.queries[new])
    nearest = search(queries, target, 10)

    def numbers(vectors: Vectors) -> list[float]:
        kept = []
        for share in (0.0, 0.1, 0.5):
            exact = shuffled[: round(share * corpus.size)]
            mixed = vectors.copy()
            mixed[exact] = target[exact]
            kept.append(corpus.measure(old, new, mixed, np.arange(corpus.size)).retention.value)
            if share == 0.1:
                found = _found(nearest, search(queries, mixed, 10), exact)
        return [*kept, found]

    readable = [text or " " for text in corpus.texts]
    return [
        [*numbers(divided.apply(source, readable)), np.nan, np.nan],
        [*numbers(step.apply(source, readable)), judged.value, judged.when_exact(0.5).value],
    ]


def _divided(step: Sum) -> Sum:
    """The same prediction, divided by its length."""
    return replace(step, centre=None)


def _found(nearest: npt.NDArray[np.int64], ranking: npt.NDArray[np.int64], exact: npt.NDArray[np.int64]) -> float:
    """How much of what is exact among the nearest is in the ranking."""
    wanted = np.isin(nearest, exact)
    return float((is_ranked(nearest, ranking) & wanted).sum() / wanted.sum())


if __name__ == "__main__":
    main()
