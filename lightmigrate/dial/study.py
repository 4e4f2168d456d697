"""The maps that were tried for a curve: what every setting of them costs, and what is to be expected of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lightmigrate.dial.census import Census, tokens_of
from lightmigrate.dial.setting import Option, Setting
from lightmigrate.projection.abridged import abridge
from lightmigrate.providers.base import Provider, estimated_tokens
from lightmigrate.quality.gate import Gate
from lightmigrate.quality.retention import Estimate
from lightmigrate.training import Material, Reading, Training

# A fit takes its time with more documents, and hardly gains by them.
MOST_FITTED = 4000

# Sentences that stand in for queries of users: of each calibration document, and in all. They cost tokens, too.
SENTENCES_OF_EACH = 2
MOST_SENTENCES = 300

# The power with which errors fall when there are more calibration documents, in what was ever seen.
GROWTH = (0.0, 0.3)

# And when the first words of more documents are known: .2 to .5 on Cranfield, to MiniLM, from 500 to all of them. A few
# calibration documents cannot measure it.
TAUGHT = 0.25


class Study:
    """The maps by (reads texts, first words), fitted to the first calibration documents.

    Args:
        material: these documents.
        census: the collection.
        provider: the new model.
        trainings: the maps.
        halves: what the gate says of some of them when they are fitted to half of the documents.

    Attributes:
        trainings: as given.
        paid: tokens that measuring took.
        growth: the power with which errors of maps without first words fall when there are more documents; those with
            first words learn from all of these, so that few documents are enough.
    """

    def __init__(
        self,
        material: Material,
        census: Census,
        provider: Provider,
        trainings: Mapping[tuple[bool, int], Training],
        halves: Mapping[tuple[bool, int], Gate],
    ) -> None:
        self.trainings = trainings
        self._census = census
        self._provider = provider
        self._calibration = len(material.texts)
        self._whole = tokens_of(provider, material.texts)
        begun = [*material.texts, *material.more_texts]
        self._known = len(begun)
        self._begun = {
            words: tokens_of(provider, [abridge(text, words) for text in begun]) for _, words in trainings if words
        }
        self._asked = _asked(material, provider)
        self.paid = tokens_to_measure(material, provider) + sum(self._begun.values())
        seconds = sum(done.embedding_seconds for done in trainings.values())
        self._pace = seconds / self.paid if any(done.bill.tokens for done in trainings.values()) else None
        self.growth = _growth([(half, trainings[key].gate) for key, half in halves.items()])

    def option(self, setting: Setting) -> Option:
        """What a setting costs and keeps."""
        return Option(setting=setting, expected=self.expected(setting), **self.price(self.tokens(setting)))

    def price(self, tokens: int) -> dict[str, Any]:
        """What so many tokens take."""
        return {
            "tokens": tokens,
            "share_of_tokens": tokens / max(1, self._census.tokens),
            "dollars": self._provider.priced(tokens).dollars,
            "seconds": None if self._pace is None else self._pace * tokens,
        }

    def tokens(self, setting: Setting) -> int:
        """What the new model reads in all: what measuring took, more documents, and the beginnings of all others."""
        census, words = self._census, setting.first_words
        others = max(1, census.texts - self._calibration)
        more = max(0, setting.documents - self._calibration)
        tokens = self.paid + more * max(0, census.tokens - self._whole) / others
        if more:
            tokens += self._asked  # a map of more documents is judged by other sentences
        if words:
            # documents that are embedded whole but not fitted to need no beginning
            needed = 1 - max(0, setting.documents - MOST_FITTED) / max(1, census.texts)
            tokens += needed * max(0, census.beginnings[words] - self._begun[words])
        return math.ceil(tokens)

    def expected(self, setting: Setting) -> Estimate:
        """What a setting keeps of the whole collection."""
        return self.with_missing(self._expected_of_texts(setting))

    def with_missing(self, texts: Estimate) -> Estimate:
        """What is kept of all records when this is kept of those that have a text: the others are only mapped."""
        share = self._census.texts / max(1, self._census.records)
        return texts if share == 1 else texts.mixed(self.trainings[False, 0].gate.expected_retention, share)

    def _expected_of_texts(self, setting: Setting) -> Estimate:
        """What a setting keeps of the records that have a text: `1 - (1 - q)·(K/K₀)^-γ`.

        q is what the gate says of the map that was tried when as many documents are exact as the setting embeds; K₀
        documents it was fitted to, K it would be; γ is `growth`. With first words they are the documents of which those
        are known, and γ is `TAUGHT`.
        """
        census = self._census
        short = census.whole.get(setting.first_words, 0) / max(1, census.texts) if setting.first_words else 0.0
        embedded = min(1.0, setting.documents / max(1, census.texts))
        gate = self.trainings[setting.reads_texts, setting.first_words].gate_when_exact(
            embedded + (1 - embedded) * short
        )
        if setting.first_words:
            more, power = min(census.texts, MOST_FITTED) / self._known, TAUGHT
        else:
            more, power = min(setting.documents, MOST_FITTED) / self._calibration, self.growth
        less = min(1.0, more**-power)
        said = gate.expected_retention
        return Estimate(*(1 - (1 - value) * less for value in (said.value, said.low, said.high)))


def _growth(gates: Sequence[tuple[Gate, Gate]]) -> float:
    """The power with which errors fall, from what was kept with half of what was learned from and with all of it."""
    kept = [(half.expected_retention.value, full.expected_retention.value) for half, full in gates]
    powers = [math.log2((1 - half) / (1 - full)) for half, full in kept if half < 1 and full < 1]
    return min(max(statistics.mean(powers), GROWTH[0]), GROWTH[1]) if powers else GROWTH[0]


def tokens_to_measure(material: Material, provider: Provider) -> int:
    """What calibrating takes without first words: documents, sentences or queries, and single words."""
    words = material.words.words if material.words is not None else ()
    return tokens_of(provider, [*material.texts, *words]) + _asked(material, provider)


def _asked(material: Material, provider: Provider) -> int:
    """Tokens of the sentences or queries that the gate asks."""
    reading = Reading.of(material, sentences=sentences_for(len(material.texts)))
    return estimated_tokens(provider.worded(reading.queries, queries=True))


def sentences_for(documents: int) -> int:
    """How many sentences of so many calibration documents the gate asks."""
    return min(SENTENCES_OF_EACH * documents, MOST_SENTENCES)
