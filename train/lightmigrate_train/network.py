"""A small network on top of the best closed form, for those who expect one.

It learns what the closed form leaves over, with a tiny learning rate, and stops when documents it does not see get
worse: networks trained from scratch on some thousand pairs are much worse than a matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lightmigrate import Model, Projection, ProjectionError
from lightmigrate.estimators.fit import fit
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.network import Network
from lightmigrate.projection.steps import Sum

HIDDEN = 512
WATCHED = 0.15  # share of the pairs that decides when to stop


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
    """Train `y = closed(x) + relu(x·A + a)·B`, B beginning at zero, with AdamW on the squared error.

    The closed form and the network are fitted to the same 85 % of the pairs, the network stops when the error on
    the others has not fallen for `patience` epochs, and the best state is kept: it is never worse on them than
    the closed form alone.

    Args:
        source: `(K, d_in)`, K ≥ 20, real numbers.
        target: `(K, d_out)`, the same texts in the new model.
        source_model: who made `source`.
        target_model: who made `target`.
        hidden: width of the network.
        epochs: passes over the pairs at most.
        patience: epochs without progress after which it stops.
        learning_rate: of AdamW.
        batch_size: pairs in a step.
        device: `cuda` or `cpu`; by default CUDA where torch finds it.
        seed: of the split, the initial weights, and the order of the pairs.

    Returns:
        A projection like any other, in `.npz` or ONNX; torch is not needed to use it.

    Raises:
        ProjectionError: fewer than 20 pairs.
    """
    X, Y = np.asarray(source, np.float32), np.asarray(target, np.float32)
    if len(X) < 20:
        raise ProjectionError(f"{len(X)} pairs are too few for a network; at least 20, or use a closed form")
    shuffled = np.random.default_rng(seed).permutation(len(X))
    watched, fitted = np.split(shuffled, [max(3, int(WATCHED * len(X)))])
    closed = fit(X[fitted], Y[fitted], method="kernel", seed=seed, source_model=source_model, target_model=target_model)
    (step,) = closed.steps
    assert isinstance(step, Sum)  # noqa: S101  # a kernel fit is one
    plain = Sum(step.bias, step.terms, normalise=False)

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.as_tensor(X, device=device)
    left_over = torch.as_tensor(Y - plain.apply(X, None), device=device)
    first = torch.randn(X.shape[1], hidden, generator=generator) * (2 / X.shape[1]) ** 0.5
    parameters = [first, torch.zeros(hidden), torch.zeros(hidden, Y.shape[1])]
    parameters = [part.to(device).requires_grad_() for part in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate)

    def error(rows: Any) -> Any:
        A, a, B = parameters
        return torch.mean((left_over[rows] - torch.relu(inputs[rows] @ A + a) @ B) ** 2)

    best, least, waited = [part.detach().clone() for part in parameters], float("inf"), 0
    for _ in range(epochs):
        with torch.no_grad():
            now = float(error(watched))
        if now < least:
            best, least, waited = [part.detach().clone() for part in parameters], now, 0
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
    return Projection((Sum(step.bias, (*step.terms, network), step.normalise),), info)
