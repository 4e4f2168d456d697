"""What the file of a cache holds of one model: vectors by digests of texts, and what tells it from another model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lightmigrate.errors import ProviderError
from lightmigrate.providers.base import estimated_tokens
from lightmigrate.providers.cache_file import Change, VectorFile, selected
from lightmigrate.providers.careful import Answer
from lightmigrate.vectors import Vectors

_ADD_SPEED = (
    "INSERT INTO speeds VALUES (?, ?, ?) ON CONFLICT (model) DO UPDATE SET "
    "tokens = tokens + excluded.tokens, seconds = seconds + excluded.seconds"
)

# As long as no other run has begun anew with another model.
_IF_SAME = "WHERE ?4 IS NULL OR coalesce((SELECT vector FROM probes WHERE model = ?1), ?4) = ?4"

# The reason for a cut that an earlier run made.
CUT_BEFORE = "longer than the model took before"


class StoredVectors:
    """The vectors of one model.

    Args:
        file: the file.
        path: of it, for messages.
        name: of the model, for messages.
        key: the key of the model, which may be known only when it was loaded.

    Raises:
        ProviderError: (all methods) the file cannot be used, or holds vectors of another dimension.
    """

    def __init__(self, file: VectorFile, path: Path, name: str, key: Callable[[], str]) -> None:
        self._file, self._path, self._name, self._key = file, path, name, key
        self._probe: bytes | None = None

    def read(self, texts: Sequence[str], queries: bool) -> dict[str, tuple[int, Vectors]]:
        """The texts that are there: how many of their characters were embedded, and the vector."""
        model = self._key()
        digests = {text: digest_of(text, queries) for text in dict.fromkeys(texts)}
        lengths = {text: len(text) for text in digests}
        vectors = selected(self._file, "embeddings", "vector", model, digests.values())
        if len(vectors) < len(set(digests.values())):
            missing = {text: digest for text, digest in digests.items() if digest not in vectors}
            cuts = selected(self._file, "cuts", "characters", model, missing.values())
            cut = {text: int(cuts[digest]) for text, digest in missing.items() if digest in cuts}
            lengths.update(cut)
            digests.update((text, digest_of(text[:length], queries)) for text, length in cut.items())
            vectors.update(selected(self._file, "embeddings", "vector", model, [digests[text] for text in cut]))
        dimension = self._dimension() * 4
        if any(len(vector) != dimension for vector in vectors.values()):
            raise ProviderError(f"{self._path} has vectors of several dimensions for {self._name}; delete it")
        return {
            text: (lengths[text], np.frombuffer(vectors[digest], dtype="<f4").astype(np.float32))
            for text, digest in digests.items()
            if digest in vectors
        }

    def write(self, answers: Sequence[tuple[Sequence[str], Answer]], queries: bool, seconds: float = 0.0) -> None:
        """Write what was embedded, and the seconds that it took, in one go."""
        before, model = self._dimension(), self._key()
        rows: list[tuple[object, ...]] = []
        cuts: list[tuple[object, ...]] = []
        embedded_parts: list[str] = []
        for texts, answer in answers:
            found = answer.vectors.shape[1]
            if before not in (0, found):
                raise ProviderError(
                    f"{self._name} gives {found} dimensions where {self._path} has {before}; "
                    "was the model exchanged under its name? delete that file"
                )
            for text, sent, vector in zip(texts, answer.sent, answer.vectors, strict=True):
                if sent is None:
                    continue
                embedded_parts.append(sent)
                rows.append((model, digest_of(sent, queries), _numbers(vector), self._probe))
                if sent != text:
                    cuts.append((model, digest_of(text, queries), len(sent), self._probe))
        changes: list[Change] = [
            (f"INSERT OR REPLACE INTO embeddings SELECT ?1, ?2, ?3 {_IF_SAME}", rows),
            (f"INSERT OR REPLACE INTO cuts SELECT ?1, ?2, ?3 {_IF_SAME}", cuts),
        ]
        if seconds:
            changes.append((_ADD_SPEED, [(model, estimated_tokens(embedded_parts), seconds)]))
        self._file.change(*changes)

    def delete(self) -> None:
        """Delete all vectors, that of the fixed text, too. Writes."""
        own = [(self._key(),)]
        self._file.change(("DELETE FROM embeddings WHERE model = ?", own), ("DELETE FROM probes WHERE model = ?", own))

    def probe(self) -> Vectors | None:
        """The vector `(d,)` of the fixed text that the model gave before; `None` if it was not asked. Only reads."""
        rows = self._file.rows("SELECT vector FROM probes WHERE model = ?", (self._key(),))
        return np.frombuffer(rows[0][0], dtype="<f4") if rows else None

    def keep_probe(self, vector: Vectors) -> None:
        """Write the vector `(d,)` of the fixed text, unless there is one."""
        self._file.change(("INSERT OR IGNORE INTO probes VALUES (?, ?)", [(self._key(), _numbers(vector))]))

    def only_beside(self, vector: Vectors) -> None:
        """From now on, write vectors only as long as this one `(d,)` of the fixed text is there."""
        self._probe = _numbers(vector)

    def seconds_per_token(self) -> float | None:
        """How long the model took for a token, in all calls; `None` before the first."""
        query = "SELECT seconds / tokens FROM speeds WHERE model = ? AND tokens > 0"
        rows = self._file.rows(query, (self._key(),))
        return float(rows[0][0]) if rows else None

    def _dimension(self) -> int:
        """Of the vectors that there are, 0 when there are none."""
        query = "SELECT length(vector) / 4 FROM embeddings WHERE model = ? LIMIT 1"
        rows = self._file.rows(query, (self._key(),))
        return int(rows[0][0]) if rows else 0


def _numbers(vector: Vectors) -> bytes:
    return vector.astype("<f4").tobytes()


def digest_of(text: str, queries: bool) -> bytes:
    """The digest by which a text, prefix included, is known in the file."""
    return hashlib.sha256((b"query\0" if queries else b"") + text.encode()).digest()


def as_answer(known: dict[str, tuple[int, Vectors]]) -> tuple[list[str], Answer]:
    """Texts that are stored, with what the model had answered."""
    sent: list[str | None] = [text[:length] for text, (length, _) in known.items()]
    reason = "" if all(kept == text for kept, text in zip(sent, known, strict=True)) else CUT_BEFORE
    return list(known), Answer(np.stack([vector for _, vector in known.values()]), sent, reason)
