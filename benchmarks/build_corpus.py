"""Make the packaged corpus: `python benchmarks/build_corpus.py WORDNET_FOLDER`.

WORDNET_FOLDER holds `data.noun`, `data.verb`, `data.adj` and `data.adv` of Princeton WordNet 3.0 (Debian's
package `wordnet-base` has them). Example sentences of at least five words are taken first, then definitions as
`lemma: definition`.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import numpy as np

from lightmigrate.training.corpus import CORPUS

SENTENCES, DEFINITIONS = 8000, 8000
FEWEST_WORDS = 5
QUOTED = re.compile(r'"([^"]+)"')


def main(folder: Path) -> None:
    """Write the corpus beside the module that reads it."""
    sentences: dict[str, None] = {}
    definitions: dict[str, None] = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="ascii").splitlines():
            if line.startswith("  "):  # the licence stands at the top
                continue
            fields, _, gloss = line.partition(" | ")
            lemma = fields.split()[4].partition("(")[0].replace("_", " ")
            definition = gloss.partition('; "')[0].strip(" ;")
            if len(definition.split()) >= FEWEST_WORDS:
                definitions[f"{lemma}: {definition}"] = None
            for sentence in QUOTED.findall(gloss):
                if len(sentence.split()) >= FEWEST_WORDS:
                    sentences[sentence.strip(" ;")] = None
    rng = np.random.default_rng(0)
    chosen = [
        text
        for texts, most in ((list(sentences), SENTENCES), (list(definitions), DEFINITIONS))
        for text in (texts[row] for row in rng.permutation(len(texts))[:most])
    ]
    shuffled = [chosen[row] for row in rng.permutation(len(chosen))]
    assert len(set(shuffled)) == len(shuffled)
    CORPUS.parent.mkdir(exist_ok=True)
    CORPUS.write_bytes(gzip.compress("\n".join(shuffled).encode(), compresslevel=9, mtime=0))
    found = f"{len(sentences)} sentences, {len(definitions)} definitions"
    print(f"{found}; {len(shuffled)} taken, {CORPUS.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
