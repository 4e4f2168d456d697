"""What was fitted already: projections that are fitted to the same pairs hand on what they have in common.

A plan fits several projections to the same pairs: from the vectors alone, with the texts, with extracts of several
lengths. All of them compare the same methods of the vectors alone, and each that reads texts holds a function for
records without one, which is the same for all. The migration that follows may need one of the projections themselves.
What is the same is told by content, so that nothing has to say which fit belongs to which setting.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from array_api_compat import is_torch_array

T = TypeVar("T")


class FitMemory:
    """Makes each fit once. It holds what it made until it is forgotten.

    Args:
        clock: the seconds now.

    Attributes:
        handed_on_seconds: what the fits took that were asked for again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._projections: dict[Hashable, tuple[Any, float]] = {}
        self._parts: dict[Hashable, tuple[Any, float]] = {}
        self.handed_on_seconds = 0.0

    def projection(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, which is called at the first use of a key only: a projection fitted to all its pairs."""
        return self._once(self._projections, key, make)

    def part(self, key: Hashable, make: Callable[[], T]) -> T:
        """The same for what several projections have in common. It may hold a decomposition of K × K numbers."""
        return self._once(self._parts, key, make)

    def forget_parts(self) -> None:
        """Give back the memory of the parts, when no other projection is fitted to the same pairs."""
        self._parts.clear()

    def _once(self, kept: dict[Hashable, tuple[Any, float]], key: Hashable, make: Callable[[], T]) -> T:
        if key in kept:
            value, seconds = kept[key]
            self.handed_on_seconds += seconds
        else:
            started, before = self._clock(), self.handed_on_seconds
            value = make()
            # what was handed on to it would have been made without others, too
            kept[key] = value, self._clock() - started + self.handed_on_seconds - before
        found: T = value
        return found


def fingerprint(*values: Any) -> bytes:
    """A SHA-256 of values: arrays of NumPy or torch, texts and `None`, and lists of these. Equal content, equal sum."""
    digest = hashlib.sha256()
    for value in values:
        _add(digest, value)
    return digest.digest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) or is_torch_array(value):
        # the same numbers on another device are fitted by other arithmetic
        kind = f"{type(value).__module__} {getattr(value, 'device', '')} {value.dtype} {tuple(value.shape)}"
        content: Any = np.ascontiguousarray(value.cpu() if is_torch_array(value) else value).data
    elif isinstance(value, (list, tuple)):
        digest.update(f"{len(value)} values ".encode())
        for item in value:
            _add(digest, item)
        return
    else:
        kind, content = type(value).__name__, str(value).encode("utf-8", "surrogatepass")
    digest.update(f"{kind} {len(content)} ".encode())
    digest.update(content)
