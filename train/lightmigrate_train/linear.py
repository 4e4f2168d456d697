"""One linear layer trained by gradient descent: the usual baseline.

It serves to be compared with closed forms, which need no torch and were better at every number of pairs measured (see
`benchmarks/`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection


def fit_linear(
    source: Any,
    target: Any,
    *,
    source_model: Model,
    target_model: Model,
    epochs: int = 100,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    mse_weight: float = 0.7,
    device: str | None = None,
    seed: int = 0,
) -> Projection:
    """Train `y = x·W + b` with Adam on `mse_weight · MSE + (1 - mse_weight) · (1 - cosine)`.

    Args:
        source: `(K, d_in)`, real numbers: K texts in the old space.
        target: `(K, d_out)`, the same texts in the new space.
        source_model: the model of `source`.
        target_model: the model of `target`.
        epochs: passes over the pairs.
        learning_rate: of Adam.
        batch_size: pairs in a step.
        mse_weight: share of the squared error in the loss, in [0, 1].
        device: `cuda` or `cpu`; by default `cuda` if torch finds it.
        seed: of the initial weights and the order of the pairs.

    Returns:
        An affine projection; using it does not need torch.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(seed)
    X = torch.as_tensor(np.asarray(source, np.float32), device=device)
    Y = torch.as_tensor(np.asarray(target, np.float32), device=device)
    layer = torch.nn.Linear(X.shape[1], Y.shape[1])
    with torch.no_grad():  # torch's own initialisation, from our generator
        bound = X.shape[1] ** -0.5
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    layer.to(device)
    optimiser = torch.optim.Adam(layer.parameters(), lr=learning_rate)
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).split(batch_size):
            predicted, true = layer(X[rows]), Y[rows]
            cosine = torch.nn.functional.cosine_similarity(predicted, true).mean()
            loss = mse_weight * torch.nn.functional.mse_loss(predicted, true) + (1 - mse_weight) * (1 - cosine)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Projection.affine(
        layer.weight.detach().cpu().numpy().T,
        layer.bias.detach().cpu().numpy(),
        source=source_model,
        target=target_model,
        training={"method": "linear", "pairs": len(X), "epochs": epochs, "seed": seed},
    )
