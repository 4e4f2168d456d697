"""Fits of one training: to all its pairs, or to some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import MissingExtraError
from lightmigrate.estimators.fit import FittedPairs, fit_pairs
from lightmigrate.estimators.fit_memory import FitMemory
from lightmigrate.estimators.methods import Method
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.training.embedded import EmbeddedData
from lightmigrate.vectors import Vectors

Rows = npt.NDArray[np.int64]


class Fitter(Protocol):
    """Finds a projection in another way than `lightmigrate.fit`, from vectors alone; see `lightmigrate_train`."""

    def __call__(
        self,
        source: Vectors,
        target: Vectors,
        *,
        source_model: Model | None,
        target_model: Model,
        device: str | None,
        seed: int,
    ) -> FittedPairs:
        """A projection from `source` `(K, d_in)` to `target` `(K, d_out)`, with a prediction that leaves each pair out.

        Args:
            source: float32, K documents in the old space.
            target: float32, the same documents in the new space.
            source_model: the old model; unnamed when `None`.
            target_model: the new model.
            device: `cuda` or `cpu`; `None` for the fitter's choice.
            seed: of every random choice.
        """


@dataclass(frozen=True)
class Fitting:
    """How the projections of one training are fitted.

    Attributes:
        embedded: the pairs.
        texts: the documents of the pairs; `None` for a projection that reads no texts.
        source_model: the old model; unnamed when `None`.
        target_model: the new model.
        method: see `lightmigrate.fit`.
        fitter: fits in place of `method`.
        prior: see `lightmigrate.fit`.
        landmarks: see `lightmigrate.fit`.
        device: see `train`.
        seed: of every random choice.
        memory: what was fitted already; `None` where nothing else is fitted to the same pairs.
    """

    embedded: EmbeddedData
    texts: Sequence[str] | None
    source_model: Model | None
    target_model: Model
    method: Method
    fitter: Fitter | None
    prior: Projection | None
    landmarks: int
    device: str | None
    seed: int
    memory: FitMemory | None = None

    def fit(self, rows: Rows, only_with_text: bool = False) -> FittedPairs:
        """Fit to some of the pairs; writes nothing. See `fit_pairs` for `only_with_text`."""
        source, target = self.embedded.old[rows], self.embedded.new[rows]
        if self.fitter is not None:
            return self.fitter(
                source,
                target,
                source_model=self.source_model,
                target_model=self.target_model,
                device=self.device,
                seed=self.seed,
            )
        extracts = self.embedded.extracts
        return fit_pairs(
            _on(self.device, source),
            _on(self.device, target),
            self.texts_of(rows),
            method=self.method,
            words=self.embedded.words,
            extracts=None if extracts is None else replace(extracts, vectors=extracts.vectors[rows]),
            prior=self.prior,
            landmarks=self.landmarks,
            seed=self.seed,
            source_model=self.source_model,
            target_model=self.target_model,
            memory=self.memory,
            only_with_text=only_with_text,
        )

    def predict_with_half_of_extracts(self, count: int) -> Vectors:
        """Held-out predictions `(count, d_out)` of the first `count` documents, with half of the other extracts."""
        extracts = self.embedded.extracts
        if extracts is not None and extracts.others is not None:
            others = extracts.others.first(len(extracts.others.source) // 2)
            extracts = replace(extracts, others=others)
        fitting = replace(self, embedded=replace(self.embedded, extracts=extracts))
        return fitting.fit(np.arange(count), only_with_text=True).held_out

    def texts_of(self, rows: Rows) -> list[str] | None:
        """The documents of some pairs; `None` for a projection that reads no texts."""
        return None if self.texts is None else [self.texts[row] for row in rows]


def _on(device: str | None, vectors: Vectors) -> Any:
    """The vectors as a torch tensor on a device, or as they are for NumPy."""
    if device is None or device == "cpu":
        return vectors
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "train") from None
    return torch.as_tensor(vectors, dtype=torch.float64, device=device)
