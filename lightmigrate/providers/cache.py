"""A cache of embeddings on disk, so that an interrupted run does not embed a text twice."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import CostError, ProviderError
from lightmigrate.files import user_folder
from lightmigrate.progress import logger
from lightmigrate.providers.base import Bill, Provider, estimated_tokens
from lightmigrate.providers.cache_file import IN_MEMORY, CacheFile
from lightmigrate.providers.careful import Answer
from lightmigrate.providers.chroma import provider_of
from lightmigrate.vectors import Vectors, finite_rows

# Embedded once in every run that uses the cache: does the model still give the vectors that are in it?
PROBE = "lightmigrate asks: which embedding model are you?"

# One model gives one text vectors of at least this cosine on two days; two models never do.
SAME_PROBE = 0.999

# Texts looked up by one statement: SQLite takes at least 999 values.
SELECTED_AT_ONCE = 500

# Texts of a model that is quick are written to the file together, because writing takes longer than such a model: as
# many as it embeds in about so many seconds, which is what an interrupted run loses of them. Never of one that costs
# money.
SECONDS_TOGETHER, MOST_TOGETHER = 0.2, 2048

# How many times more texts are written together than before, at most, after a few that were embedded quickly.
GROWTH = 8

_ADD_SPEED = (
    "INSERT INTO speeds VALUES (?, ?, ?) ON CONFLICT (model) DO UPDATE SET "
    "tokens = tokens + excluded.tokens, seconds = seconds + excluded.seconds"
)

# The reason for a cut that an earlier run made.
CUT_BEFORE = "longer than the model took before"


def default_cache() -> Path:
    """`lightmigrate/embeddings.sqlite3` in the user's cache folder."""
    return user_folder() / "embeddings.sqlite3"


@dataclass(frozen=True)
class TimedCall:
    """One call of a model.

    Attributes:
        texts: that it embedded.
        tokens: of them, estimated; at least 1.
        seconds: that it took.
    """

    texts: int
    tokens: int
    seconds: float


