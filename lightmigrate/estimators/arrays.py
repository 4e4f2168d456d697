"""One set of functions for NumPy arrays and torch tensors, so that every estimator is written once.

On a server the estimators get NumPy arrays; `lightmigrate train` gives them torch tensors on a GPU. They return
NumPy in either case.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from lightmigrate.vectors import Vectors

# An array of either library, float64 unless said otherwise.
Array = Any


# Since 2.1 NumPy has the array API's functions itself; importing a layer for them takes as long as a small migration.
_NUMPY_HAS_THEM = hasattr(np, "astype")


def namespace(*arrays: Array) -> Any:
    """The functions of the array API for the library these arrays belong to."""
    if _NUMPY_HAS_THEM and all(isinstance(array, np.ndarray) for array in arrays):
        return np
    return array_namespace(*arrays)


def as_doubles(values: Any) -> Array:
    """Float64: a torch tensor on the device it is on, everything else as NumPy."""
    if is_torch_array(values):
        return values.detach().double()
    return np.asarray(values, dtype=np.float64)


def beside(values: Any, array: Array) -> Array:
    """NumPy values, of their own dtype, in the same library and on the same device as `array`."""
    values = np.asarray(values)
    if not is_torch_array(array):
        return values
    return namespace(array).asarray(values, device=device(array))


def as_numpy(array: Array) -> np.typing.NDArray[np.float64]:
    """The same numbers as NumPy, float64."""
    return np.asarray(array.cpu() if is_torch_array(array) else array, dtype=np.float64)


def as_float32(array: Array) -> Vectors:
    """The same numbers as a projection stores them: NumPy, float32, C-contiguous."""
    return np.ascontiguousarray(as_numpy(array), dtype=np.float32)
