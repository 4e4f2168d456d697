"""Compares the routes to a new model for the collections of one old model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lightmigrate.budget.advice import Way, better
from lightmigrate.budget.budget_split import MEASURING_SHARE
from lightmigrate.budget.curve import CostQualityCurve, measure_curve
from lightmigrate.budget.curve_data import CurveData, read_curve_data, too_few_texts
from lightmigrate.budget.measuring_options import DEFAULT_MEASURING, MeasuringOptions
from lightmigrate.budget.quality_estimator import MOST_FITTED, sentences_for
from lightmigrate.budget.settings import CurvePoint
from lightmigrate.errors import NotEnoughTextsError, RefusedError
from lightmigrate.migration.history import DOING_NOTHING
from lightmigrate.projection.terms.extract_rule import described
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.quality.retention import EVERYTHING, UNKNOWN, QualityEstimate
from lightmigrate.registry.library import Candidate
from lightmigrate.results import Result
from lightmigrate.routes.choose import WayOut, best_within, choose, takes_little
from lightmigrate.routes.costs import Costs
from lightmigrate.routes.goal import DEFAULT_GOAL, Goal
from lightmigrate.routes.known import KnownProjection, best_known
from lightmigrate.routes.recognised import Recognised, recognise
from lightmigrate.routes.route import Kind, Route
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.limits import BeforePaying, SpendingLimit, unasked
from lightmigrate.training.model_speed import ModelSpeed
from lightmigrate.training.request import tokens_of

# A setting whose expected quality is a smaller share of the best one's is of no use to anybody.
LEAST_SHARE = 0.5

# What compares the routes although the vectors are the new model's own.
ALL_THE_SAME = "name it (--collection) to compare all the same"

# Records read to recognise their model by, where none are read to measure on.
SAMPLED = 200

# Records that tell whether their vectors are of several models.
SAMPLED_FOR_MIXTURE = 1000


@dataclass(frozen=True)
class Comparison(Result):
    """The routes to a new model for the collections of one old model.

    Attributes:
        model: name of the new model.
        collections: what is compared for.
        records: of the collections.
        without_text: records that store no text, which are projected whatever is embedded.
        speed: of the new model; `None` where measuring it would have cost too much.
        routes: doing nothing first, then the cheapest first.
        chosen: the route that reaches the goal; `None` when none does.
        reason: why that one, or why none.
        better: whether to stay with the old model, to project or to embed again, by what is expected of the chosen
            route, or of the best one within the limits of the goal, and of doing nothing; `None` where nothing had to
            be weighed.
        ways_out: what can be done when there is none.
        measured_on: documents that the quality of projections was measured on; 0 when it was not.
        not_measured: why not; empty when it was.
        curve: what was measured; `None` when nothing was.
        known: the existing projection among the routes.
        recognised: what a comparison of the stored vectors with the new model's tells; empty where it tells nothing.
    """

    model: str
    collections: str
    records: int
    without_text: int
    speed: ModelSpeed | None
    routes: tuple[Route, ...]
    chosen: Route | None
    reason: str
    better: Way | None
    ways_out: tuple[WayOut, ...]
    measured_on: int
    not_measured: str
    curve: CostQualityCurve | None = field(repr=False, compare=False)
    known: KnownProjection | None = field(repr=False, compare=False)
    recognised: str = ""

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if name not in ("curve", "known")]


def compare_routes(
    collection: JoinedCollections,
    provider: Cached,
    goal: Goal = DEFAULT_GOAL,
    options: MeasuringOptions = DEFAULT_MEASURING,
    *,
    stored_bytes: int = 0,
    always: bool = False,
    candidates: Sequence[Candidate] = (),
    before_paying: BeforePaying = unasked,
    recognising: bool = False,
    even_own: bool = False,
    mixed: str = "",
) -> Comparison:
    """Compare the routes and choose one. Calls the model; only reads, and fills the model's cache.

    A few texts tell how fast the model is. What projections keep is measured on some documents, for at most a tenth of
    what embedding everything takes; not at all where embedding everything takes little and is within the goal.

    Args:
        collection: the open collections as one, with their embedded texts.
        provider: the new model.
        goal: what is to be reached.
        options: on how much is measured, and by what is judged.
        stored_bytes: of the folder that a migration copies; 0 for an open database.
        always: measure what projections keep, however little embedding everything takes.
        candidates: existing projections, from `Library.find`.
        before_paying: called with the most that measuring the model's speed, and projections, may take.
        recognising: look first whether the vectors are the new model's own, or lead to its own by arithmetic: then
            nothing is measured. A caller that has looked already leaves it out.
        even_own: compare the routes although the vectors are the new model's own.
        mixed: how the vectors are known to be of several models: no projection fits them, and unless the goal takes
            whatever comes, only embedding everything is compared with doing nothing. Looked for where it is empty.

    Raises:
        RefusedError: measuring would take more than the budget.
        NotEnoughTextsError: no record has a text; with a budget or `samples`: not enough have one.
        ProviderError: the model fails.
    """
    limit = SpendingLimit(goal.max_cost)
    # what was asked for and cannot be had is refused before the model is called
    read = read_curve_data(collection, provider, options) if options.asked_for else None
    costs = Costs.measure(collection, provider, stored_bytes, limit, before_paying)
    count = costs.count
    if count.records and not count.texts:
        raise too_few_texts(collection.address, 0, count.records, 1)
    everything = costs.everything(_of_everything(costs))
    curve, known, not_measured = None, None, ""
    measuring = _measuring_share(costs, goal, limit.spent)
    mixed = "" if goal.even_below_nothing else mixed or _mixture_of(collection)
    if mixed:
        read = None
    elif read is None and not always and takes_little(everything) and goal.allows(everything):
        not_measured = "embedding everything takes too little to compare it with anything"
    elif read is None:
        try:
            read = read_curve_data(collection, provider, options, measuring_share=measuring)
        except (RefusedError, NotEnoughTextsError) as error:
            not_measured = str(error)
    recognised = None
    if recognising:
        recognised = recognise(collection, _sample(collection, read), provider, limit, before_paying)
        if (settled := _settled(costs, collection.address, recognised, even_own=even_own)) is not None:
            return settled
        mixed = mixed or recognised.of_several_models
    if mixed:
        read, not_measured = None, f"no projection fits vectors of several models: {mixed}"
    if read is not None:
        most = options.token_share if options.token_share is not None else measuring
        bill = provider.priced(round(options.tokens or most * costs.count.tokens))
        before_paying(bill, "to measure what projections keep")
        curve = measure_curve(read, provider, options)
        known = best_known(candidates, read.data, provider, options.seed)
        # sentences, words and extracts were paid for only to measure
        only_measuring = max(0, curve.paid - tokens_of(provider, read.data.texts)) if everything.dollars != 0 else 0
        everything = costs.everything(curve.options[-1].expected, only_measuring)
    routes = [_nothing(curve), *_measured(costs, curve, known, goal), everything]
    choice = choose(routes, goal)
    best = choice.route or best_within(routes, goal)
    return Comparison(
        model=provider.name,
        collections=str(collection.address),
        records=costs.count.records,
        without_text=costs.count.without_text,
        speed=costs.speed,
        routes=tuple(routes),
        chosen=choice.route,
        reason=choice.reason,
        better=better(
            None if best is None else best.expected, routes[0].expected, best is not None and best.kind == "everything"
        ),
        ways_out=choice.ways_out,
        measured_on=0 if curve is None else curve.calibration,
        not_measured=not_measured,
        curve=curve,
        known=known,
        recognised="" if recognised is None else recognised.form or recognised.reason_to_stay,
    )


def _mixture_of(collection: JoinedCollections) -> str:
    """How the vectors of one collection are of several models, as they themselves tell; empty where they do not."""
    if len(collection.members) > 1:  # `group_by_model` compared them
        return ""
    mixture = find_mixture(collection.sample(SAMPLED_FOR_MIXTURE).vectors)
    return "" if mixture is None else mixture.reason


def nothing_to_do(model: str, collections: str, records: int, reason: str, *, is_exact: bool = False) -> Comparison:
    """What is compared where the vectors are the new model's already.

    Args:
        model: its name.
        collections: what was looked at.
        records: of the collections.
        reason: how that is known, in one sentence.
        is_exact: whether nothing could be better.
    """
    description, expected = ("nothing to do", EVERYTHING) if is_exact else ("leave as it is", None)
    route = Route("own", description, 0, 0, 0.0, 0.0, None, None, expected, is_exact)
    return _unmeasured(model, collections, records, (route,), route, reason)


def _settled(costs: Costs, address: Address, recognised: Recognised, *, even_own: bool) -> Comparison | None:
    """The routes where nothing has to be measured to choose one; `None` where there is something."""
    records, name = costs.count.records, costs.provider.name
    if recognised.arithmetic is not None:
        computed = costs.route("computed", recognised.calculation, 0, 0, EVERYTHING, True)
        routes = (_nothing(None), computed, costs.everything(_of_everything(costs)))
        reason = f"exact, and nothing is learned: {recognised.form}"
        return _unmeasured(name, str(address), records, routes, computed, reason)
    if even_own or not (reason := recognised.reason_to_stay):
        return None
    is_same = recognised.identity is not None and recognised.identity.verdict == "same"
    return nothing_to_do(name, str(address), records, f"{reason}; {ALL_THE_SAME}", is_exact=is_same)


def _unmeasured(
    model: str, collections: str, records: int, routes: tuple[Route, ...], chosen: Route, reason: str
) -> Comparison:
    return Comparison(
        model=model,
        collections=collections,
        records=records,
        without_text=0,
        speed=None,
        routes=routes,
        chosen=chosen,
        reason=reason,
        better=None,
        ways_out=(),
        measured_on=0,
        not_measured=f"{chosen.description}: {reason}",
        curve=None,
        known=None,
    )


def _sample(collection: JoinedCollections, read: CurveData | None) -> Page:
    """Records to recognise the model by: those that are embedded anyway, where projections are to be measured."""
    if read is None or read.data.vectors is None:
        return collection.sample(SAMPLED)
    texts = read.data.texts
    return Page([str(row) for row in range(len(texts))], read.data.vectors, list(texts), [None] * len(texts))


def _of_everything(costs: Costs) -> QualityEstimate:
    """What embedding every text gives, where some records have none."""
    share = 1 - costs.count.without_text / max(1, costs.count.records)
    return EVERYTHING if share == 1 else EVERYTHING.mixed(UNKNOWN, share)


def worth_showing(options: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The settings of which more is expected than of every cheaper one; the last option embeds everything.

    A setting that keeps less than half of what the best projection keeps is left out: on a small collection a
    projection fitted to a few documents is of no use.
    """
    projected = options[:-1]
    least = LEAST_SHARE * max((point.expected.value for point in projected), default=0.0)
    shown: list[CurvePoint] = []
    best = 0.0
    for point in projected:
        value = point.expected.value
        if value > best and value >= least:
            shown.append(point)
        best = max(best, value)
    return [*shown, options[-1]]


