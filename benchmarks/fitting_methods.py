"""What is compared in `retention.py`: ways to fit a projection, each a function of the calibration pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate import Model, WordVectors
from lightmigrate.estimators.fit import LANDMARKS, fit_pairs
from lightmigrate.estimators.methods import Method

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """Calibration pairs, with the texts behind them and the new model's word vectors."""

    source: Vectors
    target: Vectors
    texts: list[str]
    words: WordVectors | None
    seed: int


@dataclass(frozen=True)
class Contestant:
    """A fitted projection.

    Attributes:
        apply: projects vectors, with their texts.
        held_out: predictions for the pairs that leave each out; `None` where nobody knows.
        save: writes it to a file, to see how large it is.
        chosen: what `auto` chose.
    """

    apply: Callable[[Vectors, list[str]], Vectors]
    held_out: Vectors | None
    save: Callable[[Path], object]
    chosen: str = ""


def ours(method: Method, texts: bool = True, words: bool = True) -> Callable[[Pairs], Contestant]:
    """One of lightmigrate's own methods."""

    def fit(pairs: Pairs) -> Contestant:
        fitted = fit_pairs(
            pairs.source,
            pairs.target,
            pairs.texts if texts else None,
            method=method,
            words=pairs.words if words else None,
            prior=None,
            landmarks=LANDMARKS,
            seed=pairs.seed,
            source_model=None,
            target_model=None,
        )
        projection = fitted.projection
        return Contestant(projection.apply, fitted.held_out, projection.save, projection.info.training["method"])

    return fit


def original_design(pairs: Pairs) -> Contestant:
    """One linear layer, Adam 1e-3, 100 epochs, .7 squared error + .3 cosine."""
    from lightmigrate_train import fit_linear

    models = (Model("old", pairs.source.shape[1]), Model("new", pairs.target.shape[1]))
    found = fit_linear(pairs.source, pairs.target, source_model=models[0], target_model=models[1], seed=pairs.seed)
    return Contestant(lambda vectors, _: found.apply(vectors), None, found.save)


def isotrieve(pairs: Pairs) -> Contestant:
    """The published package of that name: ridge by generalised cross-validation."""
    from isotrieve import RidgeMapping

    found: Any = RidgeMapping(seed=pairs.seed).fit(pairs.source, pairs.target)
    return Contestant(lambda vectors, _: np.asarray(found.transform(vectors), np.float32), None, found.save)


CONTESTANTS: Mapping[str, Callable[[Pairs], Contestant]] = {
    "isotrieve": isotrieve,
    "original design": original_design,
    "procrustes": ours("procrustes"),
    "low_rank": ours("low_rank"),
    "ridge": ours("ridge"),
    "kernel": ours("kernel"),
    "averaged": ours("averaged"),
    "auto, no text": ours("auto", texts=False),
    "lexical, no word vectors": ours("lexical", words=False),
    "lexical": ours("lexical"),
    "auto": ours("auto"),
}
