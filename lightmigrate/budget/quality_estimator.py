"""What every setting costs, and the quality to expect of it, from the projections that were tried for a curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.fitting_time import foreseen, growth
from lightmigrate.budget.settings import VECTORS_ONLY, BudgetSetting, CurvePoint, TriedProjection
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Gate
from lightmigrate.quality.retention import EVERYTHING, QualityEstimate
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import EmbeddingRequest, tokens_of
from lightmigrate.training.train import Training

# With more documents a fit takes long and hardly gains.
MOST_FITTED = 4000

# Sentences that stand in for queries of users: of each calibration document, and in all. They cost tokens too.
SENTENCES_OF_EACH = 2
MOST_SENTENCES = 200

# The odds of what is expected to be kept to what is lost grow with a power of the number of calibration documents, or
# of extracts. For documents it is .8 up to 500, and less the more there are: as the gate's own odds grow, in which no
# judgement is. Fits to halves of the documents tell no more of it (`benchmarks/results/growth.md`).
TYPICAL_GROWTH, USUAL_DOCUMENTS, SLOWER, LEAST_GROWTH = 0.8, 500, 0.33, 0.2
EXTRACT_GROWTH = (0.0, 0.5)

# How far a power may be off, at either end of the interval.
GROWTH_ERROR, EXTRACT_GROWTH_ERROR = 0.4, 0.1


@dataclass(frozen=True)
class QualityEstimator:
    """Cost and expected quality of every setting of the projections that were tried.

    Attributes:
        data: the first calibration documents, which they were fitted to.
        size: of the collection.
        provider: the new model.
        trainings: the projections that were tried.
        halves: the gate's judgement of those with extracts, with half of the documents of which only extracts are
            embedded.
        choosing: tokens that choosing among kinds of extracts took.
        sampled_tokens: of each document that was sampled, in the order in which they are embedded whole; the first are
            those of `data`.
    """

    data: CalibrationData
    size: CollectionSize
    provider: Provider
    trainings: Mapping[TriedProjection, Training]
    halves: Mapping[TriedProjection, Gate]
    choosing: int
    sampled_tokens: Sequence[int]

    @cached_property
    def paid(self) -> int:
        """Tokens that measuring took."""
        return self.choosing + tokens_to_measure(self.data, self.provider) + sum(self._measured_extracts.values())

    def option(self, setting: BudgetSetting) -> CurvePoint:
        """Cost and expected quality of a setting."""
        return self._point(setting, self.tokens(setting), self.expected(setting), self.fitting_seconds(setting))

    def everything(self) -> CurvePoint:
        """Cost and expected quality of embedding all texts, without a projection for them."""
        setting = BudgetSetting(reads_texts=False, extract_words=0, documents=self.size.texts)
        return self._point(setting, self.size.tokens, self.with_missing(EVERYTHING), 0.0)

    def _point(
        self, setting: BudgetSetting, tokens: int, expected: QualityEstimate, fitting_seconds: float
    ) -> CurvePoint:
        each = self._seconds_per_token
        return CurvePoint(
            setting=setting,
            tokens=tokens,
            share_of_tokens=tokens / max(1, self.size.tokens),
            dollars=self.provider.priced(tokens).dollars,
            seconds=None if each is None else each * tokens + fitting_seconds,
            expected=expected,
        )

    def fitting_seconds(self, setting: BudgetSetting) -> float:
        """How long the fit takes that a setting is carried out with, by how long the one took that was tried for it.

        Records without a text take a fit of their own.
        """
        measured, sampled = len(self.data.texts), min(len(self.sampled_tokens), MOST_FITTED)
        fitted, tried = min(setting.documents, sampled), setting.tried
        taken, dimension = self.trainings[tried].fitting_seconds, self.trainings[tried].projection.info.target.dimension
        if tried.extract_words:
            more_extracts = growth("extracts", measured + len(self.data.extract_texts), sampled)
            seconds = taken * max(more_extracts, growth("texts", measured, fitted))
        else:
            seconds = foreseen("texts" if tried.reads_texts else "vectors", measured, taken, fitted, dimension)
        if tried != VECTORS_ONLY and self.size.texts < self.size.records:
            alone = self.trainings[VECTORS_ONLY].fitting_seconds
            seconds += foreseen("vectors", measured, alone, fitted, dimension)
        return seconds

    def tokens(self, setting: BudgetSetting) -> int:
        """Tokens that the new model reads in all: for measuring, for more documents, for the extracts of all others."""
        size, measured = self.size, len(self.data.texts)
        different = size.different_texts or size.texts
        documents = max(measured, min(different, setting.documents))
        known = min(documents, len(self.sampled_tokens))
        tokens = float(self.paid + self._first_tokens[known] - self._first_tokens[measured])
        if documents > known:
            left = max(0, size.tokens - self._first_tokens[known])
            tokens += (documents - known) * left / max(1, different - known)
        if setting.extract_words:
            # documents that are embedded whole but not fitted to need no extract
            needed = 1 - max(0, setting.documents - MOST_FITTED) / max(1, size.texts)
            of_all = size.extract_tokens[setting.extract_kind][setting.extract_words]
            tokens += needed * max(0, of_all - self._measured_extracts[setting.tried])
        return math.ceil(tokens)

    def expected(self, setting: BudgetSetting) -> QualityEstimate:
        """What a setting keeps of the whole collection."""
        return self.with_missing(self._expected_of_texts(setting))

    def with_missing(self, texts: QualityEstimate) -> QualityEstimate:
        """What is kept of all records if `texts` is kept of those with a text: the others are only projected."""
        size = self.size
        if size.texts == size.records:
            return texts
        missing = f"{size.records - size.texts:,} of {size.records:,} records have no text"
        others = self.trainings[VECTORS_ONLY].gate.expected_retention
        return texts.mixed(others, size.texts / max(1, size.records), missing)

    def _expected_of_texts(self, setting: BudgetSetting) -> QualityEstimate:
        """What a setting keeps of the records with a text: odds of `q/(1 - q)·(K/K₀)^γ` where they are projected.

        q is what the gate expects of the projection that was tried. It was fitted to K₀ documents, and would be fitted
        to K; γ is `typical_growth`. With extracts, K₀ and K are numbers of extracts, and γ is measured with half of
        them.
        Documents that the setting embeds are exact.
        """
        size, words = self.size, setting.extract_words
        short = size.short_texts.get(words, 0) / max(1, size.texts) if words else 0.0
        embedded = min(1.0, setting.documents / max(1, size.texts))
        seen = self.trainings[setting.tried].gate.expected_retention
        if words:
            measured = len(self.data.texts) + len(self.data.extract_texts)
            fitted, what, power = min(size.texts, MOST_FITTED), "extracts", self._extract_growth(setting.tried)
            unsure = EXTRACT_GROWTH_ERROR
        else:
            measured, fitted = len(self.data.texts), min(setting.documents, MOST_FITTED)
            what, power, unsure = "documents", typical_growth(measured, fitted), GROWTH_ERROR

        def grown(power: float, end: float) -> float:
            return with_odds(end, max(1.0, (fitted / measured) ** power))

        value, low, high = (grown(power, end) for end in seen.ends)
        ends = grown(max(0.0, power - unsure), seen.low), grown(power + unsure, seen.high)
        widths = {cause: share * (high - low) for cause, share in seen.wide_by.items()}
        widths[f"a fit to {fitted:,} {what} is foreseen from {measured:,}"] = ends[1] - ends[0] - (high - low)
        return QualityEstimate.with_widths(value, *ends, widths).when_exact(embedded + (1 - embedded) * short)

    @cached_property
    def _powers(self) -> dict[TriedProjection, float | None]:
        return {tried: _power(half, self.trainings[tried].gate) for tried, half in self.halves.items()}

    @cached_property
    def _first_tokens(self) -> list[int]:
        """Tokens of the first documents, for every number of them that was sampled."""
        return list(accumulate(self.sampled_tokens, initial=0))

    @cached_property
    def _seconds_per_token(self) -> float | None:
        seconds = sum(training.embedding_seconds for training in self.trainings.values())
        if any(training.bill.tokens for training in self.trainings.values()):
            return seconds / self.paid
        # everything was in the cache: by the time that the model took for what is there
        return self.provider.seconds_per_token()

    def _extract_growth(self, tried: TriedProjection) -> float:
        """The power, for a projection with extracts when there are more extracts; 0 where it was not measured."""
        whole, others = len(self.data.texts), len(self.data.extract_texts)
        # half of the other extracts are not half of all: those of the calibration documents are there, too
        halved = math.log2((whole + others) / (whole + others / 2)) or math.inf
        return _bounded((self._powers.get(tried) or 0.0) / halved, EXTRACT_GROWTH)

    @cached_property
    def _measured_extracts(self) -> dict[TriedProjection, int]:
        """Tokens of the extracts that measuring embedded."""
        texts = [*self.data.texts, *self.data.extract_texts]
        rules = {
            tried: self.data.extract_rule(tried.extract_kind, tried.extract_words)
            for tried in self.trainings
            if tried.extract_words
        }
        return {tried: tokens_of(self.provider, [rule.of(text) for text in texts]) for tried, rule in rules.items()}


def _power(half: Gate, full: Gate) -> float | None:
    """The power of two by which the odds grow, from judgements with half of what is learned from and with all of it."""
    before, after = half.expected_retention.value, full.expected_retention.value
    if not (0 < before < 1 and 0 < after < 1):
        return None
    return math.log2(after / (1 - after) * (1 - before) / before)


def typical_growth(few: float, many: float) -> float:
    """The power with which the odds of what is expected to be kept grow between two numbers of documents."""
    middle = math.sqrt(max(1.0, few) * max(1.0, many))
    return max(LEAST_GROWTH, TYPICAL_GROWTH - SLOWER * max(0.0, math.log(middle / USUAL_DOCUMENTS)))


def with_odds(kept: float, factor: float) -> float:
    """A share whose odds, kept to lost, are so many times as high."""
    return kept * factor / (1 + kept * (factor - 1))


def _bounded(power: float, bounds: tuple[float, float]) -> float:
    return min(max(power, bounds[0]), bounds[1])


def tokens_to_measure(data: CalibrationData, provider: Provider) -> int:
    """Tokens that calibrating takes without extracts: documents, sentences or queries, and single words."""
    words = data.words.words if data.words is not None else ()
    return tokens_of(provider, [*data.texts, *words]) + _query_tokens(data, provider)


def _query_tokens(data: CalibrationData, provider: Provider) -> int:
    """Tokens of the sentences or queries that the gate searches for."""
    request = EmbeddingRequest.of(data, sentences=sentences_for(len(data.texts)))
    return tokens_of(provider, [], request.queries)


def sentences_for(documents: int) -> int:
    """Number of sentences that the gate searches for, with so many calibration documents."""
    return min(SENTENCES_OF_EACH * documents, MOST_SENTENCES)
