"""What a starting server embeds to learn a projection: a small share of everything, or what its time allows."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lightmigrate.budget.fitting_time import usual
from lightmigrate.budget.quality_estimator import sentences_for
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import FEWEST_QUERIES
from lightmigrate.routes.costs import Costs
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.limits import Deadline
from lightmigrate.training.model_speed import NO_TIME, ModelSpeed
from lightmigrate.training.request import EmbeddingRequest, tokens_of
from lightmigrate.training.sources import FEWEST_DOCUMENTS

# A projection is learned on at most so many documents, where nobody says: of a model that costs nothing, or of one that
# costs money. Then all that is embedded to learn takes at most this share of embedding everything.
MOST_DOCUMENTS, MOST_PAID, LEARNING_SHARE = 4000, 1000, 0.1

# Of a model that costs nothing documents are no expense, as their records are exact from then on. Where all others
# become exact soon after, they do so later by what sentences and words take: each at most this share of everything.
SHARE_BEFORE_EXACT = 0.01

# Shares of the time that writing leaves: in which a model that costs nothing embeds, and in which it is fitted. Judging
# takes the rest.
SHARE_OF_START, SHARE_OF_FITTING = 0.65, 0.11

# Where nobody set a limit, learning has so many seconds, even if writing takes longer than the server is to take: a
# projection of fifty documents finds .03 of the nearest among 100,000, and is all there is until records are exact.
LEAST_SECONDS = 30.0

# Share of that time that single words may take, and seconds that they may take in any case.
WORDS_SHARE_OF_TIME, SECONDS_OF_WORDS = 0.15, 2.0

# Texts are embedded for about so long before it is looked at the clock, and never more of them: texts of like length
# are given to a model together, and a dozen of any length has few of those. While a projection is fitted, which is
# waited for, for less.
SECONDS_AT_ONCE, SECONDS_WHILE_FITTING, MOST_AT_ONCE = 2.0, 0.5, 20_000

# Texts are kept ready for so many times the seconds that fitting may take: others may use the processors, too.
TIMES_FITTING = 3.0


@dataclass(frozen=True)
class TimeToLearn:
    """How much a start may embed to learn a projection.

    Attributes:
        provider: the new model.
        costs: of embedding everything with it.
        deadline: of the start; what it took so far is its `elapsed`.
        end: its `elapsed` when embedding has to end, for a model that costs nothing.
        fitting: seconds that fitting may take, likewise.
        refined: whether all records become exact soon after.
    """

    provider: Cached
    costs: Costs
    deadline: Deadline
    end: float
    fitting: float
    refined: bool

    @classmethod
    def of(cls, provider: Cached, costs: Costs, deadline: Deadline, seconds: float, *, refined: bool) -> TimeToLearn:
        """For a start that has so many seconds left beside writing."""
        allowed = max(LEAST_SECONDS if math.isinf(deadline.left) else 0.0, seconds)
        end = deadline.elapsed + SHARE_OF_START * allowed
        return cls(provider, costs, deadline, end, SHARE_OF_FITTING * allowed, refined)

    @property
    def free(self) -> bool:
        """Whether embedding costs nothing: then documents are no expense, their records are exact from then on."""
        return self.provider.priced(1_000_000).dollars == 0

    @property
    def most_documents(self) -> int:
        """Documents that a projection can be fitted to in time. Times this machine, once."""
        if not self.free:
            return MOST_PAID
        documents, dimension = MOST_DOCUMENTS, self.provider.probe().shape[1]
        while documents > MOST_PAID and usual("texts", documents, dimension) > self.fitting:
            documents = max(MOST_PAID, int(0.9 * documents))
        return documents

    def chosen(self, data: CalibrationData) -> CalibrationData:
        """As many of the words and documents as are worth their costs, at least 50 documents. Calls no model."""
        costs, speed = self.costs, self._speed
        most_tokens, most_seconds = LEARNING_SHARE * costs.count.tokens, LEARNING_SHARE * costs.embedding_seconds()
        if data.words is not None:
            words = data.words.words
            each = self._seconds_of_each(words)
            allowed = min(most_seconds / 2, self._before_exact)
            if self._by_the_clock:
                allowed = min(allowed, max(SECONDS_OF_WORDS, WORDS_SHARE_OF_TIME * self._seconds_left))
            data = data.with_words(len(words) if not each else int(allowed / each))
        if self.free:
            most_tokens, most_seconds = math.inf, math.inf
        if self._by_the_clock:
            most_seconds = min(most_seconds, self._seconds_left)
        documents = len(data.texts)
        while documents > FEWEST_DOCUMENTS:
            part = data.first(documents)
            request = self._request(part)
            tokens = request.bill(self.provider).tokens
            share = min(most_tokens / max(1, tokens), most_seconds / max(1e-9, speed.seconds(len(request), tokens)))
            if share >= 1:
                return part
            documents = int(documents * min(share, 0.95))
        return data.first(min(len(data.texts), FEWEST_DOCUMENTS))

    def sentences(self, data: CalibrationData) -> int:
        """How many sentences of these documents are searched for to judge; at least what a verdict takes."""
        most = sentences_for(len(data.texts))
        if math.isinf(self._before_exact):
            return most
        each = self._seconds_of_each(EmbeddingRequest.of(data, sentences=most).queries)
        return most if not each else min(most, max(FEWEST_QUERIES, int(self._before_exact / each)))

    def embed(self, data: CalibrationData) -> CalibrationData:
        """Embed documents of a free model until their time is over; returns the data with those that were embedded.

        The clock decides, not what was expected: a model that is slower than it was on the first texts learns from
        fewer documents. Calls the model, and fills its cache.

        Raises:
            ProviderError: the model fails.
        """
        if not self.free:
            return data
        done = self._embed_until(self._end_of_documents(data), iter(data.texts))
        return data.first(min(len(data.texts), max(done, FEWEST_DOCUMENTS)))

    def fill(self, left: Iterator[str], data: CalibrationData) -> None:
        """Embed more texts of a free model while there is time: their records are exact after the start.

        Calls the model, and fills its cache.

        Args:
            left: texts that are not embedded yet; see `texts_left`.
            data: what is learned from, whose sentences and words are embedded later.

        Raises:
            ProviderError: the model fails.
        """
        if self.free:
            self._embed_until(self._end_of_documents(data), left)

    def embed_some(self, left: Iterator[str], seconds: float = SECONDS_WHILE_FITTING) -> int:
        """Embed the next of some texts, for about so many seconds; how many there were. Calls the model."""
        some = list(islice(left, self._in(seconds)))
        if some:
            self.provider.embed_each(some)
        return len(some)

    def meanwhile(self, left: Iterator[str]) -> Iterator[str]:
        """As many of some texts as can be embedded while a projection is fitted. Reads them all at once."""
        return iter(list(islice(left, self._in(TIMES_FITTING * self.fitting))) if self.free else [])

    def _in(self, seconds: float) -> int:
        """How many texts of the collection are embedded in so many seconds, at least one."""
        count = self.costs.count
        each = self._speed.seconds(count.missing_texts, count.missing_tokens) / max(1, count.missing_texts)
        return max(1, int(min(seconds / each, MOST_AT_ONCE))) if each else MOST_AT_ONCE

    def _embed_until(self, end: float, left: Iterator[str]) -> int:
        """Embed the next of some texts until the start has taken so many seconds; returns how many were embedded."""
        done = 0
        while (seconds := end - self.deadline.elapsed) > 0:
            if not (some := self.embed_some(left, min(seconds, SECONDS_AT_ONCE))):
                break
            done += some
        return done

    def _end_of_documents(self, data: CalibrationData) -> float:
        """When whole texts have to end, so that there is time for the sentences and words of the data."""
        request = self._request(data)
        others = [*request.queries, *request.words]
        return self.end - self._speed.seconds(len(others), tokens_of(self.provider, others))

    def _request(self, data: CalibrationData) -> EmbeddingRequest:
        return EmbeddingRequest.of(data, sentences=self.sentences(data))

    def _seconds_of_each(self, texts: Sequence[str]) -> float:
        return self._speed.seconds(len(texts), tokens_of(self.provider, texts)) / max(1, len(texts))

    @property
    def _by_the_clock(self) -> bool:
        """Whether time decides how much is embedded: money does where nobody set a limit of time."""
        return self.free or not math.isinf(self.deadline.left)

    @property
    def _before_exact(self) -> float:
        """Seconds that sentences may take, and words, so that exact is hardly later."""
        return SHARE_BEFORE_EXACT * self.costs.embedding_seconds() if self.free and self.refined else math.inf

    @property
    def _seconds_left(self) -> float:
        return max(0.0, self.end - self.deadline.elapsed)

    @property
    def _speed(self) -> ModelSpeed:
        return self.costs.speed or NO_TIME


def texts_left(collection: JoinedCollections, provider: Cached) -> Generator[str, None, None]:
    """The texts of some collections that are not in the model's cache, in their order. Only reads."""
    for page in collection.scan(PAGE_ROWS, vectors=False):
        texts = list(dict.fromkeys(text for text in page.texts if text and text.strip()))
        yield from (text for text, there in zip(texts, provider.has(texts), strict=True) if not there)
