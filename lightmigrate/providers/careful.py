"""Embeds a batch of which the model may refuse some texts: finds them, cuts them to its limit, and embeds the others.

A refusal may be about one text (too long, or not allowed), about the whole request (too many tokens in all), or about
neither (a wrong option). So after a refusal the model is asked for one plain word: if it refuses that too, nothing is
wrong with the texts. Otherwise the batch is halved until the refused text is alone. A text that is too long is cut to
the number of tokens that the model states, or else halved until it is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import TextsRefusedError
from lightmigrate.providers.refusals import (
    is_length,
    is_number_of_texts,
    is_policy,
    is_whole_request,
    place_of,
    token_limit,
    tokens_given,
)
from lightmigrate.results import Result
from lightmigrate.vectors import Vectors, finite_rows

# Any model accepts it.
PLAIN_WORD = "dimension"

# Bytes of a token, about; and how much shorter a text becomes where a first cut to the stated limit was not enough.
BYTES_PER_TOKEN = 4
SHORTER = 0.8
MARGIN = 0.97

# A shorter text is not refused for its length, unless the reason says so; and less of a text is not worth embedding.
SHORT, SHORTEST = 200, 16

# Embeds a batch of texts: float32 `(n, d)`, with a row of NaN for a text that it cannot embed beside others. Raises
# `TextsRefusedError` when it may be because of the texts, and where it can embed none.
Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Shortened(Result):
    """The different texts that a model did not take whole.

    Attributes:
        cut: texts of which only the beginning was embedded, because they are longer than the model takes.
        refused: texts that were not embedded at all; their records keep a projected vector.
        reason: what the model said about one of them; empty when it took all texts.
    """

    cut: int = 0
    refused: int = 0
    reason: str = ""

    def __str__(self) -> str:
        parts = [f"{self.cut:,} texts were cut to the model's limit"] if self.cut else []
        parts += [f"{self.refused:,} texts were refused"] if self.refused else []
        return " and ".join(parts) + (f" ({self.reason})" if self.reason else "")


NONE_SHORTENED = Shortened()


@dataclass(frozen=True)
class Answer:
    """A model's answer to a batch.

    Attributes:
        vectors: float32 `(n, d)`; NaN for a text that it refuses.
        sent: of each text the part that was embedded, from its beginning; `None` for a text that it refuses.
        reason: why it did not take all texts whole; empty when it did.
    """

    vectors: Vectors
    sent: Sequence[str | None]
    reason: str = ""


class CarefulEncoder:
    """Answers batches of one model, in several threads at the same time where it is called so.

    Args:
        encode: embeds a batch.

    Attributes:
        most_bytes: bytes of one request that were accepted after larger ones were refused as a whole; `None` before.
        most_texts: the same for the number of texts.
    """

    def __init__(self, encode: Encode) -> None:
        self.encode = encode
        self.most_bytes: int | None = None
        self.most_texts: int | None = None

    def answer(self, texts: Sequence[str]) -> Answer:
        """Embed a batch of texts, none of them blank.

        Raises:
            TextsRefusedError: the model refuses any text.
            ProviderError: the model fails for another reason.
        """
        batch = _Batch(self)
        parts = batch.parts(list(texts))
        embedded = [vector for _, vector in parts if vector is not None]
        dimension = len(embedded[0]) if embedded else self.encode([PLAIN_WORD]).shape[1]
        vectors = np.full((len(parts), dimension), np.nan, np.float32)
        for row, (_, vector) in enumerate(parts):
            if vector is not None:
                vectors[row] = vector
        return Answer(vectors, [sent for sent, _ in parts], batch.reason)

    def too_large(self, texts: Sequence[str]) -> bool:
        """Whether a request of these texts is larger than what was refused before."""
        return (self.most_bytes is not None and _bytes(texts) > self.most_bytes) or (
            self.most_texts is not None and len(texts) > self.most_texts
        )

    def learn(self, texts: Sequence[str], refusal: TextsRefusedError) -> None:
        """Remember that a request as large as this one is too large."""
        if is_number_of_texts(refusal):
            self.most_texts = len(texts) // 2
        else:
            self.most_bytes = _bytes(texts) // 2


class _Batch:
    """One batch that is being answered.

    Attributes:
        reason: what the model said about a text that it did not take whole.
    """

    def __init__(self, encoder: CarefulEncoder) -> None:
        self._encoder = encoder
        self._encode = encoder.encode
        self._works = False
        self.reason = ""

    def parts(self, texts: list[str]) -> list[tuple[str | None, Vectors | None]]:
        """Of each text the part that was embedded and its vector."""
        if len(texts) > 1 and self._encoder.too_large(texts):
            return self._halves(texts)
        try:
            vectors = self._encode(texts)
        except TextsRefusedError as refusal:
            self._require_working(refusal)
            if len(texts) == 1:
                return [self._shortened(texts[0], refusal)]
            if is_whole_request(refusal):
                self._encoder.learn(texts, refusal)
            place = place_of(refusal)
            if place is not None and place < len(texts):
                before, own, after = texts[:place], texts[place], texts[place + 1 :]
                parts = [self._shortened(own, refusal)]
                return [*(self.parts(before) if before else []), *parts, *(self.parts(after) if after else [])]
            return self._halves(texts)
        answered = zip(texts, vectors, finite_rows(vectors).tolist(), strict=True)
        return [
            part for text, vector, valid in answered for part in ([(text, vector)] if valid else self.parts([text]))
        ]

    def _halves(self, texts: list[str]) -> list[tuple[str | None, Vectors | None]]:
        middle = len(texts) // 2
        return [*self.parts(texts[:middle]), *self.parts(texts[middle:])]

    def _shortened(self, text: str, refusal: TextsRefusedError) -> tuple[str | None, Vectors | None]:
        """The longest part of a refused text that is accepted, from its beginning; none for one refused by policy."""
        self.reason = refusal.reason or self.reason
        kept = text
        while not is_policy(refusal) and (is_length(refusal) or len(kept) > SHORT):
            kept = _beginning(kept, _next_length(kept, refusal))
            if len(kept) < SHORTEST:
                break
            try:
                return kept, self._encode([kept])[0]
            except TextsRefusedError as again:
                refusal = again
        return None, None

    def _require_working(self, refusal: TextsRefusedError) -> None:
        """Raise the refusal when the model does not accept a plain word either."""
        if not self._works:
            try:
                self._encode([PLAIN_WORD])
            except TextsRefusedError:
                raise refusal from None
            self._works = True


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _next_length(text: str, refusal: TextsRefusedError) -> int:
    """Characters of a refused text to try next, fewer than it has."""
    limit, given = token_limit(refusal), tokens_given(refusal)
    if limit is None:
        return len(text) // 2
    if given is not None:
        return min(int(MARGIN * len(text) * limit / given), len(text) - 1)
    stated = limit * BYTES_PER_TOKEN * len(text) // max(1, len(text.encode()))
    return stated if stated < len(text) else int(SHORTER * len(text))


def _beginning(text: str, characters: int) -> str:
    """The first so many characters of a text, without a broken word at the end where it has words."""
    kept = text[:characters]
    if characters < len(text) and not text[characters].isspace():
        head, space, _ = kept.rpartition(" ")
        kept = head if space and len(head) > characters // 2 else kept
    return kept.rstrip()
