"""Cost against expected quality: every setting of the dial for one collection and one new model.

Measured on some calibration documents, of which each was left out of the fit it is judged by. Nothing but they, their
first words and those of some others, single words and some sentences is embedded for that. What more documents would
make of the fit is read off what half of them make of it: errors of such fits fall with a power of their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from lightmigrate.dial.asked import Asked
from lightmigrate.dial.census import Census
from lightmigrate.dial.setting import Option, Setting
from lightmigrate.dial.study import Study, sentences_for
from lightmigrate.errors import RefusedError
from lightmigrate.estimators.choose import FEWEST_PAIRS
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result
from lightmigrate.training import Material, OnTraining, Training, train

# Shares of the documents that are embedded whole, beside the first calibration documents, in what is shown.
SHARES = (0.0, 0.1, 0.25, 0.5)

# How finely the number of documents is sought that a quality takes, as a share of all.
FINENESS = 0.01

EVERYTHING = Estimate(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Curve(Result):
    """All that was tried.

    Attributes:
        model: name of the new model.
        census: the collection.
        calibration: documents it was measured on.
        sampled: documents that were drawn, of which these are the first and others may be embedded next.
        words: single words that were embedded.
        paid: tokens that measuring took; part of every option.
        options: by what they cost; the last one is embedding everything.
        reembedded: share of pseudo-queries that find their document when everything is embedded again; `None` for
            queries of users.
        mapped: the same with the best of the maps that were tried.
        nothing: the same when nothing is done; `None` also when the old model was not at hand.
        growth: the power with which errors fall when there are more calibration documents, without first words.
        asked: what users asked, by which it was judged.
    """

    model: str
    census: Census
    calibration: int
    sampled: int
    words: int
    paid: int
    options: tuple[Option, ...]
    reembedded: Estimate | None
    mapped: Estimate | None
    nothing: Estimate | None
    growth: float
    asked: Asked
    _study: Study = field(repr=False, compare=False)

    def within(self, tokens: float) -> Option:
        """The best setting for so many tokens in all, what is left of them spent on whole documents.

        Raises:
            RefusedError: measuring has taken more than that already.
        """
        if self.options[-1].tokens <= tokens:
            return self.options[-1]
        found = [option for base in self._bases() if (option := self._filled(base, tokens)) is not None]
        if not found:
            raise RefusedError(
                f"{tokens:,.0f} tokens are allowed, calibrating has taken {self.paid:,} of "
                f"{self.census.tokens:,} already: calibrate on fewer documents (--samples), or allow more"
            )
        return max(found, key=lambda option: (option.expected.value, -option.tokens))

    def reaching(self, quality: float) -> Option:
        """The cheapest setting of which this much is expected, a share in [0, 1]; everything when nothing less is."""
        found = [self._reaching(base, quality) for base in self._bases()]
        return min([*filter(None, found), self.options[-1]], key=lambda option: option.tokens)

    def option(self, setting: Setting) -> Option:
        """What a setting costs and keeps, of which the map was tried."""
        return self._study.option(setting)

    def training(self, setting: Setting) -> Training:
        """How the map of a setting was made that was tried, of the first calibration documents."""
        return self._study.trainings[setting.reads_texts, setting.first_words]

    def _bases(self) -> list[Setting]:
        return [Setting(*key, self.calibration) for key in self._study.trainings]

    def _filled(self, base: Setting, tokens: float) -> Option | None:
        """A map with as many documents embedded whole as so many tokens allow; `None` when they allow not even it."""
        low, high = base.documents, self.census.texts
        if self.option(base).tokens > tokens:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self._study.tokens(replace(base, documents=middle)) <= tokens:
                low = middle
            else:
                high = middle
        return self.option(replace(base, documents=low))

    def _reaching(self, base: Setting, quality: float) -> Option | None:
        """A map with as few documents embedded whole as this quality takes; `None` when it takes them all."""
        low, high, found = base.documents, self.census.texts, None
        documents = low
        while high - low > FINENESS * self.census.texts:  # quality grows with the documents, so that halving finds it
            option = self.option(replace(base, documents=documents))
            if option.expected.value >= quality:
                found, high = option, documents
            else:
                low = documents
            documents = (low + high) // 2
        return found

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if not name.startswith("_")]


def draw_curve(
    material: Material,
    census: Census,
    provider: Provider,
    previous: Provider | None = None,
    *,
    lengths: Sequence[int],
    source_model: Model | None = None,
    sampled: int | None = None,
    seed: int = 0,
    on_progress: OnTraining | None = None,
) -> Curve:
    """Measure what the settings of the dial keep. Calls the new model; writes nothing but what a cache writes.

    Args:
        material: the first calibration documents of the collection, with the frequent words of all its texts, and
            more of which only the first words are read.
        census: of the collection.
        provider: the new model. One with a cache, or the same texts are paid for several times.
        previous: the old model, where it is at hand: then the curve also says what doing nothing gives.
        lengths: numbers of first words to try; all in the census.
        source_model: who made the stored vectors; by default `previous`, or unnamed.
        sampled: documents that were drawn, of which the material holds the first; by default it holds all.
        seed: of every random choice.
        on_progress: hears how far embedding and fitting are.

    Raises:
        LightmigrateError: what `train` raises.
    """
    trainings: dict[tuple[bool, int], Training] = {}
    tried = [(False, 0), (True, 0), *((True, length) for length in lengths)]
    for reads_texts, words in tried:
        done = train(
            material if reads_texts else replace(material, words=None),
            provider,
            previous,
            source_model=source_model,
            first_words=words or None,
            sentences=sentences_for(len(material.texts)),
            seed=seed,
            on_progress=on_progress,
        )
        trainings[reads_texts, words] = done
    # what half of the pairs make of it, where they can be fitted to by the same methods
    enough = len(material.texts) >= 2 * FEWEST_PAIRS
    halves = {tried[1]: trainings[tried[1]].gate_of_halves()} if enough else {}
    study = Study(material, census, provider, trainings, halves)
    shown = [study.option(setting) for setting in _shown(trainings, len(material.texts), census.texts)]
    everything = Option(
        setting=Setting(reads_texts=False, first_words=0, documents=census.texts),
        expected=study.with_missing(EVERYTHING),
        **study.price(census.tokens),
    )
    cheaper = sorted((option for option in shown if option.tokens < everything.tokens), key=lambda one: one.tokens)
    gate = trainings[False, 0].gate
    best = max((done.gate for done in trainings.values()), key=lambda one: one.expected_retention.value)
    return Curve(
        model=provider.name,
        census=census,
        calibration=len(material.texts),
        sampled=sampled or len(material.texts),
        words=0 if material.words is None else len(material.words.words),
        paid=study.paid,
        options=(*cheaper, everything),
        reembedded=gate.reembedded.recall,
        mapped=best.migrated.recall,
        nothing=None if gate.nothing is None else gate.nothing.recall,
        growth=study.growth,
        asked=Asked.of(material.queries),
        _study=study,
    )


def _shown(trainings: Mapping[tuple[bool, int], Training], calibration: int, texts: int) -> list[Setting]:
    others = texts - calibration
    return [Setting(*key, calibration + round(share * others)) for key, share in product(trainings, SHARES)]
