"""Training with torch; needs the `train` extra. `lightmigrate` never imports it: a command hands its fitter in.

Names are imported when they are first used, so that `python -m lightmigrate_train` can say in one line what is missing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lightmigrate.errors import MissingExtraError

if TYPE_CHECKING:
    from lightmigrate_train.linear import fit_linear
    from lightmigrate_train.network import fit_mlp, fit_network

__all__ = ["fit_linear", "fit_mlp", "fit_network"]

_MODULES = {
    "fit_linear": "lightmigrate_train.linear",
    "fit_mlp": "lightmigrate_train.network",
    "fit_network": "lightmigrate_train.network",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        importlib.import_module("torch")
    except ImportError:
        raise MissingExtraError("torch", "train") from None
    value: object = getattr(importlib.import_module(_MODULES[name]), name)
    return value
