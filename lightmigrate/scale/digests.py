"""Digests of texts in a file, sorted, which many processes map into their memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lightmigrate.files import replacing

# Bytes of a digest; see `training.text_digest`.
_BYTES = 16


class DigestFile:
    """The digests in a file that `write` wrote. Only reads.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._count = path.stat().st_size // _BYTES
        self._sorted = np.memmap(path, f"S{_BYTES}", "r") if self._count else np.empty(0, f"S{_BYTES}")

    def __len__(self) -> int:
        return self._count

    def __contains__(self, digest: object) -> bool:
        if not isinstance(digest, bytes) or not self._count:
            return False
        place = int(np.searchsorted(self._sorted, np.bytes_(digest)))
        # NumPy leaves zeros at the end out
        return place < self._count and bytes(self._sorted[place]).ljust(_BYTES, b"\0") == digest


def write(path: Path, digests: Iterable[bytes]) -> None:
    """Write digests to a file, sorted; durable on return."""
    with replacing(path) as stream:
        stream.writelines(sorted(digests))
