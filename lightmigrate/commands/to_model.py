"""`migrate --target-model`: the collections of each old model together, on the best route or a learned projection."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import FOUND_TEXTS, ModelChoice, TextsChoice, read_queries
from lightmigrate.commands.consent import AskBeforePaying
from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.commands.database import DatabaseChoice, require_one_for_texts
from lightmigrate.commands.migrate import function_of, new_job, require_consent, run_migration
from lightmigrate.commands.wanted import wanted_collections
from lightmigrate.errors import (
    AmbiguousTextsError,
    CostError,
    FailedGateError,
    LightmigrateError,
    NotEnoughTextsError,
    NothingToMigrateError,
    NotTextsError,
    RefusedError,
)
from lightmigrate.routes.goal import DEFAULT_GOAL, Goal

if TYPE_CHECKING:
    from lightmigrate.budget.learned import Learned
    from lightmigrate.migration.collection_job import CollectionJob
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.providers.cache import Cached
    from lightmigrate.routes.compare import Comparison
    from lightmigrate.routes.recognised import Recognised
    from lightmigrate.stores.base import Address, CollectionFacts, Metric, Store
    from lightmigrate.stores.joined import JoinedCollections
    from lightmigrate.texts.collection import CollectionsWithTexts
    from lightmigrate.texts.source import Texts, TextSource
    from lightmigrate.training.grouping import ModelGroup
    from lightmigrate.training.limits import SpendingLimit

# Collections that a notice names; of more their number.
SHOWN = 3

# What helps where a projection keeps too little.
EVERYTHING_INSTEAD = "embed everything ( --quality 1,  without --calibrate), or add --force"

# What came out is mentioned where it is expected to keep so much less than the goal.
SURPRISE = 0.03


@dataclass(frozen=True)
class NewModel:
    """A new model, and how collections come to it.

    Attributes:
        choice: the model.
        calibrate: learn a projection on so many of the documents of all collections of one old model; `None` to compare
            the routes and take the best.
        goal: what that has to reach, and what it may take; of a learned projection only the cost counts.
        queries: file with queries of users, to judge by when routes are compared.
        cache: file that keeps embeddings.
    """

    choice: ModelChoice
    calibrate: int | None = None
    goal: Goal = DEFAULT_GOAL
    queries: Path | None = None
    cache: Path | None = None


def migrate_to_model(
    database: DatabaseChoice,
    new: NewModel,
    options: MigrationOptions,
    *,
    collections: Sequence[str] = (),
    function: object = None,
    texts: TextsChoice = FOUND_TEXTS,
    distance: Metric | None = None,
    conversation: Conversation,
) -> list[MigrationResult]:
    """Migrate collections to a new model, those of one old model together. Calls the model; asks, then writes.

    The routes are compared for each old model (`compare_routes`), and the cheapest that reaches the goal is taken: a
    small database comes out exact. Or a projection is learned. The texts that the model embeds get its own vectors;
    vectors that are the new model's own in another form are computed. A collection that cannot be migrated is named,
    and the others are. An emptied collection that keeps another dimension is made anew for the new one.

    Args:
        database: the database.
        new: the new model.
        options: how to migrate.
        collections: their names; by default all whose vectors are not the new model's, by their dimension or measured.
        function: what to record as the embedding function of the collections; `None`: see `function_of`.
        texts: where the embedded texts come from; a file of texts by id is for one collection.
        distance: that the collections get, by which everything is judged; `None` keeps theirs.
        conversation: with the caller; shown what is compared, or each training, before it is asked.

    Raises:
        FailedGateError: no collection can be migrated: the projection failed the gate, without `options.force`.
        RefusedError: no route reaches the goal.
        LightmigrateError: as `compare_routes`, `calibrate` and `Migrator.migrate`; the database is unchanged.
    """
    if not new.choice.model:
        raise LightmigrateError("migrate needs the new model: --target-model, and --target-provider")
    provider = new.choice.open(new.cache)
    queries = read_queries(new.queries, seed=0)
    migrator = database.open_to_migrate(conversation)
    function = function_of(provider) if function is None else function
    chosen = wanted_collections(migrator, provider.model, collections, distance)
    wanted = chosen.collections
    require_one_for_texts([facts.address for facts in wanted], texts.path)
    given = texts.read()

    def decide(store: Store) -> list[CollectionJob]:
        from lightmigrate.migration.embed_again import EmbedAgain
        from lightmigrate.routes.recognised import recognise
        from lightmigrate.stores.open import with_database
        from lightmigrate.training.grouping import ModelGroup, group_by_model, recorded_name
        from lightmigrate.training.limits import SpendingLimit

        limit, ask = SpendingLimit(new.goal.max_cost), AskBeforePaying(conversation, provider.name)
        again = EmbedAgain(provider.model, provider.embed_each)
        jobs = [new_job(facts.address, again, function, distance=distance) for facts in wanted if not facts.count]
        embedded, left_out = _with_texts(store, [facts for facts in wanted if facts.count], given, options.force)
        filled = [facts for facts in wanted if facts.address in embedded.sources]
        grouping = group_by_model(embedded, filled, {facts.address: recorded_name(facts) for facts in filled})
        mixed = grouping.mixed
        if new.calibrate is not None:
            left_out += [
                RefusedError(f"collection {address}: {reason}; {EVERYTHING_INSTEAD}")
                for address, reason in mixed.items()
                if not options.force
            ]
        # No projection fits these: all of their texts are embedded.
        alone = [
            ModelGroup((facts,))
            for facts in filled
            if facts.address in mixed and (options.force or new.calibrate is None)
        ]
        learning: list[_Learning] = []
        for group in (*grouping.groups, *alone):
            opened = group.open(embedded, distance)
            recognised = recognise(opened, grouping.sample_of(group), provider, limit, ask)
            if left := chosen.left_as_it_is(group, recognised):
                left_out.append(NothingToMigrateError(left))
                continue
            if recognised.form:
                conversation.show(_noticed(recognised, group))
            if (computed := recognised.arithmetic) is not None:
                jobs += [new_job(facts.address, computed, function, distance=distance) for facts in group.members]
                continue
            try:
                if new.calibrate is not None:
                    learned = _learned(opened, group, provider, new, limit, conversation)
                    learning.append(_Learning(group, opened, None, learned))
                else:
                    compared = _compared(
                        opened,
                        group,
                        provider,
                        new,
                        migrator.stored_bytes,
                        queries,
                        limit,
                        ask,
                        conversation,
                        database,
                        options.force,
                        recognised.of_several_models or mixed.get(group.members[0].address, ""),
                    )
                    learning.append(_Learning(group, opened, compared, None))
            except (NotEnoughTextsError, CostError, RefusedError) as error:
                left_out.append(error)
        if not jobs and not learning and left_out:
            raise _why_none(left_out)
        if learning and new.calibrate is None:  # before most of the money is spent
            require_consent(conversation, options)
        for one in learning:
            learned = one.learned or _followed(one, provider, new, texts, queries, conversation)
            for facts in one.group.members:
                gate = learned.gates.get(facts.address)
                if gate is not None and gate.verdict == "FAIL" and not options.force:
                    reason = f"collection {facts.address}: {gate.reason}; {EVERYTHING_INSTEAD}"
                    left_out.append(FailedGateError(reason))
                else:
                    projection = learned.projection_for(facts.address)
                    texts_of = embedded.sources[facts.address]
                    jobs.append(
                        new_job(facts.address, projection, function, texts_of, learned.embedded, distance=distance)
                    )
        if not jobs and left_out:
            raise _why_none(left_out)
        if left_out:
            conversation.show(Notice(with_database(_left_out(left_out), shlex.join(database.words) or "DATABASE")))
        if not (learning and new.calibrate is None):
            require_consent(conversation, options)
        return jobs

    results = run_migration(migrator, decide, options)
    return [replace(result, shortened=provider.shortened) for result in results]


@dataclass(frozen=True)
class _Learning:
    """The collections of one model: a route was chosen for them, or a projection is learned already."""

    group: ModelGroup
    opened: JoinedCollections
    comparison: Comparison | None
    learned: Learned | None


def _compared(
    opened: JoinedCollections,
    group: ModelGroup,
    provider: Cached,
    new: NewModel,
    stored_bytes: int,
    queries: Sequence[str],
    limit: SpendingLimit,
    ask: AskBeforePaying,
    conversation: Conversation,
    database: DatabaseChoice,
    force: bool,
    mixed: str,
) -> Comparison:
    """The routes for the collections of one model, which are shown, with one chosen.

    Where they are `mixed`, of several models, and it is not forced, all is embedded.

    Raises:
        RefusedError: none reaches the goal; the message holds the commands for others.
    """
    from lightmigrate.budget.measuring_options import MeasuringOptions
    from lightmigrate.projection.model import Model
    from lightmigrate.registry.library import Library
    from lightmigrate.routes.compare import compare_routes

    compared = compare_routes(
        opened,
        provider,
        replace(new.goal, max_cost=limit.left, even_below_nothing=force),
        MeasuringOptions(
            queries=queries,
            source_model=Model(group.name or "unnamed", group.dimension),
            on_progress=conversation.on_progress,
        ),
        stored_bytes=stored_bytes,
        candidates=Library().find(
            source_dim=group.dimension,
            target_dim=provider.model.dimension,
            source=group.name,
            target=provider.name,
        ),
        before_paying=ask,
        mixed=mixed,
    )
    conversation.show(compared)
    if compared.chosen is None:
        named = [word for facts in group.members for word in ("--collection", str(facts.address))]
        command = ["lightmigrate", "migrate", *database.words, *new.choice.words]
        command += named if len(group.members) == 1 else []
        ways = [f"{way.reason}:  {shlex.join([*command, *way.options])}" for way in compared.ways_out]
        raise RefusedError("; ".join([f"{group.title}: {compared.reason}", *ways]))
    limit.pay(provider, compared.chosen.dollars, compared.chosen.description)
    return compared


def _followed(
    one: _Learning,
    provider: Cached,
    new: NewModel,
    texts: TextsChoice,
    queries: Sequence[str],
    conversation: Conversation,
) -> Learned:
    """What the chosen route of a comparison gives."""
    from lightmigrate.projection.model import Model
    from lightmigrate.routes.follow import follow

    if one.comparison is None:
        raise LightmigrateError("nothing was compared")
    learned = follow(
        one.comparison,
        one.opened,
        provider,
        opened_by=new.choice.to_json(),
        source_model=Model(one.group.name or "unnamed", one.group.dimension),
        texts_file=texts.file,
        queries=queries,
        on_progress=conversation.on_progress,
    )
    if learned.expected.value < new.goal.quality - SURPRISE:
        conversation.show(
            Notice(
                f"{one.group.title}: judged on all that was learned from, {learned.expected.value:.2f} is expected, "
                f"not {new.goal.quality:.2f}; refine makes more rows exact"
            )
        )
    return learned


def _with_texts(
    store: Store, wanted: Sequence[CollectionFacts], given: Texts, force: bool
) -> tuple[CollectionsWithTexts, list[LightmigrateError]]:
    """The collections with their embedded texts, and why others cannot be learned from."""
    from lightmigrate.texts.chosen import chosen_texts
    from lightmigrate.texts.collection import CollectionsWithTexts
    from lightmigrate.texts.find import SAMPLED
    from lightmigrate.texts.not_texts import require_texts, rows_by_uri

    sources: dict[Address, TextSource] = {}
    left_out: list[LightmigrateError] = []
    for facts in wanted:
        try:
            collection = store.collection(facts.address)
            source = chosen_texts(collection, given)
            if not force:
                page = collection.sample(SAMPLED)
                require_texts(facts.address, rows_by_uri(page, source.texts_of(page)), len(page))
        except (AmbiguousTextsError, NotTextsError) as error:
            left_out.append(error)
        else:
            sources[facts.address] = source
    return CollectionsWithTexts(store, sources), left_out


def _noticed(recognised: Recognised, group: ModelGroup) -> Notice:
    """What is done about vectors that are the new model's own in another form."""
    exact = recognised.arithmetic is not None
    done = "computed exactly, nothing is learned" if exact else "a projection is learned"
    return Notice(f"{group.title}: {recognised.form}; {done}")


