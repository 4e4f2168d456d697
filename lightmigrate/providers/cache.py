"""A cache of embeddings on disk, so that an interrupted run does not embed a text twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lightmigrate.errors import CostError, ModelExchangedError, ProviderError
from lightmigrate.files import user_folder
from lightmigrate.progress import logger
from lightmigrate.providers.base import Bill, Provider, estimated_tokens
from lightmigrate.providers.cache_file import IN_MEMORY, CacheFile, VectorFile
from lightmigrate.providers.call_speed import TimedCall
from lightmigrate.providers.careful import Answer
from lightmigrate.providers.chroma import provider_of
from lightmigrate.providers.claims import SECONDS_TO_LOOK, Claims
from lightmigrate.providers.same_model import PROBE, exchanged, same_probe
from lightmigrate.providers.stored import StoredVectors, as_answer, digest_of
from lightmigrate.vectors import Vectors, finite_rows

# Texts of a model that is quick are written to the file together, because writing takes longer than such a model: as
# many as it embeds in about so many seconds, which is what an interrupted run loses of them. Never of one that costs
# money.
SECONDS_TOGETHER, MOST_TOGETHER = 0.2, 2048

# How many times more texts are written together than before, at most, after a few that were embedded quickly.
GROWTH = 8


def default_cache() -> Path:
    """`lightmigrate/embeddings.sqlite3` in the user's cache folder."""
    return user_folder() / "embeddings.sqlite3"


