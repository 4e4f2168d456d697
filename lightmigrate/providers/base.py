"""The base class of all providers: one embedding model, ready to be called."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lightmigrate.errors import ProviderError, TextsRefusedError
from lightmigrate.progress import logger
from lightmigrate.projection.model import Model
from lightmigrate.providers.busy import RETRIES, again_while_busy
from lightmigrate.providers.call_size import CallSize
from lightmigrate.providers.careful import Answer, CarefulEncoder, Shortened
from lightmigrate.providers.parallel import ParallelCalls
from lightmigrate.providers.purse import OwnPurse, Purse
from lightmigrate.providers.same_model import PROBE, SameModel, exchanged
from lightmigrate.vectors import Vectors, as_vectors, finite_rows, meaningful

# Texts of one call, at least, where some could be in another call at the same time; with the fixed text a round number,
# which is more likely what a server takes.
FEWEST_OF_CALL = 63

# A model may know no word of a text, and so give some texts the vector of nothing; so many different ones it does not.
MOST_ALIKE = 16

# Called with the number of texts embedded so far and the number of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Bill:
    """The cost of embedding.

    Attributes:
        tokens: an estimate, about four bytes of text each, before a call; what the server counted after it.
        dollars: `None` when no price is known, 0 for a model that runs here.
    """

    tokens: int
    dollars: float | None


class Provider(ABC):
    """One embedding model. Subclasses implement how a batch of texts is embedded.

    Attributes:
        provider: the kind of provider.
        name: the model's name.
        revision: version of the weights; empty when unknown.
        prefix: put before every document.
        query_prefix: put before every query.
        batch_size: texts embedded in one call, at most, beside the fixed text.
        batch_characters: their characters in all, at most, where more than one text is embedded.
        measures_calls: whether fewer texts are embedded in a call where that makes a text cheaper.
        busy_retries: how often a call is repeated, after a pause, when the model is busy.
        in_process: whether the model is loaded into this process, where no other one can take its name meanwhile.
        parallel: makes the calls; some at the same time where a server answers them.
        purse: counts what is spent, where calls cost money: of this object alone, unless it is given that of several.
    """

    provider: str
    batch_size: int = 64
    batch_characters: int = 1_000_000
    measures_calls: bool = False
    busy_retries: int = RETRIES
    in_process: bool = False

    def __init__(self, name: str, *, revision: str = "", prefix: str = "", query_prefix: str = "") -> None:
        self.name = name
        self.revision = revision
        self.prefix = prefix
        self.query_prefix = query_prefix
        self.parallel = ParallelCalls()
        self.purse: Purse = OwnPurse()
        self._call_size = CallSize()
        self._shape: tuple[int, bool] | None = None  # dimension, and whether vectors have length 1
        self._same = SameModel(name, lambda: self.checked(self.patient([PROBE]), 1))
        self._careful = {queries: CarefulEncoder(_checked_encoder(self, queries)) for queries in (False, True)}
        self._cut: set[bytes] = set()  # digests of texts
        self._refused: set[bytes] = set()
        self._reason = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def key(self) -> str:
        """The identity of the model: providers with equal keys give equal vectors. Costs nothing."""
        return "/".join((self.provider, self.name, self.revision))

    @property
    def model(self) -> Model:
        """The identity of the model. Embeds one word to learn its dimension when nothing was embedded yet."""
        if self._shape is None:
            self.embed(["dimension"])
        dimension, normalised = self._shape or (0, False)
        return Model(self.name, dimension, self.provider, self.revision, self.prefix, self.query_prefix, normalised)

    def probe(self) -> Vectors:
        """The model's vector of a fixed text, float32 `(1, d)`, asked for once.

        Raises:
            ProviderError: the model cannot be reached.
        """
        return self._same.first()

    @property
    def shortened(self) -> Shortened:
        """The different texts that this object was given and that the model did not take whole; blank ones excepted."""
        return Shortened(len(self._cut), len(self._refused), self._reason)

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed documents, `prefix` before each: float32 `(n, d)`, row i for text i.

        Texts longer than the model takes are cut; `shortened` counts them.

        Raises:
            TextsRefusedError: the model refuses some of the texts; the others were embedded.
            ProviderError: the model cannot be reached or loaded, or its answer is invalid.
            CostError: the next call would exceed the allowed cost.
        """
        return self._require_all(texts, self.embed_each(texts, progress))

    def embed_queries(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed queries, `query_prefix` before each: float32 `(n, d)`. Raises as `embed` does."""
        return self._require_all(texts, self.embed_each(texts, progress, queries=True))

    def embed_each(self, texts: Sequence[str], progress: Progress | None = None, *, queries: bool = False) -> Vectors:
        """The same, with a row of NaN for each text that is blank or that the model refuses.

        Raises:
            ProviderError, CostError: as `embed`; `TextsRefusedError` only when the model refuses every text.
        """
        sent = [row for row, text in enumerate(texts) if text.strip()]
        if not sent:
            return np.full((len(texts), self.model.dimension), np.nan, np.float32)
        embedded = self._all(self.worded([texts[row] for row in sent], queries), queries, progress)
        if len(sent) == len(texts):
            return embedded
        vectors = np.full((len(texts), embedded.shape[1]), np.nan, np.float32)
        vectors[sent] = embedded
        return vectors

    def _require_all(self, texts: Sequence[str], vectors: Vectors) -> Vectors:
        """The vectors, unless one of them is missing."""
        refused = np.flatnonzero(~finite_rows(vectors)).tolist()
        if refused:
            blank = sum(not texts[row].strip() for row in refused)
            raise TextsRefusedError(
                f"{self.name} did not embed {len(refused)} of {len(texts)} texts, {blank} of them blank"
                f"{f': {self._reason}' if self._reason else ''}; leave them out",
                texts=[texts[row] for row in refused],
                reason=self._reason,
            )
        return vectors

    def bill(self, texts: Sequence[str], queries: Sequence[str] = ()) -> Bill:
        """The estimated cost of embedding these documents and queries; calls no model."""
        return self.priced(estimated_tokens(self.worded(texts)) + estimated_tokens(self.worded(queries, queries=True)))

    def seconds_per_token(self) -> float | None:
        """How long the model takes for a token, by what is remembered of earlier calls; `None` when nothing is."""
        return None

    def priced(self, tokens: int) -> Bill:
        """The cost of so many tokens."""
        return Bill(tokens, 0.0)

    def worded(self, texts: Sequence[str], queries: bool = False) -> list[str]:
        """The input of the model: prefix and text, broken characters (lone surrogates) replaced by `?`."""
        prefix = self.query_prefix if queries else self.prefix
        return [(prefix + text).encode("utf-8", "replace").decode("utf-8") for text in texts]

    @abstractmethod
    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, its prefixes in place: numbers `(n, d)`. Most models treat queries like documents.

        Raises:
            TextsRefusedError: the model refuses some of the texts, or fails in a way that may be because of one.
            ProviderError: it fails for another reason.
        """

    def patient(self, texts: Sequence[str], queries: bool = False) -> Any:
        """The same, called again while the model is busy. Raises `BusyError` when it stays so."""
        return again_while_busy(lambda: self.encode(texts, queries), self.name, self.busy_retries, self.parallel.left)

    def answer(self, texts: Sequence[str], queries: bool = False, *, last: bool = True) -> Answer:
        """Embed one batch of texts, prefixes in place and none of them blank, with as much of each as the model takes.

        The fixed text goes along (see `same_model`), but not to a model in this process. Where calls are measured, a
        text more may be dear, and a model that takes one text at a time refuses two: there it goes along with the last
        batch of several.

        Args:
            texts: the texts.
            queries: whether they are queries.
            last: whether it is the last batch of those that are used together.

        Raises:
            TextsRefusedError: the model refuses every text.
            ModelExchangedError: another model answers than before.
            ProviderError: it fails for another reason.
        """
        seldom = self.measures_calls or self.batch_size == 1
        along = not self.in_process and (last or not seldom) and self._same.can_be_asked()
        sent = [*texts, PROBE] if along else texts
        started = time.monotonic()
        answer = self._careful[queries].answer(sent)
        if self.measures_calls:
            self._call_size.learn(sent, time.monotonic() - started)
        if not along:
            return answer
        self._same.require(answer.vectors[-1], queries=queries)
        return Answer(answer.vectors[:-1], answer.sent[:-1], answer.reason)

    def checked(self, answer: Any, expected: int) -> Vectors:
        """An answer of `encode` as float32 `(expected, d)`, with a row of NaN for each that is no direction.

        Models answer with NaN, or with zeros, for a text that they cannot embed.

        Raises:
            TextsRefusedError: every row is NaN, infinite or all zero.
            ProviderError: the answer is invalid.
        """
        try:
            vectors = as_vectors(answer)
        except ValueError:
            if len(dimensions := _dimensions(answer)) > 1:  # of several requests
                raise exchanged(self.name, f"vectors of {' and '.join(map(str, dimensions))} dimensions") from None
            raise ProviderError(f"{self.name} did not answer with vectors; is it an embedding model?") from None
        if not vectors.size:
            raise ProviderError(f"{self.name} answered without vectors; is it an embedding model?")
        if vectors.ndim != 2 or len(vectors) != expected:
            raise ProviderError(
                f"{self.name} gave {len(vectors)} vectors for {expected} texts: the answer was cut short; try again"
            )
        valid = meaningful(vectors)
        if not valid.any():
            raise TextsRefusedError(
                f"{self.name} answered with NaN, infinity or zeros; check the model",
                reason="the answer is NaN, infinity or zeros",
            )
        self._require_shape(vectors[valid])
        if not valid.all():
            vectors = vectors.copy()
            vectors[~valid] = np.nan
        return vectors

    def _require_different(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Raise `ProviderError` when many different texts have the same vector, by which nothing can be found."""
        different = len(texts) > MOST_ALIKE and len(set(texts))
        if different and different > MOST_ALIKE and np.allclose(vectors, vectors[0], rtol=1e-5, atol=0, equal_nan=True):
            raise ProviderError(
                f"{self.name} gave {different} different texts the same vector; is it an embedding model, and does its "
                "server work?"
            )

    def _require_shape(self, vectors: Vectors) -> None:
        """Learn the dimension from the first vectors; `ProviderError` when later ones have another."""
        if self._shape is None:
            lengths = np.linalg.norm(vectors, axis=1)
            self._shape = vectors.shape[1], bool(np.all(np.abs(lengths - 1) < 0.01))
        elif vectors.shape[1] != self._shape[0]:
            raise exchanged(self.name, f"vectors of {vectors.shape[1]} dimensions, before it was {self._shape[0]}")

    def _all(self, texts: list[str], queries: bool, progress: Progress | None) -> Vectors:
        output: Vectors | None = None
        done = 0

        def calls() -> Iterator[Callable[[], tuple[list[int], Answer]]]:
            left = len(texts)
            for rows in self.batches(texts):
                left -= len(rows)
                yield partial(self._answered, texts, rows, queries, not left)

        for rows, answer in self.parallel.run(calls()):
            self._note([texts[row] for row in rows], answer)
            vectors = answer.vectors
            if (taken := vectors[finite_rows(vectors)]).size:
                self._require_shape(taken)
            if output is None:
                output = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            output[rows] = vectors
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
        return np.empty((0, self.model.dimension), dtype=np.float32) if output is None else output

    def _answered(self, texts: Sequence[str], rows: list[int], queries: bool, last: bool) -> tuple[list[int], Answer]:
        return rows, self.answer([texts[row] for row in rows], queries, last=last)

    def _note(self, texts: Sequence[str], answer: Answer) -> None:
        """Count the texts that were cut or refused."""
        if answer.reason and not self._reason:
            logger.warning("%s does not take every text whole: %s", self.name, answer.reason)
        self._reason = answer.reason or self._reason
        for text, sent in zip(texts, answer.sent, strict=True):
            if sent != text:
                (self._refused if sent is None else self._cut).add(hashlib.sha256(text.encode()).digest())

    def batches(self, texts: list[str]) -> Iterator[list[int]]:
        """Row numbers, texts of like length together, because a batch is padded to its longest."""
        texts_of_call = max(FEWEST_OF_CALL, -(-len(texts) // self.parallel.most))
        batch: list[int] = []
        characters = most = 0
        for row in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
            if batch and (len(batch) >= most or characters + len(texts[row]) > self.batch_characters):
                yield batch
                batch, characters = [], 0
            if not batch:
                most = self.batch_size  # which may grow meanwhile
                if self.parallel.most > 1:
                    most = min(most, texts_of_call)
                elif self.measures_calls:
                    most = min(most, self._call_size.texts(len(texts[row])))
            batch.append(row)
            characters += len(texts[row])
        if batch:
            yield batch


def _checked_encoder(provider: Provider, queries: bool) -> Callable[[Sequence[str]], Vectors]:
    """`encode` with its answer checked. No method: a provider may call what it has loaded `_encoder`."""

    def encode(texts: Sequence[str]) -> Vectors:
        vectors = provider.checked(provider.patient(texts, queries), len(texts))
        provider._require_different(texts, vectors)
        return vectors

    return encode


def _dimensions(answer: Any) -> list[int]:
    """The different numbers of numbers in the rows of an answer; none where it has no such rows."""
    try:
        return sorted({len(row) for row in answer if not isinstance(row, str)})
    except TypeError:
        return []


def estimated_tokens(texts: Sequence[str]) -> int:
    """About how many tokens some texts have: one for every four bytes, so that Chinese counts for more than Latin."""
    return sum(len(text.encode("utf-8", "replace")) // 4 + 1 for text in texts)
