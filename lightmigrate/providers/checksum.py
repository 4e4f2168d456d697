"""What tells the weights in two files apart, whatever the files are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def checksum(files: Iterable[Path], settings: str = "") -> str:
    """The first 16 hexadecimal digits of SHA-256 over the files' contents, in this order, and the settings."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    digest.update(settings.encode())
    return digest.hexdigest()[:16]