class Cached(Provider):
    """A provider with a cache on disk before another provider.

    What is embedded is written to disk before more is: every batch of the inner provider, or of a quick one what it
    embeds in a fraction of a second. The file holds vectors and SHA-256 sums of texts, never a text. Several processes
    may use one file.

    A name says little about a model: a server may serve another one under it. So the vector of one fixed text is kept
    for each model and compared before vectors are taken from the cache. If it changed since the last run, what the
    cache holds of the model is deleted, with a warning. If it changes in a run, that ends with `ModelExchangedError`.

    Workers of one run share the file: a text that another worker embeds just now is waited for, and a model that gives
    other vectors than theirs is refused.

    Args:
        inner: the provider that embeds texts missing from the cache.
        path: the file; created, with its folder, when missing.
        shared: the file as the workers of one run reach it; `None` for a provider that is no worker's.

    Attributes:
        timed: the calls of the inner provider, with the seconds that each took.
        hits: number of texts found in the cache.
        misses: number of texts embedded by the inner provider.
        batch_size: texts written to the file together; it grows while the inner provider is quick.
        seconds: time spent in the inner provider.

    Raises:
        ProviderError: (all methods) the file cannot be used, or another model now has this name.
    """

    def __init__(self, inner: Provider, path: Path | None = None, *, shared: VectorFile | None = None) -> None:
        super().__init__(inner.name, revision=inner.revision, prefix=inner.prefix, query_prefix=inner.query_prefix)
        self.provider = inner.provider
        self.inner = inner
        self._write_together(inner.parallel.most * inner.batch_size)
        self.path = path or default_cache()
        self._file: VectorFile = CacheFile(self.path) if shared is None else shared
        self._claims = None if shared is None else Claims(shared)
        self._stored = StoredVectors(self._file, self.path, self.name, lambda: self.key)
        self.hits = self.misses = 0
        self.seconds = 0.0
        self.timed: list[TimedCall] = []
        self._same, self.in_process = inner._same, inner.in_process  # its model is this one's
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
        return self._same.asked

    @property
    def key(self) -> str:
        """The inner provider's."""
        return self.inner.key

    def bill(self, texts: Sequence[str], queries: Sequence[str] = ()) -> Bill:
        """The cost of the documents and queries missing from the cache. Creates the file, calls no model."""
        tokens = 0
        for batch, are_queries in ((texts, False), (queries, True)):
            worded = dict.fromkeys(self.worded(batch, are_queries))
            known = self._stored.read(list(worded), are_queries)
            tokens += estimated_tokens([text for text in worded if text not in known])
        return self.priced(tokens)

    def priced(self, tokens: int) -> Bill:
        """The inner provider's price."""
        return self.inner.priced(tokens)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """Embed one batch; rows of NaN for texts that the model refuses. See `answer`."""
        return self.answer(texts, queries).vectors

    def answer(self, texts: Sequence[str], queries: bool = False, *, last: bool = True) -> Answer:
        """Embed one batch: cached texts from disk, others by the inner provider, once for equal texts.

        A text that was cut is stored as what was embedded of it, with the number of its characters, so that the next
        run does not ask for the whole text again.
        """
        beside = self._claims is None and self.inner.parallel.most > 1 and self._knows_no_probe()
        if not beside:
            self._check()
        known = self._stored.read(texts, queries)
        if not beside:
            self._require_same_file()
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        self.hits += len(texts) - len(missing)
        answers = [as_answer(known)] if known else []
        if self._claims is None:
            answers += self._embedded(missing, queries, probe=beside)
        else:
            answers += self._obtained(self._claims, missing, queries)
        vectors, sent, reason = dict[str, Vectors](), dict[str, str | None](), ""
        for part, answer in answers:
            vectors.update(zip(part, answer.vectors, strict=True))
            sent.update(zip(part, answer.sent, strict=True))
            reason = answer.reason or reason
        return Answer(np.stack([vectors[text] for text in texts]), [sent[text] for text in texts], reason)

    def _obtained(self, claims: Claims, missing: list[str], queries: bool) -> list[tuple[list[str], Answer]]:
        """Embed texts that no other worker embeds just now, and wait for the others until they are in the file."""
        answers: list[tuple[list[str], Answer]] = []
        left = {digest_of(text, queries): text for text in missing}
        while left:
            with claims.of(self.key, list(left)) as claimed:
                own = [text for digest, text in left.items() if digest in claimed]
                known = self._stored.read(own, queries)  # by another worker, just before they were claimed
                answers += self._embedded([text for text in own if text not in known], queries, probe=False)
            others = {digest: text for digest, text in left.items() if digest not in claimed}
            known.update(self._stored.read(list(others.values()), queries))
            answers += [as_answer(known)] if known else []
            left = {digest: text for digest, text in others.items() if text not in known}
            if left:
                time.sleep(SECONDS_TO_LOOK)
        return answers

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
        self.misses += len(missing)

        def calls() -> Iterator[Callable[[], tuple[list[str], Answer]]]:
            if probe:
                yield self._probed_quietly
            left = len(missing)
            for rows in self.inner.batches(missing):
                left -= len(rows)
                yield partial(self._timed, [missing[row] for row in rows], queries, not left)

        paid = self.inner.priced(1_000_000).dollars != 0
        at_once = (self.inner.parallel.most > 1 or paid) and not self.inner.measures_calls
        started = written = time.monotonic()
        unwritten: list[tuple[list[str], Answer]] = []

        def write() -> None:
            self._check()  # which has the vector of the fixed text by now, and keeps it before the first of a text
            self._stored.write(unwritten, queries, time.monotonic() - written)

        try:
            for part, answer in self.inner.parallel.run(calls()):
                if part:
                    answers.append((part, answer))
                    unwritten.append((part, answer))
                if unwritten and at_once:
                    write()
                    unwritten, written = [], time.monotonic()
        except ModelExchangedError:
            unwritten = []  # of which model they are would have been seen with the last of them
            raise
        finally:
            now = time.monotonic()
            self.seconds += now - started
            if unwritten:
                write()
        if not (at_once or paid) and len(missing) >= self.batch_size:  # fewer may be single words, which are quicker
            texts_in_time = SECONDS_TOGETHER * len(missing) / max(now - started, 1e-9)
            self._write_together(int(min(texts_in_time, GROWTH * self.batch_size)))
        return answers

    def _timed(self, texts: list[str], queries: bool, last: bool) -> tuple[list[str], Answer]:
        """Texts with the answer to them."""
        started = time.monotonic()
        answer = self.inner.answer(texts, queries, last=last)
        self._note_call(texts, started)
        return texts, answer

    def _note_call(self, texts: Sequence[str], started: float) -> None:
        seconds = time.monotonic() - started
        self.timed.append(TimedCall(len(texts), max(1, estimated_tokens(texts)), seconds, started))

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
        known = self._stored.read(self.worded(texts), queries=False)
        return [text in known for text in self.worded(texts)]

    def probe(self) -> Vectors:
        """The inner provider's, asked for once; never from the cache."""
        if self.asked:
            return super().probe()
        started = time.monotonic()
        probe = super().probe()
        self._note_call([PROBE], started)
        return probe

    def _knows_no_probe(self) -> bool:
        """Whether the model is asked for the fixed text now for the first time, so that nothing depends on it yet."""
        return not self._checked and not self.asked and self._stored.probe() is None

    def _check(self) -> None:
        """Compare the model with the one that filled the cache, once; delete its vectors if it is another one now."""
        if self._checked:
            return
        self._checked = True
        before = self._stored.probe()
        try:
            now = self.probe()
            changed = before is not None and not same_probe(before, now[0])
            if changed:  # one wrong answer must not cost what was paid for
                self._same.expect(None)
                changed = same_probe(now[0], self.probe()[0])
        except (ProviderError, CostError):  # it cannot be asked: what is in the cache is all there is
            if before is not None:
                self._same.expect(before[None])
            return
        if before is not None and not changed:
            return
        if changed and self._claims is not None:
            self._checked = False
            raise ProviderError(
                f"{self.name} gives other vectors here than where the cache of embeddings was begun: have the same "
                "version of the model on every machine, or name another cache"
            )
        if changed:
            self._stored.delete()
            logger.warning(
                "%s gives other vectors than before under the same name: what %s held of it was deleted, and is "
                "embedded again", self.name, self.path,
            )  # fmt: skip
        self._stored.keep_probe(now[0])

    def _require_same_file(self) -> None:
        """Raise `ModelExchangedError` when another run has found another model, and begun the cache anew."""
        kept = self._stored.probe()
        if kept is not None and self.asked:
            if not same_probe(kept, self.probe()[0]):
                raise exchanged(self.name, "other vectors to another run")
            self._stored.only_beside(kept)

    def remember(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Add vectors of documents to the cache that the same model embedded elsewhere, with the same prefix.

        Args:
            texts: the documents.
            vectors: `(n, d)`, row i for text i.
        """
        worded, checked = self.worded(texts), self.inner.checked(vectors, len(texts))
        sent = [text if valid else None for text, valid in zip(worded, finite_rows(checked).tolist(), strict=True)]
        self._stored.write([(worded, Answer(checked, sent))], queries=False)

    def seconds_per_token(self) -> float | None:
        """How long the inner provider took for a token, in all calls through this file; `None` before the first."""
        return self._stored.seconds_per_token()

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def cached(function: Provider | object) -> Cached:
    """The provider with a cache: the default one unless it has one. See `provider_of`."""
    provider = provider_of(function)
    return provider if isinstance(provider, Cached) else Cached(provider)
