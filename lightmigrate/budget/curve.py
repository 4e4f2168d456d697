"""Cost against expected quality: every budget setting for one collection and one new model.

Measured on some calibration documents, each left out of the fit that it judges. Only they, their extracts and some more
extracts, single words and some sentences are embedded for that. How much more documents would help is estimated from
fits to half of them: the errors of such fits fall with a power of the number of documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.curve_data import CurveData
from lightmigrate.budget.extract_choice import choose_extracts
from lightmigrate.budget.measuring_options import DEFAULT_MEASURING, MeasuringOptions
from lightmigrate.budget.quality_estimator import QualityEstimator, sentences_for
from lightmigrate.budget.settings import TEXTS, VECTORS_ONLY, BudgetSetting, CurvePoint, QuerySet, TriedProjection
from lightmigrate.errors import RefusedError
from lightmigrate.estimators.fit_memory import FitMemory
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.providers.base import Provider
from lightmigrate.providers.careful import Shortened
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result
from lightmigrate.training.train import Training, train

# Shares of the documents that are embedded whole, besides the first calibration documents, in what is shown.
SHARES = (0.0, 0.1, 0.25, 0.5)

# Resolution of the search for the number of documents that a quality takes, as a share of all.
FINENESS = 0.01


@dataclass(frozen=True)
class CostQualityCurve(Result):
    """Cost and expected quality of all settings that were tried.

    Attributes:
        model: name of the new model.
        size: of the collection.
        calibration: number of documents it was measured on.
        sampled: number of documents that were sampled; the calibration documents are the first of them.
        words: number of single words that were embedded.
        paid: tokens that measuring took; included in every option.
        options: in ascending order of their cost; the last one is embedding everything.
        reembedded: share of pseudo-queries that find their document when everything is embedded again; `None` for
            queries of users.
        projected: the same with the best of the projections that were tried.
        nothing: the same when nothing is done; `None` also when the old model was not available.
        expected_nothing: nDCG@10 to expect when nothing is done, as a share of what embedding everything gives.
        query_set: the queries of users it was judged by.
        extract_kinds: of each kind of extracts that was compared what is expected of it; see `ExtractChoice.expected`.
        shortened: the texts that the new model did not take whole while this was measured.
        memory: the projections that were fitted, for a migration by one of the options.
    """

    model: str
    size: CollectionSize
    calibration: int
    sampled: int
    words: int
    paid: int
    options: tuple[CurvePoint, ...]
    reembedded: QualityEstimate | None
    projected: QualityEstimate | None
    nothing: QualityEstimate | None
    expected_nothing: QualityEstimate | None
    query_set: QuerySet
    extract_kinds: Mapping[ExtractKind, float]
    shortened: Shortened
    memory: FitMemory = field(repr=False, compare=False)
    _estimator: QualityEstimator = field(repr=False, compare=False)

    def within(self, tokens: float) -> CurvePoint:
        """The best setting for a budget of tokens; what the projection leaves of it is spent on whole documents.

        Raises:
            RefusedError: measuring took more than that.
        """
        if self.options[-1].tokens <= tokens:
            return self.options[-1]
        options = [option for base in self._bases() if (option := self._filled(base, tokens)) is not None]
        if not options:
            raise RefusedError(
                f"{tokens:,.0f} tokens are allowed, calibrating has taken {self.paid:,} of "
                f"{self.size.tokens:,} already: calibrate on fewer documents (--samples), or allow more"
            )
        best = max(options, key=lambda option: (option.expected.value, -option.tokens))
        if not best.setting.reads_texts:
            # texts added quality wherever judgements told; that they do not is believed only if it is certain
            texts = [option for option in options if option.setting.tried == TEXTS]
            best = next((option for option in texts if option.expected.high >= best.expected.low), best)
        return best

    def reaching(self, quality: float) -> CurvePoint:
        """The cheapest setting with at least this expected quality, in [0, 1]; everything if no other reaches it."""
        options = [self._reaching(base, quality) for base in self._bases()]
        return min([*filter(None, options), self.options[-1]], key=lambda option: option.tokens)

    def option(self, setting: BudgetSetting) -> CurvePoint:
        """Cost and expected quality of a setting whose projection was tried."""
        return self._estimator.option(setting)

    def seconds(self, setting: BudgetSetting) -> float | None:
        """How long embedding and fitting take for a setting, or for embedding everything; see `CurvePoint.seconds`."""
        everything = self.options[-1]
        return (everything if setting == everything.setting else self.option(setting)).seconds

    def fitting_seconds(self, setting: BudgetSetting) -> float:
        """How long the fit takes that a setting is carried out with; part of the seconds of its option."""
        return self._estimator.fitting_seconds(setting)

    def training(self, setting: BudgetSetting) -> Training:
        """The training of the projection that was tried for a setting, on the calibration documents."""
        return self._estimator.trainings[setting.tried]

    def _bases(self) -> list[BudgetSetting]:
        return [tried.setting(self.calibration) for tried in self._estimator.trainings]

    def _filled(self, base: BudgetSetting, tokens: float) -> CurvePoint | None:
        """A projection with as many whole documents as the tokens buy; `None` if they do not buy the projection."""
        low, high = base.documents, self.size.texts
        if self.option(base).tokens > tokens:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self._estimator.tokens(replace(base, documents=middle)) <= tokens:
                low = middle
            else:
                high = middle
        return self.option(replace(base, documents=low))

    def _reaching(self, base: BudgetSetting, quality: float) -> CurvePoint | None:
        """A projection with as few whole documents as the quality takes; `None` if it takes all documents."""
        low, high, cheapest = base.documents, self.size.texts, None
        documents, finest = low, max(1, FINENESS * self.size.texts)
        while high - low > finest:  # quality grows with the documents, so bisection finds it
            option = self.option(replace(base, documents=documents))
            if option.expected.value >= quality:
                cheapest, high = option, documents
            else:
                low = documents
            documents = (low + high) // 2
        return cheapest

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if name != "memory" and not name.startswith("_")]


def measure_curve(
    read: CurveData, provider: Provider, options: MeasuringOptions = DEFAULT_MEASURING
) -> CostQualityCurve:
    """Measure cost and quality of the budget settings. Calls the new model; writes nothing but what a cache writes.

    Args:
        read: of the collection, which may be closed by now. Of the extracts only the best kind is tried.
        provider: the new model, with a cache: without one the same texts are paid for several times.
        options: that it was read with.

    Raises:
        LightmigrateError: what `train` raises.
    """
    data, size, lengths = read.data, read.size, read.lengths
    choice = choose_extracts(data, lengths, provider, sentences_for(len(data.texts)), options.seed)
    trainings: dict[TriedProjection, Training] = {}
    memory = FitMemory()
    with_extracts = (TriedProjection(True, words, choice.kind) for words in lengths.get(choice.kind, ()))
    for tried in (VECTORS_ONLY, TEXTS, *with_extracts):
        trainings[tried] = train(
            data if tried.reads_texts else data.without_texts(),
            provider,
            options.previous,
            source_model=options.source_model,
            extract_words=tried.extract_words or None,
            extract_kind=tried.extract_kind,
            sentences=sentences_for(len(data.texts)),
            seed=options.seed,
            memory=memory,
            on_progress=options.on_progress,
        )
    reading = {tried: done for tried, done in trainings.items() if tried.extract_words and data.extract_texts}
    halves = {tried: done.gate_of_half_extracts() for tried, done in reading.items()}
    memory.forget_parts()
    estimator = QualityEstimator(data, size, provider, trainings, halves, choice.tokens, read.sampled_tokens)
    shown = [estimator.option(setting) for setting in _shown(trainings, len(data.texts), size.texts)]
    everything = estimator.everything()
    cheaper = sorted((option for option in shown if option.tokens < everything.tokens), key=lambda o: o.tokens)
    gates = [training.gate for training in trainings.values()]
    gate = trainings[VECTORS_ONLY].gate
    return CostQualityCurve(
        model=provider.name,
        size=size,
        calibration=len(data.texts),
        sampled=len(read.sampled_tokens),
        words=0 if data.words is None else len(data.words.words),
        paid=estimator.paid,
        options=(*cheaper, everything),
        reembedded=gate.reembedded.recall,
        projected=max(gates, key=lambda tried: tried.expected_retention.value).migrated.recall,
        nothing=None if gate.nothing is None else gate.nothing.recall,
        expected_nothing=gate.expected_nothing,
        query_set=QuerySet.of(data.queries),
        extract_kinds=choice.expected,
        shortened=provider.shortened,
        memory=memory,
        _estimator=estimator,
    )


def _shown(trainings: Mapping[TriedProjection, Training], calibration: int, texts: int) -> list[BudgetSetting]:
    others = texts - calibration
    return [tried.setting(calibration + round(share * others)) for tried, share in product(trainings, SHARES)]
