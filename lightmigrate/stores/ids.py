"""The number of each record of a collection by its id, in sixteen bytes a record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

_MISSING = -1


def hashed(ids: Iterable[str]) -> Numbers:
    """A hash of each id, int64 `(n,)`: Python's own, keyed anew in every process, so it is never written down."""
    return np.fromiter(map(hash, ids), np.int64)


class IdTable:
    """A number for each of some ids; the ids themselves are not kept.

    A dictionary takes ten times as much memory, which with millions of records is more than a database's engine needs.
    Two ids that are held have different hashes: this is checked, once for all. An id that is not held is taken for
    one that is with a probability of the number of ids in 2⁶⁴, which the verification of all records would find.

    Args:
        hashes: of the ids, see `hashed`, int64 `(n,)`.
        numbers: of each, at least 0, int64 `(n,)`; their places by default.

    Raises:
        ValueError: two ids are the same, or cannot be told apart.
    """

    def __init__(self, hashes: Numbers, numbers: Numbers | None = None) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._numbers = order if numbers is None else numbers[order]
        if (self._hashes[1:] == self._hashes[:-1]).any():
            raise ValueError("an id that occurs twice")

    def __len__(self) -> int:
        return len(self._hashes)

    def of(self, ids: Sequence[str]) -> Numbers:
        """The number of each id, int64 `(n,)`; -1 for one that is not held."""
        return self.of_hashes(hashed(ids))

    def of_hashes(self, hashes: Numbers) -> Numbers:
        """The same, by their hashes."""
        if not len(self._hashes):
            return np.full(len(hashes), _MISSING, np.int64)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[places] == hashes, self._numbers[places], _MISSING)
