"""How fast a model embeds, measured on a few texts that have to be embedded anyway."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.projection.terms.words import first_words
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.call_speed import CallSpeed
from lightmigrate.results import Result
from lightmigrate.training.request import tokens_of

# Texts to measure on, in batches that double; fewer of a model that takes a second for a batch.
TIMED, FIRST_BATCH, ENOUGH_SECONDS = 61, 4, 1.0


@dataclass(frozen=True)
class ModelSpeed(Result):
    """The speed of a model on this machine: a text takes the one and each of its tokens the other.

    Attributes:
        seconds_per_text: for a text, however short; a server's answer time is in it.
        seconds_per_token: for each estimated token.
    """

    seconds_per_text: float
    seconds_per_token: float

    def seconds(self, texts: int, tokens: int) -> float:
        """How long so many texts of so many tokens in all take."""
        return self.seconds_per_text * texts + self.seconds_per_token * tokens


# Of a model that has nothing left to embed.
NO_TIME = ModelSpeed(0.0, 0.0)


def measure_speed(provider: Provider, texts: Sequence[str]) -> ModelSpeed:
    """Embed some of these texts, and as many single words, and see how long it takes. Calls the model.

    A batch of long texts and one of single words give the two numbers. Loading the model is not in them. A server is
    not asked for words: calls of different size that were made before say how long a call takes, and a text of it.

    Args:
        provider: the model; what its cache holds says nothing and is left out.
        texts: of those that are to be embedded; at most `TIMED` are.

    Raises:
        ProviderError: the model fails.
    """
    texts = _missing(provider, texts)[:TIMED]
    if not texts:
        return NO_TIME
    if isinstance(provider, Cached) and provider.inner.parallel.most > 1:
        return known_speed(provider) or _of_a_server(provider, texts)
    first = _timed(provider, texts[:1])
    start, size, documents = 1, FIRST_BATCH, first
    while start < len(texts):
        documents = _timed(provider, texts[start : start + size])
        start, size = start + size, 2 * size
        if documents.seconds > ENOUGH_SECONDS:
            break
    words = _missing(provider, list(dict.fromkeys(first_words(text, 1) for text in texts)))[: documents.texts]
    if documents is first or not words:
        return ModelSpeed(0.0, documents.seconds / documents.tokens)
    short = _timed(provider, words)
    more_tokens = documents.tokens / documents.texts - short.tokens / short.texts
    if more_tokens <= 0:
        return ModelSpeed(0.0, documents.seconds / documents.tokens)
    each_document, each_word = documents.seconds / documents.texts, short.seconds / short.texts
    per_token = max(0.0, each_document - each_word) / more_tokens
    return ModelSpeed(max(0.0, each_document - per_token * documents.tokens / documents.texts), per_token)


def known_speed(provider: Provider) -> ModelSpeed | None:
    """How fast a server answers, from calls of different size made before; `None` where it has to be measured.

    Where no calls were made at the same time it is taken for granted that as many are answered in the time of one.
    """
    if not isinstance(provider, Cached) or (most := provider.inner.parallel.most) == 1:
        return None
    speed = CallSpeed.of(provider.timed, most)
    if speed is None:
        return None
    at_once = speed.at_once or most
    return ModelSpeed(speed.of_call / (provider.inner.batch_size * at_once), speed.of_token / at_once)


def texts_in(provider: Cached, seconds: float) -> int | None:
    """How many texts of the usual length a server embeds in so many seconds; `None` where nothing tells.

    Where no calls were made at the same time, one after the other: a server may have one processor.
    """
    speed = CallSpeed.of(provider.timed, provider.inner.parallel.most)
    if speed is None:
        return None
    tokens = sum(call.tokens for call in provider.timed) / sum(call.texts for call in provider.timed)
    return int(max(0.0, seconds - speed.of_call) * (speed.at_once or 1) / max(speed.of_token * tokens, 1e-9))


def _of_a_server(provider: Cached, texts: Sequence[str]) -> ModelSpeed:
    """Ask a server for the texts; they are slow for their number where no smaller call was made before."""
    provider.embed_each(texts)
    speed = known_speed(provider)
    if speed is not None:
        return speed
    call = max(provider.timed, key=lambda call: call.seconds)
    return ModelSpeed(call.seconds / call.texts / provider.inner.parallel.most, 0.0)


@dataclass(frozen=True)
class _Timed:
    texts: int
    tokens: int
    seconds: float


def _timed(provider: Provider, texts: Sequence[str]) -> _Timed:
    started = time.monotonic()
    provider.embed_each(texts)
    return _Timed(len(texts), max(1, tokens_of(provider, texts)), time.monotonic() - started)


def _missing(provider: Provider, texts: Sequence[str]) -> list[str]:
    """The texts that are not in the model's cache, blank ones left out."""
    texts = [text for text in dict.fromkeys(texts) if text.strip()]
    if not isinstance(provider, Cached):
        return texts
    return [text for text, there in zip(texts, provider.has(texts), strict=True) if not there]
