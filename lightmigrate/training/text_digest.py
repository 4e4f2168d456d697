"""Digests of texts and ids: to recognise equal ones, and to put them in an order that only a seed decides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def text_digest(text: str) -> bytes:
    """BLAKE2b of a text or an id, 16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def in_random_order(digests: Iterable[bytes], seed: int) -> list[bytes]:
    """The digests in an order that depends on the seed, and not on the order in which they are given."""
    key = seed.to_bytes(8, "big", signed=True)
    return sorted(digests, key=lambda digest: hashlib.blake2b(digest, key=key, digest_size=8).digest())
