"""Order-free digests that show whether two collections, or two states of one, hold the same records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.stores.base import Collection, Metric, Page
from lightmigrate.stores.page import batches
from lightmigrate.stores.scaled import contents_alone, scaled_in


def _encoder() -> Callable[[object], str]:
    """What writes JSON with sorted keys. `json` makes its encoder anew in every call, which takes half of the time."""
    encoder = json.JSONEncoder(sort_keys=True)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    text, separators = json.encoder.encode_basestring_ascii, (encoder.key_separator, encoder.item_separator)
    try:
        chunks = make(None, encoder.default, text, None, *separators, True, False, True)
    except TypeError:  # it is not documented, and may change
        return encoder.encode
    return lambda value: "".join(chunks(value, 0))


_encode = _encoder()

# Of each part of the digest of a record.
_BYTES = 16


@dataclass(frozen=True)
class Contents:
    """Digests of all records of a collection without their vectors.

    Attributes:
        records: of ids, texts and payloads; see `Digest.content`.
        rows: of the same as the files of the database hold it; see `RecordsInFiles`. `None` where they were not read.
    """

    records: str
    rows: str | None = None


class Digest:
    """Order-free digests of a collection, fed page by page: sums of the rows' SHA-256, modulo 2²⁵⁶."""

    def __init__(self) -> None:
        self._content = 0
        self._vectors = 0

    def add(self, page: Page) -> None:
        """Add the records of a page."""
        self.add_contents(page)
        self.add_vectors(page)

    def add_contents(self, page: Page) -> None:
        """Add ids, texts and payloads of a page alone."""
        self._count_contents(page, 1)

    def add_vectors(self, page: Page) -> None:
        """Add ids and vectors of a page alone."""
        self._count_vectors(page, 1)

    def remove(self, page: Page) -> None:
        """Subtract the records of a page that was added before."""
        self._count_contents(page, -1)
        self._count_vectors(page, -1)

    def _count_contents(self, page: Page, sign: int) -> None:
        rows = zip(page.ids, page.texts, map(contents_alone, page.payloads), strict=True)
        self._content += sign * sum(_hash(_encode(row).encode()) for row in rows)

    def _count_vectors(self, page: Page, sign: int) -> None:
        for record, vector in zip(page.ids, page.vectors, strict=True):
            key = record.encode()
            self._vectors += sign * _hash(len(key).to_bytes(8, "big") + key + vector.tobytes())

    @property
    def content(self) -> str:
        """Digest of ids, texts and payloads, without vectors that the database scales (see `stores.scaled`)."""
        return f"{self._content % 2**256:064x}"

    @property
    def vectors(self) -> str:
        """Digest of ids and vectors."""
        return f"{self._vectors % 2**256:064x}"


def digest_of(collection: Collection, page_size: int, *, vectors: bool = True) -> Digest:
    """The digests of a whole collection, or of one without its vectors. Only reads."""
    digest = Digest()
    for page in collection.scan(page_size, vectors=vectors):
        digest.add(page)
    return digest


def content_of_0_1(collection: Collection, page_size: int) -> str:
    """The digest of ids, texts, metadata and uris that version 0.1.0 recorded of a collection. Only reads."""
    total = 0
    for page in collection.scan(page_size, vectors=False):
        for record, text, payload in zip(page.ids, page.texts, page.payloads, strict=True):
            total += _hash(_encode([record, text, *((payload or {}).get(key) for key in ("metadata", "uri"))]).encode())
    return f"{total % 2**256:064x}"


def settings_sha256(collection: Collection, distance: Metric | None = None) -> str:
    """Digest of the settings of a collection, without the description of its embedding model. Only reads.

    Args:
        collection: the open collection.
        distance: the settings that it would have with this distance; `None` for its own.
    """
    return hashlib.sha256(json.dumps(collection.settings(distance), sort_keys=True).encode()).hexdigest()


def record_digests(page: Page, *, vectors: bool = True) -> Iterator[bytes]:
    """A digest of each record of a page: 16 bytes of id, text and payload, and 16 of the vector when `vectors`.

    Vectors in its payload that the database scales count with the vector; see `stores.scaled`.
    """
    for row, record in enumerate(zip(page.ids, page.texts, map(contents_alone, page.payloads), strict=True)):
        digest = hashlib.sha256(_encode(record).encode()).digest()[:_BYTES]
        yield digest + _vector_digest(page, row) if vectors else digest


def _vector_digest(page: Page, row: int) -> bytes:
    beside = scaled_in(page.payloads[row])
    return hashlib.sha256(page.vectors[row].tobytes() + (_encode(beside).encode() if beside else b"")).digest()[:_BYTES]


def same_contents(one: bytes, other: bytes) -> bool:
    """Whether two digests of records are of the same id, text and payload, whatever their vectors."""
    return one[:_BYTES] == other[:_BYTES]


def held_as_known(collection: Collection, ids: Sequence[str], known: Mapping[str, bytes], page_size: int) -> set[str]:
    """Those of some records that nobody else has written to a collection. Only reads.

    Args:
        collection: the collection.
        ids: of the records.
        known: their digests (`record_digests`) when they were written last; none of those that were not there.
        page_size: records held in memory at once.
    """
    return agreeing(ids, contents_of(collection, ids, page_size), known)


def agreeing(ids: Sequence[str], one: Mapping[str, bytes], other: Mapping[str, bytes]) -> set[str]:
    """Those of some records that have the same contents by both digests, or are in neither."""
    return {record for record in ids if same_contents(one.get(record, b""), other.get(record, b""))}


def contents_of(collection: Collection, ids: Sequence[str], page_size: int) -> dict[str, bytes]:
    """The digests (`record_digests`) of those of some records that a collection has, without vectors; only reads."""
    now: dict[str, bytes] = {}
    for page in map(collection.records, batches(ids, page_size)):
        now.update(zip(page.ids, record_digests(page, vectors=False), strict=True))
    return now


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big")
