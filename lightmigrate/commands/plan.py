"""`plan`: what would a migration do, and what would each budget buy?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import FOUND_TEXTS, NO_BUDGET, Budget, ModelChoice, TextsChoice, read_queries
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, addresses_for, migrate_all, only_collection, only_filled
from lightmigrate.commands.folder import is_folder_of_units, plan_folder
from lightmigrate.commands.new_index import show_stated_distances
from lightmigrate.commands.wanted import migrated_to
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.results import Result
from lightmigrate.routes.goal import DEFAULT_GOAL, Goal

if TYPE_CHECKING:
    from lightmigrate.budget.curve import CostQualityCurve
    from lightmigrate.budget.missing_texts import MissingTexts
    from lightmigrate.budget.plan import BudgetPlan
    from lightmigrate.migration.plan import Plan
    from lightmigrate.migrator import Migrator
    from lightmigrate.providers.cache import Cached
    from lightmigrate.routes.compare import Comparison
    from lightmigrate.stores.base import Address, Metric
    from lightmigrate.texts.forms import TextForm


@dataclass(frozen=True)
class Measuring:
    """What a curve is measured with.

    Attributes:
        samples: documents to calibrate on; `None` for a number that suits the collection and the budget.
        queries: file with queries of users.
        texts: where the embedded texts come from.
        seed: of every random choice.
        cache: file that keeps embeddings.
    """

    samples: int | None = None
    queries: Path | None = None
    texts: TextsChoice = FOUND_TEXTS
    seed: int = 0
    cache: Path | None = None


DEFAULT_MEASURING = Measuring()


@dataclass(frozen=True)
class Planning:
    """Makes plans of what was measured, for any budget; nothing is measured again.

    Attributes:
        address: of the collection.
        curve: what was measured.
        provider: the new model.
        target: how it is opened.
        measuring: what was measured with.
        text_form: how the embedded texts are put together; `None` where the records tell.
        distance: that the collection gets; `None` if it keeps its own.
    """

    address: Address
    curve: CostQualityCurve
    provider: Cached
    target: ModelChoice
    measuring: Measuring
    text_form: TextForm | None
    distance: Metric | None

    def plan(self, budget: Budget, output: Path | None = None) -> BudgetPlan | None:
        """The plan for a budget; `None` for no budget. Writes it to `output`.

        Raises:
            RefusedError: measuring took more than the budget.
            LightmigrateError: a limit in dollars, and the price of the model is not known.
        """
        from lightmigrate.budget.plan import BudgetPlan

        point = budget.choose(self.curve, self.provider)
        if point is None:
            return None
        plan = BudgetPlan.of(
            self.address,
            self.curve,
            point,
            self.target.to_json(),
            seed=self.measuring.seed,
            queries_file=self.measuring.queries,
            texts_file=self.measuring.texts.file,
            text_form=self.text_form,
            distance=self.distance,
        )
        if output is not None:
            plan.save(output)
        return plan


@dataclass(frozen=True)
class Planned(Result):
    """What each route to a new model takes and keeps, and which one was chosen.

    Attributes:
        comparison: the routes.
        curve: what was measured of budget settings; `None` when nothing was.
        missing_texts: what texts would gain where they are missing; `None` when every record has one.
        plan: the chosen setting; `None` when no budget was given.
        planning: makes plans for other budgets; `None` where nothing was measured, or for several collections.
    """

    comparison: Comparison
    curve: CostQualityCurve | None
    missing_texts: MissingTexts | None
    plan: BudgetPlan | None
    planning: Planning | None = field(default=None, repr=False, compare=False)

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if name != "planning"]


def plan_projection(
    database: DatabaseChoice,
    projection: Path,
    *,
    collections: Sequence[str] = (),
    distance: Metric | None = None,
    conversation: Conversation,
) -> Plan:
    """What migrating with a projection would do, and whether it can. Only reads.

    Args:
        database: the database.
        projection: its file.
        collections: their names; by default all whose vectors the projection takes.
        distance: that they get; `None` if they keep theirs: then those whose metadata state another one are shown.
        conversation: with the caller.

    Raises:
        LightmigrateError: as `Migrator.plan`.
    """
    from lightmigrate.migration.collection_job import CollectionJob
    from lightmigrate.projection.projection import Projection

    if is_folder_of_units(database):
        unheeded = {"--collection": collections, "--distance": distance}
        given = [name for name, value in unheeded.items() if value]
        return plan_folder(database, projection, given, conversation=conversation)
    migrator = database.open_to_migrate(conversation, writing=False)
    loaded = Projection.load(projection)
    addresses = addresses_for(migrator, loaded, collections, distance)
    planned = migrator.plan([CollectionJob(address, loaded, distance=distance) for address in addresses])
    if distance is None:
        show_stated_distances(migrator, addresses, conversation)
    return planned


def plan_budget(
    database: DatabaseChoice,
    target: ModelChoice,
    source: ModelChoice | None = None,
    budget: Budget = NO_BUDGET,
    measuring: Measuring = DEFAULT_MEASURING,
    *,
    collection: str = "",
    distance: Metric | None = None,
    output: Path | None = None,
    conversation: Conversation,
) -> Planned:
    """Compare the routes to a new model, and choose a budget setting. Calls the model; writes only files.

    Args:
        database: the database; only read.
        target: the new model.
        source: the old model, to compare with doing nothing.
        budget: what to choose; without one, what `migrate --target-model` would take is shown.
        measuring: what to measure with.
        collection: its name; empty for all collections, which must be of one model, as one.
        distance: that the collection gets, by which is judged; `None` if it keeps its own.
        output: file for the plan.
        conversation: with the caller.

    Raises:
        LightmigrateError: as `Migrator.compare_routes`; a file for the plan without a budget.
    """
    by_workers = is_folder_of_units(database)
    if by_workers and (measuring.texts != FOUND_TEXTS or distance is not None):
        raise LightmigrateError(
            "the texts of a folder whose files are one collection are those of a column, file:///FOLDER?text=COLUMN, "
            "and its files have no distance: leave out --texts, --text-field, --text-template, --distance"
        )
    if output is not None and not budget.is_given:
        raise LightmigrateError("-o needs to know what to choose: --budget, --budget-tokens, --max-cost or --quality")
    # beside the budget in tokens, a limit on what is really paid, where the provider has one
    provider = target.open(measuring.cache, **target.limited(budget.dollars))
    previous = None if source is None else source.open(measuring.cache)
    queries = read_queries(measuring.queries, measuring.seed)
    texts = measuring.texts.read()
    migrator = database.open_to_migrate(conversation, writing=False)
    address = only_collection(migrator, collection) if collection else only_filled(migrator)
    if address is None and budget.is_given:
        raise LightmigrateError(
            "a plan is for one collection: name it (--collection), or migrate all of one model together:  "
            f"{migrate_all(database, target)}"
        )
    if distance is None:
        shown = [facts.address for facts in migrator.collections()] if address is None else [address]
        show_stated_distances(migrator, shown, conversation)
    if not (collection or by_workers) and (done := _migrated_before(migrator, provider)) is not None:
        if budget.is_given:
            raise RefusedError(f"no budget can be chosen: {done.not_measured}")
        return Planned(done, None, None, None)
    source_of_texts = None if address is None else migrator.text_source(address, texts, previous)
    compared = migrator.compare_routes(
        address,
        provider,
        previous,
        goal=DEFAULT_GOAL if budget.quality is None else Goal(budget.quality),
        samples=measuring.samples,
        tokens=budget.tokens_allowed(provider),
        token_share=budget.share,
        queries=queries,
        texts=source_of_texts or texts,
        distance=distance,
        seed=measuring.seed,
        even_own=bool(collection),
    )
    curve = compared.curve
    if curve is None:
        if budget.is_given:
            raise RefusedError(f"no budget can be chosen: {compared.not_measured}")
        return Planned(compared, None, None, None)
    from lightmigrate.budget.missing_texts import MissingTexts

    if by_workers and source_of_texts is not None and output is not None:
        from lightmigrate.scale.planning import require_column

        require_column(source_of_texts.form)
    planning = None
    if address is not None and source_of_texts is not None:
        planning = Planning(address, curve, provider, target, measuring, source_of_texts.form, distance)
    plan = None if planning is None else planning.plan(budget, output)
    return Planned(compared, curve, MissingTexts.of(curve), plan, planning)


def _migrated_before(migrator: Migrator, provider: Cached) -> Comparison | None:
    """The comparison where all vectors were migrated to the model before, as `migrate` sees it; otherwise `None`."""
    from lightmigrate.routes.compare import ALL_THE_SAME, nothing_to_do

    filled = [facts for facts in migrator.collections() if facts.count and facts.dimension]
    if not filled or len(migrated_to(migrator, provider.name, filled)) < len(filled):
        return None
    if any(facts.dimension != provider.model.dimension for facts in filled):  # it makes shorter or longer ones now
        return None
    named = str(filled[0].address) if len(filled) == 1 else f"{len(filled)} collections"
    reason = f"a migration brought {named} to {provider.name}; status says which rows are exact, refine makes all so"
    return nothing_to_do(provider.name, named, sum(facts.count for facts in filled), f"{reason}; {ALL_THE_SAME}")
