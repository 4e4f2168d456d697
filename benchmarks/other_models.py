"""Vectors of other models of a given dimension, made of those that there are; all of length 1."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import lightmigrate

Vectors = npt.NDArray[np.float32]

WORDS, DOCUMENTS = 4000, 1200

_bags: dict[tuple[int, int], Vectors] = {}


def unit(rows: Any) -> Vectors:
    """Rows of length 1; an all-zero row stays zero."""
    vectors = np.asarray(rows, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def same_dimension(rows: Vectors, dimension: int) -> Vectors:
    """Cut, or padded with zeros."""
    return unit(np.pad(rows[:, :dimension], ((0, 0), (0, max(0, dimension - rows.shape[1])))))


def rotated(rows: Vectors, seed: int) -> Vectors:
    """The same geometry in unrelated directions: as hard as another model can be."""
    return np.asarray(rows @ _rotation(rows.shape[1], seed), dtype=np.float32)


@functools.cache
def _rotation(dimension: int, seed: int) -> Vectors:
    rotation, _ = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(dimension, dimension)))
    return np.asarray(rotation, dtype=np.float32)


def principal(rows: Vectors, dimension: int) -> Vectors:
    """By their principal components, the largest first: what static models and some APIs give."""
    centred = rows - rows.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return unit(centred @ directions[:, ::-1][:, :dimension])


def quantised(rows: Vectors) -> Vectors:
    """Each number in 8 bits."""
    scale = np.abs(rows).max() / 127
    return np.asarray(np.round(rows / scale) * scale, dtype=np.float32)


def fitted(rows: Vectors, old: Vectors, new: Vectors) -> Vectors:
    """Rows of the old space projected into the new one by a projection fitted to 500 pairs."""
    pairs = np.random.default_rng(0).choice(len(old), 500, replace=False)
    return np.asarray(lightmigrate.fit(old[pairs], new[pairs], method="ridge").apply(rows), dtype=np.float32)


def bag_of_words(texts: Sequence[str], dimension: int) -> Vectors:
    """Latent semantic analysis of 1,200 texts: TF-IDF along its first singular directions (Deerwester et al. 1990)."""
    key = (hash(tuple(texts)), dimension)
    if key not in _bags:
        few = [texts[row] for row in np.random.default_rng(0).choice(len(texts), min(DOCUMENTS, len(texts)), False)]
        counted = [Counter(re.findall(r"[a-z]{3,}", text.lower())) for text in few]
        frequent = Counter(word for words in counted for word in words).most_common(WORDS)
        place = {word: (at, np.log(len(few) / count)) for at, (word, count) in enumerate(frequent)}
        table = np.zeros((len(few), len(place)), dtype=np.float32)
        for row, words in enumerate(counted):
            for word, count in words.items():
                if word in place:
                    at, weight = place[word]
                    table[row, at] = (1 + np.log(count)) * weight
        table = unit(table)
        values, directions = np.linalg.eigh(table @ table.T)
        scores = directions[:, ::-1][:, :dimension] * np.sqrt(np.maximum(values[::-1][:dimension], 0))
        _bags[key] = unit(scores[np.linalg.norm(scores, axis=1) > 0])
    return _bags[key]


def wordllama(texts: Sequence[str]) -> Vectors:
    """By wordllama (a package carries it): 256 numbers, as potion-base-8M makes; rows without a text are zero."""
    tokenizer, weights = _wordllama()
    found = np.zeros((len(texts), weights.shape[1]), dtype=np.float32)
    for row, tokens in enumerate(tokenizer.encode_batch(list(texts), add_special_tokens=False)):
        if tokens.ids:
            found[row] = weights[tokens.ids].astype(np.float32).mean(axis=0)
    return unit(found)


@functools.cache
def _wordllama() -> tuple[Any, Any]:
    """Its tokenizer, and a vector for each token."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise SystemExit("wordllama is not installed")
    folder = Path(spec.origin).parent
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    (weights,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
    return tokenizer, weights
