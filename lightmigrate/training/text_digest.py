"""Digests of texts and ids: to recognise equal ones, and to put them in an order that only a seed decides."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Iterable


def text_digest(text: str) -> bytes:
    """BLAKE2b of a text or an id, 16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def first_in_random_order(digests: Iterable[bytes], seed: int, most: int) -> list[bytes]:
    """So many digests, or all if there are fewer, in an order that depends on the seed and not on the one given.

    All of them are passed over, also where none is wanted.
    """
    rest = iter(digests)
    chosen = heapq.nsmallest(most, rest, key=lambda digest: random_key(digest, seed))
    deque(rest, maxlen=0)
    return chosen


def random_key(digest: bytes, seed: int) -> bytes:
    """What orders digests at random, 8 bytes."""
    return hashlib.blake2b(digest, key=seed.to_bytes(8, "big", signed=True), digest_size=8).digest()
