"""An extract (the first words) of every document, embedded by every model.

Run `python benchmarks/encode_extracts.py DATA_DIR MODELS_DIR OUTPUT_DIR`; the directories are those of
`encode_words.py`, and so are `CORPUS:MODEL …` after these. Writes `OUTPUT_DIR/DATASET/MODEL.first.npz`: float16
`(n, d)` for each number of words (`--words`; otherwise all that `lightmigrate plan` chooses from), row i for document
i. Existing arrays are not made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from corpora import read_lines
from encode_words import encoder

from lightmigrate.budget.budget_split import LENGTHS
from lightmigrate.projection.terms.extract_rule import ExtractRule


def main(data: Path, models: Path, output: Path, words: Sequence[int], only: Sequence[str]) -> None:
    """Embed what is missing; `only` these pairs of a corpus and a model, if any are named."""
    for folder in sorted(path.parent for path in data.glob("*/qrels.jsonl")):
        texts = [line["text"] for line in read_lines(folder / "docs.jsonl")]
        for name in sorted(path.parent.name for path in folder.glob("*/docs.npy")):
            if only and f"{folder.name}:{name}" not in only:
                continue
            target = output / folder.name / f"{name}.first.npz"
            known = dict(np.load(target)) if target.exists() else {}
            missing = [length for length in words if str(length) not in known]
            if not missing:
                continue
            encode = encoder(name, models)
            for length in missing:
                known[str(length)] = encode([ExtractRule(length).of(text) for text in texts]).astype(np.float16)
            target.parent.mkdir(parents=True, exist_ok=True)
            np.savez(target, **known)
            print(folder.name, name, *missing, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Embed an extract of every document.")
    parser.add_argument("folders", type=Path, nargs=3, metavar="FOLDER", help="DATA_DIR MODELS_DIR OUTPUT_DIR")
    parser.add_argument("only", nargs="*", metavar="CORPUS:MODEL")
    parser.add_argument("--words", type=int, nargs="+", default=LENGTHS)
    given = parser.parse_args()
    data_folder, models_folder, output_folder = given.folders
    main(data_folder, models_folder, output_folder, given.words, given.only)