def _measuring_share(costs: Costs, goal: Goal, spent: float) -> float:
    """The share of what embedding everything takes that measuring may take, within what the goal leaves to spend."""
    million = costs.provider.priced(1_000_000).dollars
    if goal.max_cost is None or million == 0:
        return MEASURING_SHARE
    if million is None:
        return 0.0  # a limit cannot be kept where no price is known
    tokens = max(0.0, goal.max_cost - spent) / million * 1_000_000
    return min(MEASURING_SHARE, tokens / max(1, costs.count.tokens))


def _nothing(curve: CostQualityCurve | None) -> Route:
    expected = None if curve is None else curve.expected_nothing
    return Route("nothing", DOING_NOTHING, 0, 0, 0.0, 0.0, None, None, expected, False)


def _measured(costs: Costs, curve: CostQualityCurve | None, known: KnownProjection | None, goal: Goal) -> list[Route]:
    """The routes whose quality was measured, the cheapest first."""
    if curve is None:
        return []
    everything = curve.options[-1]
    points = sorted((*curve.options[:-1], curve.reaching(goal.quality)), key=lambda point: point.tokens)
    shown = worth_showing([*points, everything])
    settings = dict.fromkeys(point.setting for point in shown if point.setting != everything.setting)
    routes = [_projected(costs, curve, curve.option(setting)) for setting in settings]
    if known is not None:
        route = costs.route("known", f"project {known.description}", 0, 0, known.gate.expected_retention, True)
        routes.append(route)
    return sorted(routes, key=lambda route: route.tokens)


def _projected(costs: Costs, curve: CostQualityCurve, point: CurvePoint) -> Route:
    """A setting of the curve as a route."""
    setting, size = point.setting, curve.size
    texts = setting.documents + curve.words + sentences_for(min(setting.documents, MOST_FITTED))
    kind: Kind = "learned"
    description = f"embed {setting.documents:,}, project others{'' if setting.reads_texts else ' by vector'}"
    if setting.extract_words:
        kind = "extracts"
        texts += max(0, (size.different_texts or size.texts) - setting.documents)
        words = described(setting.extract_kind, setting.extract_words).removeprefix("first ")
        description = f"embed {setting.documents:,}, {words} of others"
    return costs.route(
        kind,
        description,
        texts,
        point.tokens,
        point.expected,
        True,
        fitting_seconds=curve.fitting_seconds(setting),
        setting=setting,
    )
