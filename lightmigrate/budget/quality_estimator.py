"""What every setting costs, and the quality to expect of it, from the projections that were tried for a curve."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import accumulate

from lightmigrate.budget.collection_size import CollectionSize
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

# Errors fall with a power of the number of calibration documents, and of extracts. Both powers are measured with half
# of them, within these bounds: for documents .55 to .9 was measured by human judgements on one corpus of chunks, and
# with a bound of .3 first words were preferred to whole documents where these keep more
# (`benchmarks/results/extracts.md`); extracts help less.
GROWTH = (0.0, 0.6)
EXTRACT_GROWTH = (0.0, 0.5)

# How far a power that is measured with halves may be off, at either end of the interval: of 32 plans from end to end 26
# kept what lies in intervals that take it as certain (`benchmarks/results/plans.md`).
GROWTH_ERROR, EXTRACT_GROWTH_ERROR = 0.2, 0.1


class QualityEstimator:
    """Cost and expected quality of every setting of the projections that were tried.

    Args:
        data: the first calibration documents, which they were fitted to.
        size: of the collection.
        provider: the new model.
        trainings: the projections that were tried.
        halves: the gate's judgement of some of them when fitted to half of the documents; of those with extracts, with
            half of the documents of which only extracts are embedded.
        choosing: tokens that choosing among kinds of extracts took.
        sampled_tokens: of each document that was sampled, in the order in which they are embedded whole; the first are
            those of `data`.

    Attributes:
        trainings: as given.
        paid: tokens that measuring took.
        growth: the power with which the errors of projections without extracts fall when there are more documents.
            Those with extracts also learn from the extracts of all documents.
    """

    def __init__(
        self,
        data: CalibrationData,
        size: CollectionSize,
        provider: Provider,
        trainings: Mapping[TriedProjection, Training],
        halves: Mapping[TriedProjection, Gate],
        choosing: int,
        sampled_tokens: Sequence[int],
    ) -> None:
        self.trainings = trainings
        self._size = size
        self._provider = provider
        self._calibration = len(data.texts)
        self._calibration_tokens = tokens_of(provider, data.texts)
        texts = [*data.texts, *data.extract_texts]
        self._extracts = len(texts)
        self._extract_tokens = {
            tried: tokens_of(
                provider, [data.extract_rule(tried.extract_kind, tried.extract_words).of(text) for text in texts]
            )
            for tried in trainings
            if tried.extract_words
        }
        self._tokens_of_more = list(accumulate(sampled_tokens[self._calibration :], initial=0))
        self.paid = choosing + tokens_to_measure(data, provider) + sum(self._extract_tokens.values())
        seconds = sum(training.embedding_seconds for training in trainings.values())
        called = any(training.bill.tokens for training in trainings.values())
        # when everything was in the cache: by the time that the model took for what is there
        self._seconds_per_token = seconds / self.paid if called else provider.seconds_per_token()
        powers = {key: _power(half, trainings[key].gate) for key, half in halves.items()}
        documents = [power for key, power in powers.items() if not key.extract_words and power is not None]
        self.growth = _bounded(statistics.mean(documents) if documents else 0.0, GROWTH)
        # half of the other extracts are not half of all: those of the calibration documents are there, too
        halved = math.log2(len(texts) / (len(texts) - len(data.extract_texts) / 2)) or math.inf
        self._extract_growth = {
            key: _bounded((power or 0.0) / halved, EXTRACT_GROWTH) for key, power in powers.items() if key.extract_words
        }

    def option(self, setting: BudgetSetting) -> CurvePoint:
        """Cost and expected quality of a setting."""
        return self._point(setting, self.tokens(setting), self.expected(setting))

    def everything(self) -> CurvePoint:
        """Cost and expected quality of embedding all texts, without a projection for them."""
        setting = BudgetSetting(reads_texts=False, extract_words=0, documents=self._size.texts)
        return self._point(setting, self._size.tokens, self.with_missing(EVERYTHING))

    def _point(self, setting: BudgetSetting, tokens: int, expected: QualityEstimate) -> CurvePoint:
        return CurvePoint(
            setting=setting,
            tokens=tokens,
            share_of_tokens=tokens / max(1, self._size.tokens),
            dollars=self._provider.priced(tokens).dollars,
            seconds=None if self._seconds_per_token is None else self._seconds_per_token * tokens,
            expected=expected,
        )

    def tokens(self, setting: BudgetSetting) -> int:
        """Tokens that the new model reads in all: for measuring, for more documents, for the extracts of all others."""
        size = self._size
        different = size.different_texts or size.texts
        more = max(0, min(different, setting.documents) - self._calibration)
        sampled = min(more, len(self._tokens_of_more) - 1)
        tokens = float(self.paid + self._tokens_of_more[sampled])
        if more > sampled:
            rest = max(1, different - self._calibration - sampled)
            left = max(0, size.tokens - self._calibration_tokens - self._tokens_of_more[sampled])
            tokens += (more - sampled) * left / rest
        if setting.extract_words:
            # documents that are embedded whole but not fitted to need no extract
            needed = 1 - max(0, setting.documents - MOST_FITTED) / max(1, size.texts)
            of_all = size.extract_tokens[setting.extract_kind][setting.extract_words]
            tokens += needed * max(0, of_all - self._extract_tokens[setting.tried])
        return math.ceil(tokens)

    def expected(self, setting: BudgetSetting) -> QualityEstimate:
        """What a setting keeps of the whole collection."""
        return self.with_missing(self._expected_of_texts(setting))

    def with_missing(self, texts: QualityEstimate) -> QualityEstimate:
        """What is kept of all records if `texts` is kept of those with a text: the others are only projected."""
        share = self._size.texts / max(1, self._size.records)
        return texts if share == 1 else texts.mixed(self.trainings[VECTORS_ONLY].gate.expected_retention, share)

    def _expected_of_texts(self, setting: BudgetSetting) -> QualityEstimate:
        """What a setting keeps of the records with a text: `1 - (1 - q)·(K/K₀)^-γ`.

        q is what the gate expects of the projection that was tried, when as many documents are exact as the setting
        embeds. It was fitted to K₀ documents, and would be fitted to K; γ is `growth`. With extracts, K₀ and K are
        numbers of extracts, and γ is measured with half of them.
        """
        size, words = self._size, setting.extract_words
        short = size.short_texts.get(words, 0) / max(1, size.texts) if words else 0.0
        embedded = min(1.0, setting.documents / max(1, size.texts))
        gate = self.trainings[setting.tried].gate_when_exact(embedded + (1 - embedded) * short)
        if words:
            more, power = min(size.texts, MOST_FITTED) / self._extracts, self._extract_growth.get(setting.tried, 0.0)
            unsure = EXTRACT_GROWTH_ERROR
        else:
            more, power, unsure = min(setting.documents, MOST_FITTED) / self._calibration, self.growth, GROWTH_ERROR
        ends = zip(gate.expected_retention.values(), (power, max(0.0, power - unsure), power + unsure), strict=True)
        return QualityEstimate(*(1 - (1 - end) * min(1.0, more**-each) for end, each in ends))


def _power(half: Gate, full: Gate) -> float | None:
    """The power of two by which errors fall, from judgements with half of what is learned from and with all of it."""
    lost_by_half, lost = 1 - half.expected_retention.value, 1 - full.expected_retention.value
    return math.log2(lost_by_half / lost) if lost_by_half > 0 and lost > 0 else None


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
