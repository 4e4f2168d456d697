"""Which collections go to a new model: those that were named, or all whose vectors are not the model's yet."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.commands.database import changeable, find_address, possible, readable
from lightmigrate.errors import CollectionNotFoundError, LightmigrateError, NothingToMigrateError, RefusedError

if TYPE_CHECKING:
    from lightmigrate.migrator import Migrator
    from lightmigrate.projection.model import Model
    from lightmigrate.routes.recognised import Recognised
    from lightmigrate.stores.base import Address, CollectionFacts, Metric
    from lightmigrate.training.grouping import ModelGroup


@dataclass(frozen=True)
class Wanted:
    """The collections that go to a new model.

    Attributes:
        collections: these; some of them may turn out to be the model's already.
        named: whether they were named: then all of them go.
    """

    collections: Sequence[CollectionFacts]
    named: bool

    def left_as_it_is(self, group: ModelGroup, recognised: Recognised) -> str:
        """Why some collections of one model are left as they are; empty where they are not."""
        if self.named or not (reason := recognised.reason_to_stay):
            return ""
        return f"{group.title}: {reason}; name it (--collection) to migrate it all the same"


def wanted_collections(
    migrator: Migrator, model: Model, names: Sequence[str], distance: Metric | None = None
) -> Wanted:
    """The named collections, or all that can be read and were not migrated to the new model. Only reads.

    Those of another dimension are not its own. Of the others that is measured later; see `Wanted.left_as_it_is`.

    Args:
        migrator: of the database.
        model: the new one.
        names: of collections; may be empty.
        distance: that they get; see `changeable`.

    Raises:
        RefusedError: none of them can have the distance, or vectors of the dimension.
        CollectionNotFoundError: there is no collection of one of the names.
        NothingToMigrateError: none was named, and all were migrated to this model, or hold nothing.
    """
    from lightmigrate.migration.plan import require_one_vector
    from lightmigrate.stores.base import Store

    catalog = migrator.collections()
    chosen = {find_address(name, catalog) for name in names}
    if unknown := chosen - {facts.address for facts in catalog}:
        known = ", ".join(str(facts.address) for facts in catalog) or "none at all"
        raise CollectionNotFoundError(f"no collection {unknown.pop()} in {migrator.path}; there are: {known}")
    if chosen:
        wanted = [facts for facts in catalog if facts.address in chosen]
    else:
        wanted = [facts for facts in readable(migrator, catalog) if facts.dimension is not None]
        equal = [facts for facts in wanted if facts.dimension == model.dimension]
        gone = migrated_to(migrator, model.name, equal) | {facts.address for facts in equal if not facts.count}
        wanted = [facts for facts in wanted if facts.address not in gone]
    if chosen and (refused := migrator.refused(wanted, model.dimension)):
        raise RefusedError(next(iter(refused.values())))
    wanted = possible(migrator, wanted, model.dimension)
    if not wanted:
        raise NothingToMigrateError(
            f"{migrator.path}: no collection has vectors of another model than {model.title}; name one (--collection) "
            "to migrate it all the same"
        )
    going = wanted if chosen else changeable(migrator, wanted, distance)
    if isinstance(migrator.database, Store):  # before a model is asked, and paid; it may tell which are its own
        others = [facts.address for facts in going if chosen or facts.dimension != model.dimension]
        require_one_vector(migrator.database, others)
    return Wanted(going, bool(chosen))


def migrated_to(migrator: Migrator, model: str, collections: Sequence[CollectionFacts]) -> set[Address]:
    """Those among some collections whose vectors a migration brought to a model of a name: nearly its own, or its own.

    Only reads, and asks no model.
    """
    from lightmigrate.migration.history import model_after
    from lightmigrate.registry.library import same_name

    if not collections:
        return set()
    history = migrator.history()
    refined = {}
    with contextlib.suppress(LightmigrateError):  # nothing keeps that
        refined = {status.address: status.model for status in migrator.status()}
    found: set[Address] = set()
    for facts in collections:
        entries = [entry for entry in history if entry.address == facts.address]
        now: Mapping[str, object] = model_after(entries)
        name = now.get("name") if now.get("dimension") == facts.dimension else None
        if not entries:  # a version without a history may have migrated it by a plan
            name = refined.get(facts.address)
        if isinstance(name, str) and same_name(name, model):
            found.add(facts.address)
    return found
