"""A small network that corrects a closed form.

It learns the residuals of the closed form with a small learning rate, and stops when the error on unseen pairs rises.
Networks trained from scratch on some thousand pairs are much worse than a matrix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.fit import FittedPairs, fit
from lightmigrate.estimators.methods import FOLDS
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.network import Network
from lightmigrate.vectors import SHORTEST, Vectors

HIDDEN = 512
VALIDATION_SHARE = 0.15  # of the pairs; they decide when to stop


def fit_network(
    source: Vectors,
    target: Vectors,
    *,
    source_model: Model | None,
    target_model: Model,
    device: str | None,
    seed: int,
) -> FittedPairs:
    """A `Fitter` for `lightmigrate.train`: `fit_mlp` on all pairs, and on all but each fold to predict that fold.

    Args:
        source: float32 `(K, d_in)`, K ≥ 20 documents in the old space.
        target: float32 `(K, d_out)`, the same documents in the new space.
        source_model: the old model; unnamed when `None`.
        target_model: the new model.
        device: `cuda` or `cpu`; by default `cuda` if torch finds it.
        seed: of every random choice.

    Raises:
        ProjectionError: fewer than 20 pairs in a training fold.
    """

    def fitted(x: Vectors, y: Vectors) -> Projection:
        return fit_mlp(x, y, source_model=source_model, target_model=target_model, device=device, seed=seed)

    held_out = np.empty_like(target)
    shuffled = np.random.default_rng(seed).permutation(len(source))
    for fold in np.array_split(shuffled, FOLDS):
        others = np.setdiff1d(shuffled, fold)
        held_out[fold] = fitted(source[others], target[others]).apply(source[fold])
    return FittedPairs(fitted(source, target).with_spaces(source, target), held_out)


def fit_mlp(
    source: Any,
    target: Any,
    *,
    source_model: Model | None = None,
    target_model: Model | None = None,
    hidden: int = HIDDEN,
    epochs: int = 200,
    patience: int = 10,
    learning_rate: float = 1e-4,
    batch_size: int = 64,
    device: str | None = None,
    seed: int = 0,
) -> Projection:
    """Train `y = closed(x) + relu(x·A + a)·B`, with B = 0 at the start, with AdamW on the squared error.

    The closed form and the network are fitted to the same 85 % of the pairs. Training stops when the error on the
    others has not fallen for `patience` epochs. The best state is kept: on these pairs it is never worse than the
    closed form alone.

    Args:
        source: `(K, d_in)`, K ≥ 20 texts in the old space, real numbers.
        target: `(K, d_out)`, the same texts in the new space.
        source_model: the model of `source`.
        target_model: the model of `target`.
        hidden: width of the network.
        epochs: at most so many passes over the pairs.
        patience: epochs without a lower error after which it stops.
        learning_rate: of AdamW.
        batch_size: pairs in a step.
        device: `cuda` or `cpu`; by default `cuda` if torch finds it.
        seed: of the split, the initial weights, and the order of the pairs.

    Returns:
        A projection; using it, saving it and exporting it to ONNX does not need torch.

    Raises:
        ProjectionError: fewer than 20 pairs.
    """
    X, Y = np.asarray(source, np.float32), np.asarray(target, np.float32)
    if len(X) < 20:
        raise ProjectionError(
            f"{len(X)} pairs are too few for a network; give at least 20, or use a closed form (--method auto)"
        )
    shuffled = np.random.default_rng(seed).permutation(len(X))
    validation, fitted = np.split(shuffled, [max(3, int(VALIDATION_SHARE * len(X)))])
    closed = fit(X[fitted], Y[fitted], method="kernel", seed=seed, source_model=source_model, target_model=target_model)
    (step,) = closed.steps
    assert isinstance(step, Sum)  # noqa: S101  # a kernel fit is a Sum
    plain = step.direction()
    # the network corrects what the closed form regresses: directions, unless the targets are affine
    goal = Y / np.maximum(np.linalg.norm(Y, axis=1, keepdims=True), SHORTEST) if step.normalise else Y

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.as_tensor(X, device=device)
    residuals = torch.as_tensor(goal - plain.apply(X, None), device=device)
    first = torch.randn(X.shape[1], hidden, generator=generator) * (2 / X.shape[1]) ** 0.5
    parameters = [first, torch.zeros(hidden), torch.zeros(hidden, Y.shape[1])]
    parameters = [part.to(device).requires_grad_() for part in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate)

    def error(rows: Any) -> Any:
        A, a, B = parameters
        return torch.mean((residuals[rows] - torch.relu(inputs[rows] @ A + a) @ B) ** 2)

    best, least, waited = [part.detach().clone() for part in parameters], float("inf"), 0
    for _ in range(epochs):
        with torch.no_grad():
            current = float(error(validation))
        if current < least:
            best, least, waited = [part.detach().clone() for part in parameters], current, 0
        elif (waited := waited + 1) >= patience:
            break
        order = torch.as_tensor(fitted)[torch.randperm(len(fitted), generator=generator)]
        for rows in order.split(batch_size):
            optimiser.zero_grad()
            error(rows).backward()
            optimiser.step()
    network = Network(*(part.cpu().numpy() for part in best))
    training = {**closed.info.training, "method": "mlp", "pairs": len(X), "hidden": hidden, "epochs": epochs}
    info = ProjectionInfo(closed.info.source, closed.info.target, training)
    return Projection((replace(step, terms=(*step.terms, network)),), info)
