"""Cost against expected quality: every setting of the dial for one collection and one new model.

Measured on the calibration documents, of which each was left out of the fit it is judged by. Nothing but they, their
first words, single words and some sentences is embedded for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from lightmigrate.dial.census import Census, tokens_of
from lightmigrate.errors import RefusedError
from lightmigrate.projection.abridged import abridge
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider, estimated_tokens
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result
from lightmigrate.training import Material, OnTraining, Reading, Training, train

# Numbers of first words that are tried.
LENGTHS = (8, 12, 24, 48)

# Shares of the documents that are embedded whole, beside the calibration documents, in what is shown.
SHARES = (0.0, 0.1, 0.25, 0.5)

# Of the lengths that a budget allows so many are tried, the largest: each is paid for on the calibration documents.
TRIED_LENGTHS = 2

# Sentences that stand in for queries of users, for each calibration document, and the fewest: they cost tokens, too.
SENTENCES_EACH = 0.5
FEWEST_SENTENCES = 150

# How finely the share is sought that a quality takes.
SMALLEST_SHARE = 0.02

EVERYTHING = Estimate(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Setting(Result):
    """How far the dial is turned.

    Attributes:
        reads_texts: whether the map reads the stored texts.
        first_words: how many first words of every text the new model embeds; 0 for none.
        share: of the documents beyond the calibration documents that it embeds whole, in [0, 1].
    """

    reads_texts: bool
    first_words: int
    share: float


@dataclass(frozen=True)
class Option(Result):
    """One point of the curve.

    Attributes:
        setting: of the dial.
        documents: embedded whole, calibration documents among them, and those that have no more words than are read.
        tokens: that the new model reads in all, calibration included; an estimate.
        share_of_tokens: of what embedding everything takes.
        dollars: for these tokens; `None` when no price is known.
        seconds: for these tokens, at the pace seen while calibrating; `None` when everything was on disk already.
        expected: nDCG@10 to expect, as a share of what embedding everything gives.
        recall: share of pseudo-queries that find their document among the first 10; `None` for users' queries.
        possible: `False` when the collection does not store the texts it takes.
    """

    setting: Setting
    documents: int
    tokens: int
    share_of_tokens: float
    dollars: float | None
    seconds: float | None
    expected: Estimate
    recall: Estimate | None
    possible: bool


@dataclass(frozen=True)
class Curve(Result):
    """All that was tried.

    Attributes:
        model: name of the new model.
        census: the collection.
        calibration: documents it was measured on.
        paid: tokens that measuring took; part of every option.
        options: by what they cost; the last one is embedding everything.
        nothing: share of pseudo-queries that find their document when nothing is done; `None` when the old model was
            not at hand or the queries are of users.
    """

    model: str
    census: Census
    calibration: int
    paid: int
    options: tuple[Option, ...]
    nothing: Estimate | None
    _study: Study = field(repr=False, compare=False)

    def within(self, tokens: float) -> Option:
        """The best setting for so many tokens in all, what is left of them spent on whole documents.

        Raises:
            RefusedError: measuring has taken more than that already.
        """
        if self.options[-1].tokens <= tokens:
            return self.options[-1]
        found = [option for base in self._study.bases() if (option := self._study.filled(base, tokens)) is not None]
        if not found:
            raise RefusedError(
                f"{tokens:,.0f} tokens are allowed, calibrating has taken {self.paid:,} of "
                f"{self.census.tokens:,} already: calibrate on fewer documents (--samples), or allow more"
            )
        return max(found, key=lambda option: (option.expected.value, -option.tokens))

    def reaching(self, quality: float) -> Option:
        """The cheapest setting of which this much is expected, a share in [0, 1]; everything when nothing less is."""
        found = [self._study.reaching(base, quality) for base in self._study.bases()]
        return min([*filter(None, found), self.options[-1]], key=lambda option: option.tokens)

    def option(self, setting: Setting) -> Option:
        """What a setting costs and keeps, of which the map was tried."""
        return self._study.option(setting)

    def training(self, setting: Setting) -> Training:
        """How the map of a setting was made."""
        return self._study.trainings[setting.reads_texts, setting.first_words]

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if not name.startswith("_")]


class Study:
    """The maps that were fitted, and what each setting of them costs and keeps."""

    def __init__(
        self, material: Material, census: Census, provider: Provider, trainings: dict[tuple[bool, int], Training]
    ) -> None:
        self._census = census
        self._provider = provider
        self.trainings = trainings
        self._whole = tokens_of(provider, material.texts)
        self._calibration = len(material.texts)
        lengths = [words for _, words in trainings if words]
        self._begun = {
            words: tokens_of(provider, [abridge(text, words) for text in material.texts]) for words in lengths
        }
        self.paid = tokens_to_measure(material, provider) + sum(self._begun.values())
        embedded = max(trainings.values(), key=lambda done: done.embedding_seconds)
        asked = sum(done.embedding_seconds for done in trainings.values())
        self._pace = asked / self.paid if embedded.bill.tokens else None

    def bases(self) -> Iterator[Setting]:
        """Every map, with no document embedded whole but the calibration documents."""
        for reads_texts, words in self.trainings:
            if self._possible(reads_texts):
                yield Setting(reads_texts, words, 0.0)

    def option(self, setting: Setting) -> Option:
        """What a setting costs and keeps."""
        others = max(0, self._census.texts - self._calibration)
        begun = self._census.beginnings[setting.first_words] if setting.first_words else 0
        begun = max(0, begun - self._begun.get(setting.first_words, 0))
        tokens = self.paid + round((1 - setting.share) * begun) + self._rest(setting.share)
        short = self._census.whole.get(setting.first_words, 0) * others / max(1, self._census.texts)
        documents = self._calibration + round(setting.share * others + (1 - setting.share) * short)
        exact = min(1.0, documents / max(1, self._census.texts))
        gate = self.trainings[setting.reads_texts, setting.first_words].gate_when_exact(exact)
        return Option(
            setting=setting,
            documents=documents,
            tokens=tokens,
            share_of_tokens=tokens / max(1, self._census.tokens),
            dollars=self._provider.priced(tokens).dollars,
            seconds=None if self._pace is None else self._pace * tokens,
            expected=gate.expected_retention,
            recall=gate.migrated.recall,
            possible=self._possible(setting.reads_texts),
        )

    def filled(self, base: Setting, tokens: float) -> Option | None:
        """A map with as many documents embedded whole as so many tokens allow; `None` when they do not."""
        left = tokens - self.option(base).tokens
        if left < 0:
            return None
        each = self.option(replace(base, share=1.0)).tokens - self.option(base).tokens
        return self.option(replace(base, share=min(1.0, left / max(1, each))))

    def reaching(self, base: Setting, quality: float) -> Option | None:
        """A map with as few documents embedded whole as this quality takes; `None` when it takes them all."""
        found, low, high = None, 0.0, 1.0
        share = 0.0
        while high - low > SMALLEST_SHARE:  # quality grows with the share, so that halving finds it
            option = self.option(replace(base, share=share))
            if option.expected.value >= quality:
                found, high = option, share
            else:
                low = share
            share = (low + high) / 2
        return found

    def everything(self) -> Option:
        """Embedding all texts with the new model, calibrating included only as far as it is part of that."""
        tokens, done = self._census.tokens, next(iter(self.trainings.values()))
        return Option(
            setting=Setting(reads_texts=False, first_words=0, share=1.0),
            documents=self._census.texts,
            tokens=tokens,
            share_of_tokens=1.0,
            dollars=self._provider.priced(tokens).dollars,
            seconds=None if self._pace is None else self._pace * tokens,
            expected=EVERYTHING,
            recall=done.gate.reembedded.recall,
            possible=self._census.texts == self._census.records,
        )

    def _rest(self, share: float) -> int:
        return round(share * max(0, self._census.tokens - self._whole))

    def _possible(self, reads_texts: bool) -> bool:
        return self._census.texts > 0 or not reads_texts


def tokens_to_measure(material: Material, provider: Provider) -> int:
    """What calibrating takes without first words: documents, sentences or queries, and single words."""
    reading = Reading.of(material, sentences=sentences_for(material))
    queries = estimated_tokens(provider.worded(reading.queries, queries=True))
    return tokens_of(provider, [*reading.documents, *reading.words]) + queries


def sentences_for(material: Material) -> int:
    """How many sentences the gate asks."""
    return max(FEWEST_SENTENCES, round(SENTENCES_EACH * len(material.texts)))


def draw_curve(
    material: Material,
    census: Census,
    provider: Provider,
    previous: Provider | None = None,
    *,
    source_model: Model | None = None,
    tokens: float | None = None,
    seed: int = 0,
    on_progress: OnTraining | None = None,
) -> Curve:
    """Measure what the settings of the dial keep. Calls the new model; writes nothing but what a cache writes.

    Args:
        material: calibration documents of the collection, with the words of all its texts; of another source where
            it stores none, and then the curve says what stored texts would have bought.
        census: of the collection, with the lengths that are to be tried.
        provider: the new model. One with a cache, or the same texts are paid for several times.
        previous: the old model, where it is at hand: then the curve also says what doing nothing gives.
        source_model: who made the stored vectors; by default `previous`, or unnamed.
        tokens: what may be spent in all; then only the two largest lengths that it allows are tried.
        seed: of every random choice.
        on_progress: hears how far embedding and fitting are.

    Raises:
        LightmigrateError: what `train` raises.
    """
    trainings: dict[tuple[bool, int], Training] = {}
    lengths = list(census.beginnings)
    if tokens is not None:
        left = tokens - tokens_to_measure(material, provider)
        lengths = [words for words in sorted(lengths) if census.beginnings[words] <= left][-TRIED_LENGTHS:]
    for reads_texts, words in [(False, 0), (True, 0), *((True, length) for length in lengths)]:
        trainings[reads_texts, words] = train(
            material if reads_texts else replace(material, words=None),
            provider,
            previous,
            source_model=source_model,
            first_words=words or None,
            sentences=sentences_for(material),
            seed=seed,
            on_progress=on_progress,
        )
    study = Study(material, census, provider, trainings)
    shown = [study.option(Setting(*key, share)) for key, share in product(trainings, SHARES)]
    everything = study.everything()
    cheaper = sorted((option for option in shown if option.tokens < everything.tokens), key=lambda one: one.tokens)
    nothing = trainings[False, 0].gate.nothing
    return Curve(
        model=provider.name,
        census=census,
        calibration=len(material.texts),
        paid=study.paid,
        options=(*cheaper, everything),
        nothing=None if nothing is None else nothing.recall,
        _study=study,
    )