def _learned(
    opened: JoinedCollections,
    group: ModelGroup,
    provider: Cached,
    new: NewModel,
    limit: SpendingLimit,
    conversation: Conversation,
) -> Learned:
    """What the collections of one model are migrated with, learned on them; its training is shown."""
    from lightmigrate.budget.learn import learn
    from lightmigrate.commands.train import Trained
    from lightmigrate.projection.model import Model
    from lightmigrate.training.learning_options import LearningOptions

    learned = learn(
        opened,
        provider,
        new.calibrate or 0,
        LearningOptions(
            source_model=Model(group.name or "unnamed", group.dimension),
            limit=limit,
            on_progress=conversation.on_progress,
        ),
        opened_by=new.choice.to_json(),
    )
    if learned.training is not None:
        conversation.show(Trained(learned.training, ()))
    else:
        texts = len(learned.embedded.digests)
        conversation.show(
            Notice(f"{group.title}: all {texts:,} texts were embedded, because learning would have cost as much")
        )
    return learned


def _why_none(errors: Sequence[LightmigrateError]) -> LightmigrateError:
    """Why no collection is migrated; first what is in the way of one, then what needs nothing."""
    ordered = sorted(errors, key=lambda error: isinstance(error, NothingToMigrateError))
    worst = ordered[0]
    worst.args = (_some(ordered), *worst.args[1:])
    return worst


def _left_out(errors: Sequence[LightmigrateError]) -> str:
    """Which collections are not migrated, and why; the first of many."""
    return f"not migrated: {_some(errors)}"


def _some(errors: Sequence[LightmigrateError]) -> str:
    more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    return "; ".join(map(str, errors[:SHOWN])) + more
