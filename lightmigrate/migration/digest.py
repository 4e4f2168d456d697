"""Digests that tell whether a collection holds the same as another, or as it did before, in whatever order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from lightmigrate.stores.base import Collection, Page


class Digest:
    """Order-free digests of a collection, fed page by page: sums of the rows' SHA-256, modulo 2²⁵⁶."""

    def __init__(self) -> None:
        self._content = 0
        self._vectors = 0

    def add(self, page: Page) -> None:
        """Take in the records of a page."""
        self._count(page, 1)

    def remove(self, page: Page) -> None:
        """Take out the records of a page that were taken in before."""
        self._count(page, -1)

    def _count(self, page: Page, sign: int) -> None:
        rows = zip(page.ids, page.documents, page.metadatas, page.uris, strict=True)
        for row, vector in zip(rows, page.vectors, strict=True):
            key = row[0].encode()
            self._content += sign * _hash(json.dumps(row, sort_keys=True).encode())
            self._vectors += sign * _hash(len(key).to_bytes(8, "big") + key + vector.tobytes())

    @property
    def content(self) -> str:
        """Digest of ids, documents, metadatas and uris."""
        return f"{self._content % 2**256:064x}"

    @property
    def vectors(self) -> str:
        """Digest of ids and vectors."""
        return f"{self._vectors % 2**256:064x}"


def digest_of(collection: Collection, page_size: int) -> Digest:
    """The digests of a whole collection; only reads."""
    digest = Digest()
    for page in collection.pages(page_size):
        digest.add(page)
    return digest


def settings_sha256(collection: Collection) -> str:
    """Digest of all that configures a collection but its embedding function."""
    return hashlib.sha256(json.dumps(collection.settings(), sort_keys=True).encode()).hexdigest()


def record_digests(page: Page, *, vectors: bool = True) -> Iterator[bytes]:
    """Of each record of a page: 16 bytes for id, document, metadata and uri, and 16 for the vector if wanted."""
    for row, one in enumerate(page.ids):
        said = [one, page.documents[row], page.metadatas[row], page.uris[row]]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()[:16]
        yield digest + hashlib.sha256(page.vectors[row].tobytes()).digest()[:16] if vectors else digest


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big")
