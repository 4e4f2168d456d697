"""Are projected documents found beside exact ones? `python benchmarks/beside_exact.py DATA_DIR CORPUS:OLD:NEW …`.

`auto` with the texts is fitted to K documents of a corpus, without words (`--pairs`, `--seed`). Told is nDCG@10 by
judgements as a share of embedding everything: where all documents are projected; where a tenth, drawn at random, is
exact; where those that it was fitted to are, as after a migration; where half are. Beside it what the gate
expects (its queries are the documents themselves), which is less where projected documents are hardly found among as
many exact ones. Once as fitted, and once with the differences from the mean made as large as among true vectors.
`alike` is the mean cosine of two documents by the new model.

Writes `beside_exact.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from corpora import Corpus

from lightmigrate.estimators.fit import LANDMARKS, fit_pairs
from lightmigrate.quality.gate import gate
from lightmigrate.quality.metrics import unit
from lightmigrate.vectors import Vectors

PAIRS, ALIKE = (75, 300, 1000), 500


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("upgrades", nargs="+", help="such as help-zh:wordllama:use-multi")
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    lines = [
        "# Projected documents beside exact ones",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        "| corpus, old → new | alike | K | differences | all projected | a tenth exact | the K exact | half exact "
        "| expected |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for upgrade in options.upgrades:
        name, old, new = upgrade.split(":")
        corpus = Corpus(options.data / name)
        for pairs in options.pairs:
            if pairs < corpus.size * 0.8:
                for line in measured(corpus, old, new, pairs, options.seed):
                    print(line, flush=True)
                    lines.append(line)
    (options.results / "beside_exact.md").write_text("\n".join(lines) + "\n")


def measured(corpus: Corpus, old: str, new: str, pairs: int, seed: int) -> Iterator[str]:
    """A line as fitted, and one with larger differences."""
    rows, _ = corpus.split(pairs, seed)
    rows = np.sort(rows)
    source, target = corpus.documents[old], unit(corpus.documents[new])
    fitted = fit_pairs(
        source[rows], target[rows], [corpus.texts[row] for row in rows], method="auto", words=None, prior=None,
        landmarks=LANDMARKS, seed=seed, source_model=None, target_model=None,
    )  # fmt: skip
    centre, everything = target[rows].mean(axis=0), np.arange(corpus.size)
    projected = fitted.projection.apply(source, corpus.texts)
    shuffled = np.random.default_rng(seed + 1).permutation(corpus.size)
    alike = float(np.mean(target[shuffled[:ALIKE]] @ target[shuffled[:ALIKE]].T))
    larger = float(np.sqrt(np.sum((target[rows] - centre) ** 2) / np.sum((fitted.held_out - centre) ** 2)))

    def kept(vectors: Vectors, exact: npt.NDArray[np.int64]) -> float:
        mixed = vectors.copy()
        mixed[exact] = target[exact]
        return corpus.measure(old, new, mixed, everything).retention.value

    for factor in (1.0, larger):
        vectors, held_out = (unit(centre + factor * (each - centre)) for each in (projected, fitted.held_out))
        judged = gate(
            true=target[rows], projected=held_out, queries=target[rows], taken_from=list(range(pairs)),
            collection_size=corpus.size,
        )  # fmt: skip
        shares = [kept(vectors, exact) for exact in (shuffled[:0], shuffled[: corpus.size // 10], rows)]
        shares.append(kept(vectors, shuffled[: corpus.size // 2]))
        cells = " | ".join(f"{share:.2f}" for share in shares)
        yield (
            f"| {corpus.name}, {old} → {new} | {alike:.2f} | {pairs:,} | × {factor:.2f} | {cells} "
            f"| {judged.expected_retention.value:.2f} |"
        )


if __name__ == "__main__":
    main()
