"""What every setting costs, and the quality to expect of it, from the projections that were tried for a curve."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

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
MOST_SENTENCES = 300

# Errors fall with a power of the number of calibration documents; the power is within these bounds in all that was
# measured.
GROWTH = (0.0, 0.3)

# The same power for the number of extracts: .2 to .5 on Cranfield, to MiniLM, from 500 to all of them. A few
# calibration documents cannot measure it.
EXTRACT_GROWTH = 0.25


class QualityEstimator:
    """Cost and expected quality of every setting of the projections that were tried.

    Args:
        data: the first calibration documents, which they were fitted to.
        size: of the collection.
        provider: the new model.
        trainings: the projections that were tried.
        halves: the gate's judgement of some of them when fitted to half of the documents.
        choosing: tokens that choosing among kinds of extracts took.

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
        choosing: int = 0,
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
        self._query_tokens = _query_tokens(data, provider)
        self.paid = choosing + tokens_to_measure(data, provider) + sum(self._extract_tokens.values())
        seconds = sum(training.embedding_seconds for training in trainings.values())
        called = any(training.bill.tokens for training in trainings.values())
        # when everything was in the cache: by the time that the model took for what is there
        self._seconds_per_token = seconds / self.paid if called else provider.seconds_per_token()
        self.growth = _growth([(half, trainings[key].gate) for key, half in halves.items()])

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
        others = max(1, (size.different_texts or size.texts) - self._calibration)
        more = min(others, max(0, setting.documents - self._calibration))
        tokens = self.paid + more * max(0, size.tokens - self._calibration_tokens) / others
        if more:
            tokens += self._query_tokens  # a projection fitted to more documents is judged by other sentences
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
        numbers of extracts, and γ is `EXTRACT_GROWTH`.
        """
        size, words = self._size, setting.extract_words
        short = size.short_texts.get(words, 0) / max(1, size.texts) if words else 0.0
        embedded = min(1.0, setting.documents / max(1, size.texts))
        gate = self.trainings[setting.tried].gate_when_exact(embedded + (1 - embedded) * short)
        if words:
            more, power = min(size.texts, MOST_FITTED) / self._extracts, EXTRACT_GROWTH
        else:
            more, power = min(setting.documents, MOST_FITTED) / self._calibration, self.growth
        error_factor = min(1.0, more**-power)
        measured = gate.expected_retention
        ends = (measured.value, measured.low, measured.high)
        return QualityEstimate(*(1 - (1 - value) * error_factor for value in ends))


def _growth(gates: Sequence[tuple[Gate, Gate]]) -> float:
    """The power with which errors fall, from judgements with half of the documents and with all of them."""
    kept = [(half.expected_retention.value, full.expected_retention.value) for half, full in gates]
    powers = [math.log2((1 - half) / (1 - full)) for half, full in kept if half < 1 and full < 1]
    return min(max(statistics.mean(powers), GROWTH[0]), GROWTH[1]) if powers else GROWTH[0]


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
