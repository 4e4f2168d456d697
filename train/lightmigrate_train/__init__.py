"""Training with torch. Needs the `train` extra; the runtime package never imports this one."""

try:
    import torch as _torch  # noqa: F401  # only to say early, and clearly, what is missing
except ImportError as error:
    raise ImportError("torch is not installed: run  pip install 'lightmigrate[train]'") from error

from lightmigrate_train.linear import fit_linear
from lightmigrate_train.network import fit_mlp

__all__ = ["fit_linear", "fit_mlp"]
