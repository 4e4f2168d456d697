"""What a starting server embeds: everything where there is time and nothing to pay, otherwise what learning takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lightmigrate.budget.embed_everything import embed_everything
from lightmigrate.budget.learn import MOST_WITHOUT_TEXT, learn, learn_projection
from lightmigrate.budget.learned import Learned
from lightmigrate.errors import CostError
from lightmigrate.progress import LogProgress, logger
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Thresholds
from lightmigrate.routes.costs import Costs
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.calibrate import SHARE_OF_TIME
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.limits import Deadline, SpendingLimit
from lightmigrate.training.model_speed import NO_TIME
from lightmigrate.training.request import EmbeddingRequest, tokens_of
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_readable

# Seconds within which a server is to be up where nobody says; a choice of route, no deadline.
START_SECONDS = 60.0

# If no projection passes the gate and nobody set a limit, a server may rather wait so long for exact vectors.
PATIENCE_SECONDS = 600.0

# A projection is learned on at most so many documents, where nobody says. What is embedded only to learn (sentences,
# words, and where embedding costs money the documents, too) takes at most this share of embedding everything.
MOST_DOCUMENTS, LEARNING_SHARE = 1000, 0.1

# Embedding everything is given up for a projection when it turns out to take so many times as long as there is time.
OVERRUN = 1.5


@dataclass(frozen=True)
class StartLimits:
    """What a start may take.

    Attributes:
        documents: to learn a projection on; `None` for as many as take little beside embedding everything.
        deadline: of the start.
        spending: on the new model.
        may_cost: whether embedding everything may cost money at all, within `spending`.
        refined: whether the records become exact soon after the start: then a projection that keeps little will do.
    """

    documents: int | None
    deadline: Deadline
    spending: SpendingLimit
    may_cost: bool
    refined: bool = False

    @property
    def seconds(self) -> float:
        """Seconds that are left for the start."""
        left = self.deadline.left
        return START_SECONDS - self.deadline.elapsed if math.isinf(left) else left


class _TooSlowError(Exception):
    """Embedding everything would take longer than there is time."""


def learn_for_start(
    collection: JoinedCollections,
    provider: Cached,
    limits: StartLimits,
    *,
    title: str,
    opened_by: Mapping[str, Any],
    source_model: Model,
    priors: Sequence[Projection | None] = (None,),
    previous: Provider | None = None,
    thresholds: Thresholds | None = None,
) -> Learned:
    """Embed what there is time and money for. Only reads; calls the new model, and fills its cache.

    Args:
        collection: the open collections of one model as one, with their embedded texts.
        provider: the new model.
        limits: what it may take.
        title: of the collections, for the log.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.
        source_model: the model of the stored vectors.
        priors: see `calibrate`.
        previous: see `calibrate`.
        thresholds: of the gate.

    Raises:
        NotEnoughTextsError: too few records have a text.
        DeadlineError: there is no time.
        CostError: it would cost more than is allowed.
        LightmigrateError: as `calibrate`.
    """
    learning: dict[str, Any] = {
        "opened_by": opened_by,
        "source_model": source_model,
        "priors": priors,
        "previous": previous,
        "limit": limits.spending,
        "deadline": limits.deadline,
        "thresholds": thresholds,
        "on_progress": LogProgress(),
        "announce": lambda line: logger.info("%s: embedding %s", title, line),
    }
    if limits.documents is not None:
        return learn(collection, provider, limits.documents, **learning)
    costs = Costs.measure(collection, provider, limit=limits.spending)
    everything = partial(_everything, collection, provider, limits, costs, title, opened_by, source_model)
    if _affordable(costs, limits, limits.seconds) and (embedded := everything(limits.seconds)) is not None:
        return embedded
    data = _worth_learning(data_from_readable(collection, MOST_DOCUMENTS, fewest=1), costs, limits)
    if EmbeddingRequest.of(data).bill(provider).tokens >= costs.count.missing_tokens:
        return learn(collection, provider, len(data.texts), **learning)  # everything is no dearer
    learned = learn_projection(collection, provider, data, **learning)
    failed = all(judgement.verdict == "FAIL" for judgement in learned.gates.values())
    unlimited = math.isinf(limits.deadline.left)
    if failed and unlimited and not limits.refined and _affordable(costs, limits, PATIENCE_SECONDS):
        expected = learned.expected.value
        logger.info("%s: a projection is expected to keep %.2f only, embedding every text instead", title, expected)
        return everything(PATIENCE_SECONDS) or learned
    return learned


def _everything(
    collection: JoinedCollections,
    provider: Cached,
    limits: StartLimits,
    costs: Costs,
    title: str,
    opened_by: Mapping[str, Any],
    source_model: Model,
    seconds: float,
) -> Learned | None:
    """Every text embedded; `None` when it turns out to take much longer than so many seconds."""
    logger.info("%s: embedding all %s texts, %s", title, f"{costs.count.texts:,}", _seconds(costs.embedding_seconds()))
    try:
        return embed_everything(
            collection,
            provider,
            opened_by=opened_by,
            source_model=source_model,
            require=_in_time(limits.deadline, costs.count.records, seconds),
            on_progress=LogProgress(),
        )
    except _TooSlowError:
        logger.info("%s: that would take too long, learning a projection instead", title)
        return None


def _affordable(costs: Costs, limits: StartLimits, seconds: float) -> bool:
    """Whether every text can be embedded in so many seconds, and is enough; counts what it costs as spent."""
    count = costs.count
    if not count.texts or count.without_text > MOST_WITHOUT_TEXT * count.records:
        return False
    if costs.embedding_seconds() + costs.writing_seconds > seconds:
        return False
    dollars = costs.provider.priced(count.missing_tokens).dollars
    if dollars != 0 and not limits.may_cost:
        return False
    try:
        limits.spending.pay(costs.provider, dollars, f"embedding {count.texts} texts")
    except CostError:
        return False
    return True


def _in_time(deadline: Deadline, records: int, seconds: float) -> Callable[[int], None]:
    """Raises when a part of the records has taken so long that the whole would take much longer than expected."""
    started, allowed = deadline.elapsed, OVERRUN * max(1.0, seconds)

    def require(done: int) -> None:
        deadline.require()
        if done and (deadline.elapsed - started) * records / done > allowed:
            raise _TooSlowError

    return require


def _worth_learning(data: CalibrationData, costs: Costs, limits: StartLimits) -> CalibrationData:
    """As many of the words and documents as the limits allow, at least 50 documents.

    Documents of a free model are no expense: they are embedded once, and their records are exact from then on.
    """
    share, speed = LEARNING_SHARE, costs.speed or NO_TIME
    free = costs.provider.priced(1_000_000).dollars == 0
    most_tokens, most_seconds = share * costs.count.tokens, share * costs.embedding_seconds()
    if data.words is not None:
        words = data.words.words
        each = speed.seconds(len(words), tokens_of(costs.provider, words)) / max(1, len(words))
        data = data.with_words(len(words) if not each else int(most_seconds / 2 / each))
    if free:
        most_tokens, most_seconds = math.inf, max(most_seconds, SHARE_OF_TIME * limits.seconds)
    documents = len(data.texts)
    while documents > FEWEST_DOCUMENTS:
        part = data.first(documents)
        request = EmbeddingRequest.of(part)
        tokens = request.bill(costs.provider).tokens
        if tokens <= most_tokens and speed.seconds(len(request), tokens) <= most_seconds:
            return part
        documents = documents * 3 // 4
    return data.first(min(len(data.texts), FEWEST_DOCUMENTS))


def _seconds(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds >= 1 else "less than a second"
