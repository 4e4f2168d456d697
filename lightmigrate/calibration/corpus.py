"""The packaged corpus: different English sentences and definitions from WordNet, for those who have no texts.

A map fitted to general text is poor on specialised collections; the user's own documents are always better.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from lightmigrate.errors import NotEnoughTextsError

CORPUS = Path(__file__).parent / "corpus" / "wordnet.txt.gz"


def packaged_corpus() -> list[str]:
    """All of it, every text different, in random order: any part of it is a sample of the whole."""
    return gzip.decompress(CORPUS.read_bytes()).decode().splitlines()


def draw(texts: list[str], k: int, seed: int = 0) -> list[str]:
    """K different texts at random.

    Raises:
        NotEnoughTextsError: there are fewer.
    """
    if k > len(texts):
        raise NotEnoughTextsError(
            f"{k} calibration texts asked for, there are {len(texts)} different ones; "
            f"ask for at most that: --samples {len(texts)}",
            asked=k,
            available=len(texts),
        )
    return [texts[row] for row in np.random.default_rng(seed).permutation(len(texts))[:k]]
