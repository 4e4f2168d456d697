"""An extract (the first words) of every document, embedded by every model.

Run `python benchmarks/encode_extracts.py DATA_DIR MODELS_DIR OUTPUT_DIR`; the directories are those of
`encode_words.py`. Writes `OUTPUT_DIR/DATASET/MODEL.first.npz`: float16 `(n, d)` for each number of words in `WORDS`,
row i for document i. Existing arrays are not made again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from corpora import read_lines
from encode_words import encoder

from lightmigrate.budget.budget_split import LENGTHS
from lightmigrate.projection.terms.extract_rule import ExtractRule

# The lengths that `lightmigrate plan` chooses from.
WORDS = LENGTHS


def main(data: Path, models: Path, output: Path) -> None:
    """Embed what is missing."""
    for folder in sorted(path.parent for path in data.glob("*/qrels.jsonl")):
        texts = [line["text"] for line in read_lines(folder / "docs.jsonl")]
        for name in sorted(path.parent.name for path in folder.glob("*/docs.npy")):
            target = output / folder.name / f"{name}.first.npz"
            known = dict(np.load(target)) if target.exists() else {}
            missing = [words for words in WORDS if str(words) not in known]
            if not missing:
                continue
            encode = encoder(name, models)
            for words in missing:
                known[str(words)] = encode([ExtractRule(words).of(text) for text in texts]).astype(np.float16)
            np.savez(target, **known)
            print(folder.name, name, *missing, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
