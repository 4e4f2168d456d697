"""The packaged corpus: different English sentences and definitions from WordNet, for users without texts.

A projection fitted to general text keeps less on specialised collections; the user's own documents are always better.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from lightmigrate.errors import NotEnoughTextsError

CORPUS = Path(__file__).parent / "corpus" / "wordnet.txt.gz"


def packaged_corpus() -> list[str]:
    """All its texts, each different, in random order: any part is a random sample. Only reads."""
    return gzip.decompress(CORPUS.read_bytes()).decode().splitlines()


def draw(texts: list[str], k: int, seed: int = 0) -> list[str]:
    """K different texts at random.

    Raises:
        NotEnoughTextsError: there are fewer.
    """
    if k > len(texts):
        raise NotEnoughTextsError(
            f"{k} calibration texts are needed, there are {len(texts)} different ones; "
            f"ask for at most that: --samples {len(texts)}",
            asked=k,
            available=len(texts),
        )
    return [texts[row] for row in np.random.default_rng(seed).permutation(len(texts))[:k]]