class Cached(Provider):
    """A provider with a cache on disk before another provider.

    What is embedded is written to disk before more is: every batch of the inner provider, or of a quick one what it
    embeds in a fraction of a second. The file holds vectors and SHA-256 sums of texts, never a text. Several processes
    may use one file.

    A name says little about a model: a server may serve another one under it. So the vector of one fixed text is kept
    for each model and compared once, before the first vector is taken from the cache. If it changed, what the cache
    holds of the model is deleted, with a warning.

    Args:
        inner: the provider that embeds texts missing from the cache.
        path: the file; created, with its folder, when missing.

    Attributes:
        timed: the calls of the inner provider, with the seconds that each took.
        hits: number of texts found in the cache.
        misses: number of texts embedded by the inner provider.
        batch_size: texts written to the file together; it grows while the inner provider is quick.
        seconds: time spent in the inner provider.

    Raises:
        ProviderError: (all methods) the file cannot be used, or another model now has this name.
    """

    def __init__(self, inner: Provider, path: Path | None = None) -> None:
        super().__init__(inner.name, revision=inner.revision, prefix=inner.prefix, query_prefix=inner.query_prefix)
        self.provider = inner.provider
        self.inner = inner
        self._write_together(inner.parallel.most * inner.batch_size)
        self.path = path or default_cache()
        self._file = CacheFile(self.path)
        self.hits = self.misses = 0
        self.seconds = 0.0
        self.timed: list[TimedCall] = []
        self._probe: Vectors | None = None
        self._checked = False

    @classmethod
    def in_memory(cls, inner: Provider) -> Cached:
        """With a cache that ends with this object, for a model that has no name to find its vectors by."""
        return cls(inner, IN_MEMORY)

    @property
    def parallel_calls(self) -> int:
        """How many calls of the inner provider are made at the same time."""
        return self.inner.parallel.most

    @property
    def asked(self) -> bool:
        """Whether the inner provider was asked for the fixed text before."""
        return self._probe is not None

    @property
    def key(self) -> str:
        """The inner provider's."""
        return self.inner.key

    def bill(self, texts: Sequence[str], queries: Sequence[str] = ()) -> Bill:
        """The cost of the documents and queries missing from the cache. Creates the file, calls no model."""
        tokens = 0
        for batch, are_queries in ((texts, False), (queries, True)):
            worded = dict.fromkeys(self.worded(batch, are_queries))
            known = self._read(list(worded), are_queries)
            tokens += estimated_tokens([text for text in worded if text not in known])
        return self.priced(tokens)

    def priced(self, tokens: int) -> Bill:
        """The inner provider's price."""
        return self.inner.priced(tokens)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """Embed one batch; rows of NaN for texts that the model refuses. See `answer`."""
        return self.answer(texts, queries).vectors

    def answer(self, texts: Sequence[str], queries: bool = False) -> Answer:
        """Embed one batch: cached texts from disk, others by the inner provider, once for equal texts.

        A text that was cut is stored as what was embedded of it, with the number of its characters, so that the next
        run does not ask for the whole text again.
        """
        beside = self.inner.parallel.most > 1 and self._knows_no_probe()
        if not beside:
            self._check()
        known = self._read(texts, queries)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        self.hits += len(texts) - len(missing)
        self.misses += len(missing)
        sent: dict[str, str | None] = {text: text[:length] for text, (length, _) in known.items()}
        vectors = {text: vector for text, (_, vector) in known.items()}
        reason = "" if all(sent[text] == text for text in sent) else CUT_BEFORE
        for part, answer in self._embedded(missing, queries, probe=beside):
            vectors.update(zip(part, answer.vectors, strict=True))
            sent.update(zip(part, answer.sent, strict=True))
            reason = answer.reason or reason
        if beside:
            self._check()
        return Answer(np.stack([vectors[text] for text in texts]), [sent[text] for text in texts], reason)

    def _embedded(self, missing: list[str], queries: bool, *, probe: bool) -> list[tuple[list[str], Answer]]:
        """Embed texts in batches of the inner provider, and write them to the file, also those before a failure.

        Args:
            missing: the texts.
            queries: whether they are queries.
            probe: whether the fixed text is asked for at the same time.
        """
        answers: list[tuple[list[str], Answer]] = []
        if not missing:
            return answers

        def calls() -> Iterator[Callable[[], tuple[list[str], Answer]]]:
            if probe:
                yield self._probed_quietly
            for rows in self.inner.batches(missing):
                yield partial(self._timed, [missing[row] for row in rows], queries)

        at_once = self.inner.parallel.most > 1 or self.priced(1_000_000).dollars != 0
        started = written = time.monotonic()
        unwritten: list[tuple[list[str], Answer]] = []
        try:
            for part, answer in self.inner.parallel.run(calls()):
                if part:
                    answers.append((part, answer))
                    unwritten.append((part, answer))
                if unwritten and at_once:
                    now = time.monotonic()
                    self._write(unwritten, queries, now - written)
                    unwritten, written = [], now
        finally:
            now = time.monotonic()
            self.seconds += now - started
            if unwritten:
                self._write(unwritten, queries, now - written)
        if not at_once and len(missing) >= self.batch_size:  # fewer may be single words, which are quicker
            texts_in_time = SECONDS_TOGETHER * len(missing) / max(now - started, 1e-9)
            self._write_together(int(min(texts_in_time, GROWTH * self.batch_size)))
        return answers

    def _timed(self, texts: list[str], queries: bool) -> tuple[list[str], Answer]:
        """Texts with the answer to them."""
        started = time.monotonic()
        answer = self.inner.answer(texts, queries)
        self.timed.append(TimedCall(len(texts), max(1, estimated_tokens(texts)), time.monotonic() - started))
        return texts, answer

    def _probed_quietly(self) -> tuple[list[str], Answer]:
        """No texts, after the fixed text was asked for; a failure is left to the check that follows."""
        with contextlib.suppress(ProviderError, CostError):
            self.probe()
        return [], Answer(np.empty((0, 0), np.float32), [])

    def _write_together(self, texts: int) -> None:
        """Write so many texts to the file at once from now on, within bounds."""
        own = self.inner.batch_size
        times = max(1, min(texts, MOST_TOGETHER) // own)
        if self.inner.parallel.most > 1:
            times = self.inner.parallel.most
        self.batch_size, self.batch_characters = times * own, times * self.inner.batch_characters

    def has(self, texts: Sequence[str]) -> list[bool]:
        """Which of some documents are in the cache, whole or cut to the model's limit.

        Calls the model once, to see whether the cache is still right.
        """
        self._check()
        known = self._read(self.worded(texts), queries=False)
        return [text in known for text in self.worded(texts)]

    def probe(self) -> Vectors:
        """The model's vector of a fixed text, float32 `(1, d)`, asked for once; never from the cache.

        Raises:
            ProviderError: the model cannot be reached.
        """
        if self._probe is None:
            started = time.monotonic()
            self._probe = self.inner.checked(self.inner.encode([PROBE]), 1)
            self.timed.append(TimedCall(1, estimated_tokens([PROBE]), time.monotonic() - started))
        return self._probe

    def _knows_no_probe(self) -> bool:
        """Whether the model is asked for the fixed text now for the first time, so that nothing depends on it yet."""
        return not self._checked and self._probe is None and self._probe_in_file() is None

    def _probe_in_file(self) -> Vectors | None:
        row = self._file.execute("SELECT vector FROM probes WHERE model = ?", (self.key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype="<f4")

    def _check(self) -> None:
        """Compare the model with the one that filled the cache, once; delete its vectors if it is another one now."""
        if self._checked:
            return
        self._checked = True
        before = self._probe_in_file()
        try:
            now = self.probe()
            changed = before is not None and not same_probe(before, now[0])
            if changed:  # one wrong answer must not cost what was paid for
                self._probe = None
                changed = same_probe(now[0], self.probe()[0])
        except (ProviderError, CostError):
            return  # it cannot be asked: what is in the cache is all there is
        if before is not None and not changed:
            return
        if changed:
            self._file.change(("DELETE FROM embeddings WHERE model = ?", [(self.key,)]))
            logger.warning(
                "%s gives other vectors than before under the same name: what %s held of it was deleted, and is "
                "embedded again", self.name, self.path,
            )  # fmt: skip
        self._file.change(("INSERT OR REPLACE INTO probes VALUES (?, ?)", [(self.key, now[0].astype("<f4").tobytes())]))

    def remember(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Add vectors of documents to the cache that the same model embedded elsewhere, with the same prefix.

        Args:
            texts: the documents.
            vectors: `(n, d)`, row i for text i.
        """
        worded, checked = self.worded(texts), self.inner.checked(vectors, len(texts))
        sent = [text if valid else None for text, valid in zip(worded, finite_rows(checked).tolist(), strict=True)]
        self._write([(worded, Answer(checked, sent))], queries=False)

    def seconds_per_token(self) -> float | None:
        """How long the inner provider took for a token, in all calls through this file; `None` before the first."""
        row = self._file.execute(
            "SELECT seconds / tokens FROM speeds WHERE model = ? AND tokens > 0", (self.key,)
        ).fetchone()
        return None if row is None else float(row[0])

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _read(self, texts: Sequence[str], queries: bool) -> dict[str, tuple[int, Vectors]]:
        """The texts that are cached: how many of their characters were embedded, and the vector."""
        digests = {text: _digest(text, queries) for text in dict.fromkeys(texts)}
        vectors, lengths = self._select("embeddings", "vector", digests.values()), {text: len(text) for text in digests}
        if len(vectors) < len(set(digests.values())):
            missing = {text: digest for text, digest in digests.items() if digest not in vectors}
            cuts = self._select("cuts", "characters", missing.values())
            cut = {text: int(cuts[digest]) for text, digest in missing.items() if digest in cuts}
            lengths.update(cut)
            digests.update((text, _digest(text[:length], queries)) for text, length in cut.items())
            vectors.update(self._select("embeddings", "vector", [digests[text] for text in cut]))
        dimension = self._dimension() * 4
        if any(len(vector) != dimension for vector in vectors.values()):
            raise ProviderError(f"{self.path} has vectors of several dimensions for {self.name}; delete it")
        return {
            text: (lengths[text], np.frombuffer(vectors[digest], dtype="<f4").astype(np.float32))
            for text, digest in digests.items()
            if digest in vectors
        }

    def _select(self, table: str, column: str, digests: Iterable[bytes]) -> dict[bytes, Any]:
        """A column of some rows of this model, by digest."""
        rows: dict[bytes, Any] = {}
        wanted = list(digests)
        for start in range(0, len(wanted), SELECTED_AT_ONCE):
            part = wanted[start : start + SELECTED_AT_ONCE]
            places = ",".join("?" * len(part))
            query = f"SELECT text, {column} FROM {table} WHERE model = ? AND text IN ({places})"  # noqa: S608
            rows.update(self._file.execute(query, (self.key, *part)).fetchall())
        return rows

    def _dimension(self) -> int:
        """Of the vectors this model has on disk, 0 when there are none."""
        row = self._file.execute(
            "SELECT length(vector) / 4 FROM embeddings WHERE model = ? LIMIT 1", (self.key,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _write(self, answers: Sequence[tuple[Sequence[str], Answer]], queries: bool, seconds: float = 0.0) -> None:
        """Write what was embedded, and the seconds that it took, in one go."""
        before = self._dimension()
        rows: list[tuple[object, ...]] = []
        cuts: list[tuple[object, ...]] = []
        embedded_parts: list[str] = []
        for texts, answer in answers:
            found = answer.vectors.shape[1]
            if before not in (0, found):
                raise ProviderError(
                    f"{self.name} gives {found} dimensions where {self.path} has {before}; "
                    "was the model exchanged under its name? delete that file"
                )
            for text, sent, vector in zip(texts, answer.sent, answer.vectors, strict=True):
                if sent is None:
                    continue
                embedded_parts.append(sent)
                rows.append((self.key, _digest(sent, queries), vector.astype("<f4").tobytes()))
                if sent != text:
                    cuts.append((self.key, _digest(text, queries), len(sent)))
        changes = [
            ("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows),
            ("INSERT OR REPLACE INTO cuts VALUES (?, ?, ?)", cuts),
        ]
        if seconds:
            taken: tuple[object, ...] = (self.key, estimated_tokens(embedded_parts), seconds)
            changes.append((_ADD_SPEED, [taken]))
        self._file.change(*changes)


def cached(function: Provider | object) -> Cached:
    """The provider with a cache: the default one unless it has one. See `provider_of`."""
    provider = provider_of(function)
    return provider if isinstance(provider, Cached) else Cached(provider)


def same_probe(before: Vectors, now: Vectors) -> bool:
    """Whether two vectors `(d,)` of one text are of one model."""
    lengths = float(np.linalg.norm(before) * np.linalg.norm(now)) if before.shape == now.shape else 0.0
    return lengths > 0 and float(np.vdot(before, now)) / lengths >= SAME_PROBE


def _digest(text: str, queries: bool) -> bytes:
    return hashlib.sha256((b"query\0" if queries else b"") + text.encode()).digest()
