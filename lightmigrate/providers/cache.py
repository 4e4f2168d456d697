"""Embeddings kept on disk, so that an interrupted run never pays twice."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightmigrate.errors import ProviderError
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Bill, Provider

SECONDS_TO_WAIT = 60.0


def default_cache() -> Path:
    """`lightmigrate/embeddings.sqlite3` where this user keeps caches."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "lightmigrate" / "embeddings.sqlite3"


class Cached(Provider):
    """A provider that asks another one only for what is not on disk yet.

    Every batch is on disk before the next one is asked for. The file holds vectors and SHA-256 sums of texts,
    never a text. Several processes may use one file.

    Args:
        inner: the provider to ask.
        path: the file; made, with its folder, when it is not there.

    Attributes:
        hits: texts that were on disk.
        misses: texts the inner provider was asked for.
    """

    def __init__(self, inner: Provider, path: Path | None = None) -> None:
        super().__init__(inner.name, revision=inner.revision, prefix=inner.prefix, query_prefix=inner.query_prefix)
        self.provider = inner.provider  # type: ignore[misc]  # it stands for the other one
        self.inner = inner
        self.batch_size, self.batch_characters = inner.batch_size, inner.batch_characters
        self.path = path or default_cache()
        self.hits = self.misses = 0
        self._connection: sqlite3.Connection | None = None

    @property
    def key(self) -> str:
        """The inner provider's."""
        return self.inner.key

    def bill(self, texts: Sequence[str]) -> Bill:
        """What those of the texts cost that are not on disk."""
        prefixed = [self.prefix + text for text in texts]
        known = self._read(prefixed, queries=False)
        return self.inner.bill([text for text in dict.fromkeys(prefixed) if text not in known])

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """From disk what is there; the rest from the inner provider, once for equal texts, and then to disk."""
        known = self._read(texts, queries)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        self.hits += len(texts) - len(missing)
        self.misses += len(missing)
        if missing:
            vectors = self.inner.checked(self.inner.encode(missing, queries), len(missing))
            self._write(missing, vectors, queries)
            known.update(zip(missing, vectors, strict=True))
        dimensions = {len(vector) for vector in known.values()}
        if len(dimensions) > 1:
            raise ProviderError(
                f"{self.name} gives {max(dimensions)} dimensions where {self.path} has {min(dimensions)}; "
                "was the model exchanged under its name? delete that file"
            )
        return np.stack([known[text] for text in texts])

    def close(self) -> None:
        """Release the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, texts: Sequence[str], queries: bool) -> dict[str, Vectors]:
        known = {}
        for text in dict.fromkeys(texts):
            row = self._execute(
                "SELECT vector FROM embeddings WHERE model = ? AND text = ?", (self.key, _digest(text, queries))
            ).fetchone()
            if row is not None:
                known[text] = np.frombuffer(row[0], dtype="<f4").astype(np.float32)
        return known

    def _write(self, texts: Sequence[str], vectors: Vectors, queries: bool) -> None:
        rows = [
            (self.key, _digest(text, queries), vector.astype("<f4").tobytes())
            for text, vector in zip(texts, vectors, strict=True)
        ]
        try:
            with self._open() as connection:
                connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._open().execute(statement, values)
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT, check_same_thread=False)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS embeddings "
                "(model TEXT, text BLOB, vector BLOB, PRIMARY KEY (model, text)) WITHOUT ROWID"
            )
            self._connection = connection
        return self._connection

    def _broken(self, error: sqlite3.Error) -> ProviderError:
        return ProviderError(
            f"the cache of embeddings at {self.path} cannot be used ({error}); delete it, or name another"
        )


def _digest(text: str, queries: bool) -> bytes:
    return hashlib.sha256((b"query\0" if queries else b"") + text.encode("utf-8", "surrogatepass")).digest()
