"""Which form should a packaged projection have? `python benchmarks/packaged_forms.py --cache FOLDER`.

Fits every form to the general corpus without one family of genres and lets the gate judge it on that family, as
`build_packaged.py` does; neither SciFact nor Cranfield is looked at. FOLDER is that script's. Writes
`results/packaged_forms.md`.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from build_packaged import embedded
from general.corpus import FAMILIES, Text, general_corpus
from general.judge import Judgement, Rows, Vectorised, gate_of
from general.models import MINILM, NAMES, POTION

from lightmigrate.estimators.methods import Fits, Pairs
from lightmigrate.estimators.undo_shrinkage import undo_shrinkage
from lightmigrate.projection.steps import Sum
from lightmigrate.quality.gate import Gate

RESULTS = Path(__file__).parent / "results" / "packaged_forms.md"
PAIRS = ((POTION, MINILM),)

# Name, method and landmarks. `lexical` reads the stored texts.
FORMS = (
    ("procrustes", "procrustes", 1),
    ("ridge", "ridge", 1),
    ("kernel, 128 landmarks", "kernel", 128),
    ("lexical, 128 landmarks", "lexical", 128),
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--most", type=int, default=2500, help="fit to so many of the texts")
    options = parser.parse_args()
    corpus = general_corpus(options.cache)
    judgement = Judgement.of(corpus)
    wanted = set(itertools.chain(*PAIRS))
    models = {name: embedded(name, corpus, judgement, options.cache) for name in NAMES if name in wanted}
    lines = [
        f"Written by `benchmarks/packaged_forms.py`: projections fitted to {options.most:,} texts of three families of "
        "genres, judged by the gate on the fourth, its documents a collection of their own. overlap@10 of searches "
        "(retention the gate expects), as fitted → with the spread restored. Size: of a float16 file.",
        "",
        f"| pair | form | size | {' | '.join(FAMILIES)} |",
        f"|---|---|---|{'---|' * len(FAMILIES)}",
    ]
    for old, new in PAIRS:
        nothing: list[str] = []
        for name, method, landmarks in FORMS:
            cells, sizes = [], []
            for family in FAMILIES:
                rows = judgement.others(corpus, family)[: options.most]
                gates, size = tried(corpus, rows, models[old], models[new], judgement, family, method, landmarks)
                said = [f"{g.migrated.overlap.value:.3f} ({g.expected_retention.value:.2f})" for g in gates]
                cells.append(" → ".join(said))
                sizes.append(size)
                if name == FORMS[0][0] and gates[0].nothing:
                    nothing.append(f"{gates[0].nothing.overlap.value:.3f}")
            lines.append(f"| {old} → {new} | {name} | {np.mean(sizes) / 1e6:.1f} MB | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
        lines.append(f"| {old} → {new} | doing nothing | – | {' | '.join(nothing)} |")
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def tried(
    corpus: Sequence[Text],
    rows: Rows,
    old: Vectorised,
    new: Vectorised,
    judgement: Judgement,
    family: str,
    method: str,
    landmarks: int,
) -> tuple[list[Gate], int]:
    """What the gate says of a form, as fitted and with its spread restored; and bytes of its numbers in float16."""
    texts = [corpus[row].text for row in rows] if method == "lexical" else None
    source, target = (model.documents[rows].astype(np.float64) for model in (old, new))
    fitted = Fits(Pairs(source, target, texts, None, None, landmarks, 0))[method]
    centre = target.mean(axis=0)
    steps = (fitted.step, fitted.step.spread(undo_shrinkage(target, fitted.held_out), centre))
    judged = judgement.rows[family]
    read = [corpus[row].text for row in judged] if texts else None
    gates = [
        gate_of(judgement, old, new, {family: Sum(step.bias, step.terms, True).apply(old.documents[judged], read)})
        for step in steps
    ]
    return gates, 2 * sum(array.size for term in fitted.step.terms for array in term.arrays().values())


if __name__ == "__main__":
    main()
