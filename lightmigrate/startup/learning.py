"""What a starting server embeds: everything where there is time and nothing to pay, otherwise what learning takes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lightmigrate.budget.embed_everything import embed_everything
from lightmigrate.budget.learn import MOST_WITHOUT_TEXT, learn, learn_projection
from lightmigrate.budget.learned import Learned
from lightmigrate.errors import CostError
from lightmigrate.progress import LogProgress, logger
from lightmigrate.providers.cache import Cached
from lightmigrate.routes.costs import Costs
from lightmigrate.startup.meanwhile import while_fitting
from lightmigrate.startup.worth_learning import LEAST_SECONDS, TimeToLearn, texts_left
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.system import cores
from lightmigrate.training.learning_options import LearningOptions
from lightmigrate.training.limits import Deadline
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.training.sources import data_from_readable

# Seconds within which a server is to be up where nobody says; a choice of route, no deadline.
START_SECONDS = 60.0

# If no projection passes the gate and nobody set a limit, a server may rather wait so long for exact vectors.
PATIENCE_SECONDS = 600.0

# Where a server cannot be up in time anyway, embedding everything may take this many times as long as writing:
# replacing vectors one by one afterwards takes four times as long (`routes.costs.TIMES_REPLACING`), so that exact comes
# sooner by more than the server is later.
TIMES_WRITING = 2.0

# Embedding everything is given up for a projection when it turns out to take so many times as long as there is time.
OVERRUN = 1.5


@dataclass(frozen=True)
class StartLimits:
    """What a start may embed, beside its limits of money and time.

    Attributes:
        documents: to learn a projection on; `None` for as many as take little beside embedding everything.
        may_cost: whether embedding everything may cost money at all, within the limit.
        refined: whether the records become exact soon after the start: then a projection that keeps little will do.
        keeps_graph: whether the projected vectors are written into the graph of the old index, which is quicker.
    """

    documents: int | None
    may_cost: bool
    refined: bool = False
    keeps_graph: bool = False


class _TooSlowError(Exception):
    """Embedding everything would take longer than there is time."""


def learn_for_start(
    collection: JoinedCollections,
    provider: Cached,
    limits: StartLimits,
    options: LearningOptions,
    *,
    title: str,
    opened_by: Mapping[str, Any],
) -> Learned:
    """Embed what there is time and money for. Only reads; calls the new model, and fills its cache.

    Args:
        collection: the open collections of one model as one, with their embedded texts.
        provider: the new model.
        limits: what it may embed.
        options: what is built on, and the limits of the start. Progress goes to the log.
        title: of the collections, for the log.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.

    Raises:
        NotEnoughTextsError: too few records have a text.
        DeadlineError: there is no time.
        CostError: it would cost more than is allowed.
        LightmigrateError: as `calibrate`.
    """

    def announce(line: str) -> None:
        logger.info("%s: embedding %s", title, line)

    log = LogProgress()
    options = replace(options, on_progress=log, announce=announce)
    if limits.documents is not None:
        return learn(collection, provider, limits.documents, options, opened_by=opened_by)
    costs = Costs.measure(collection, provider, limit=options.limit)
    everything = partial(_everything, collection, provider, options, costs, title, opened_by)
    seconds = _seconds_left(options.deadline)
    if _affordable(costs, limits, options, seconds) and (embedded := everything(seconds)) is not None:
        return embedded
    writing = costs.projecting_seconds if limits.keeps_graph else costs.writing_seconds
    seconds = _seconds_left(options.deadline) - writing
    time = TimeToLearn.of(provider, costs, options.deadline, seconds, refined=limits.refined)
    data = time.chosen(data_from_readable(collection, time.most_documents, fewest=1))
    options = replace(options, sentences=time.sentences(data))
    request = EmbeddingRequest.of(data, sentences=options.sentences)
    if request.bill(provider).tokens >= costs.count.missing_tokens:
        return learn(collection, provider, len(data.texts), options, opened_by=opened_by)  # everything is no dearer
    embedded_in_time = time.embed(data)
    with contextlib.closing(texts_left(collection, provider)) as left:
        if len(embedded_in_time.texts) == len(data.texts):
            time.fill(left, data)
        more = time.meanwhile(left) if cores() > 1 else iter(())
    with while_fitting(partial(time.embed_some, more), log) as on_progress:
        options = replace(options, on_progress=on_progress)
        learned = learn_projection(collection, provider, embedded_in_time, options, opened_by=opened_by)
    failed = all(judgement.verdict == "FAIL" for judgement in learned.gates.values())
    unlimited = math.isinf(options.deadline.left)
    if failed and unlimited and not limits.refined and _affordable(costs, limits, options, PATIENCE_SECONDS):
        expected = learned.expected.value
        logger.info("%s: a projection is expected to keep %.2f only, embedding every text instead", title, expected)
        return everything(PATIENCE_SECONDS) or learned
    return learned


def _seconds_left(deadline: Deadline) -> float:
    """Seconds that are left for the start."""
    return START_SECONDS - deadline.elapsed if math.isinf(deadline.left) else deadline.left


def _everything(
    collection: JoinedCollections,
    provider: Cached,
    options: LearningOptions,
    costs: Costs,
    title: str,
    opened_by: Mapping[str, Any],
    seconds: float,
) -> Learned | None:
    """Every text embedded; `None` when it turns out to take much longer than so many seconds.

    It was paid for as a whole; what is not embedded when it ends is given back.
    """
    before = len(provider.timed)
    logger.info("%s: embedding all %s texts, %s", title, f"{costs.count.texts:,}", _seconds(costs.embedding_seconds()))
    try:
        return embed_everything(
            collection,
            provider,
            opened_by=opened_by,
            source_model=options.source_model,
            require=_in_time(options.deadline, costs, seconds),
            on_progress=options.on_progress,
        )
    except Exception as error:
        embedded = sum(call.tokens for call in provider.timed[before:])
        options.limit.give_back(provider.priced(max(0, costs.count.missing_tokens - embedded)).dollars)
        if not isinstance(error, _TooSlowError):
            raise
        logger.info("%s: that would take too long, learning a projection instead", title)
        return None


def _affordable(costs: Costs, limits: StartLimits, options: LearningOptions, seconds: float) -> bool:
    """Whether every text can be embedded in about so many seconds, and is enough; counts what it costs as spent."""
    count = costs.count
    if not count.texts or count.without_text > MOST_WITHOUT_TEXT * count.records:
        return False
    if costs.embedding_seconds() > _allowed(costs, options.deadline, seconds):
        return False
    dollars = costs.provider.priced(count.missing_tokens).dollars
    if dollars != 0 and not limits.may_cost:
        return False
    try:
        options.limit.pay(costs.provider, dollars, f"embedding {count.texts} texts")
    except CostError:
        return False
    return True


def _allowed(costs: Costs, deadline: Deadline, seconds: float) -> float:
    """How long embedding everything may take in a start that has so many seconds; 0 where there is no time for that."""
    if costs.everything_within(seconds):
        return seconds
    late_anyway = math.isinf(deadline.left) and LEAST_SECONDS + costs.writing_seconds > seconds
    return TIMES_WRITING * costs.writing_seconds if late_anyway else 0.0


def _in_time(deadline: Deadline, costs: Costs, seconds: float) -> Callable[[int], None]:
    """Raises when a part of the tokens has taken so long that all of them would take much longer than expected.

    Not a part of the records: the longest texts come first, and one of them may be as long as a hundred others. Where
    somebody set a limit, nothing is migrated beyond it, and writing has to end before it, too.
    """
    started = deadline.elapsed
    if math.isinf(deadline.left):
        allowed = OVERRUN * max(1.0, _allowed(costs, deadline, seconds))
    else:
        allowed = max(1.0, seconds - costs.writing_seconds)

    def require(done: int) -> None:
        deadline.require()
        if done and (deadline.elapsed - started) * costs.count.tokens / done > allowed:
            raise _TooSlowError

    return require


def _seconds(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds >= 1 else "less than a second"
