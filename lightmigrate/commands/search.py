"""`search`: the same search in a collection as it was and as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_collection
from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migrator import Migrator
    from lightmigrate.stores.base import Address, Collection
    from lightmigrate.vectors import Vectors

K = 10


@dataclass(frozen=True)
class Hit(Result):
    """One record that a search found.

    Attributes:
        id: of the record.
        text: of the record; `None` where it stores none.
        distance: as the database reports it; smaller is nearer.
        other_rank: its place in the other list, from 1; `None` where it is not there.
    """

    id: str
    text: str | None
    distance: float
    other_rank: int | None = None


@dataclass(frozen=True)
class Found(Result):
    """What a search found in one version of a collection.

    Attributes:
        backup: that holds the version; empty for the live one.
        dimension: of its vectors.
        model: that embedded the query; empty where a stored record was the query.
        hits: the nearest first.
        failure: why there are none; empty when there may be some.
    """

    backup: str
    dimension: int
    model: str
    hits: tuple[Hit, ...]
    failure: str = ""


@dataclass(frozen=True)
class SideBySide(Result):
    """A search in two versions of a collection.

    Attributes:
        before: in a backup; `None` where no backup holds the collection.
        now: in the live one.
        in_common: share of the hits that both lists have; `None` where there are not two lists.
        backups: names of the backups with a version, the newest first.
    """

    before: Found | None
    now: Found
    in_common: float | None
    backups: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        text: that the models embed; empty for a stored record.
        record: id of a stored record whose own vectors are the query; it is not among its own hits.
        source: the old model; `None` where it is not at hand.
        target: the new model; by default the one that the collection was migrated to, as it was recorded.
        cache: file that keeps embeddings.
    """

    text: str = ""
    record: str = ""
    source: ModelChoice | None = None
    target: ModelChoice | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.record):
            raise LightmigrateError("give a text to search for, or the id of a stored record, and not both")


def search(
    database: DatabaseChoice,
    query: Query,
    *,
    collection: str = "",
    backup: str | None = None,
    conversation: Conversation,
) -> SideBySide:
    """Search in a collection as it was and as it is, through the indexes. Calls the models; only reads.

    Args:
        database: the database.
        query: what is searched for.
        collection: its name; may be empty when there is only one.
        backup: to compare with; by default the newest one that holds the collection.
        conversation: with the caller.

    Raises:
        CollectionNotFoundError: there is no such collection.
        BackupError: the backup does not hold it.
        LightmigrateError: a version cannot be opened.
    """
    from lightmigrate.progress import LogProgress
    from lightmigrate.versions import backups_with, chosen_backup, open_version

    migrator = database.open(conversation, notices=False)
    address = only_collection(migrator, collection)
    kept = backups_with(migrator.database, migrator.backups(), address)
    chosen = chosen_backup(kept, backup)
    on_progress = conversation.on_progress or LogProgress()
    found: list[Found] = []
    for version in (None, *([chosen] if chosen is not None else [])):
        model = _target(migrator, address, query) if version is None else query.source
        with open_version(migrator.database, address, version, on_progress) as opened:
            found.append(_found(opened, query, model, "" if version is None else version.name))
    now, before = found[0], found[1] if len(found) > 1 else None
    names = tuple(each.name for each in kept)
    if before is None or before.failure or now.failure:
        return SideBySide(before, now, None, names)
    before, now = _ranked(before, now), _ranked(now, before)
    both = sum(hit.other_rank is not None for hit in now.hits)
    return SideBySide(before, now, both / max(1, len(now.hits), len(before.hits)), names)


def _target(migrator: Migrator, address: Address, query: Query) -> ModelChoice | None:
    """The model of the live vectors: the one that was recorded, or else the one that the caller names."""
    recorded = migrator.refinement_inputs().get(address)
    if recorded is not None and {"provider", "model"} <= recorded.provider.keys():
        return ModelChoice.from_json(dict(recorded.provider))
    return query.target


def _found(collection: Collection, query: Query, model: ModelChoice | None, backup: str) -> Found:
    dimension = collection.facts().dimension or 0
    empty = Found(backup, dimension, "" if model is None or query.record else model.model, ())
    try:
        vectors = _vectors(collection, query, model, dimension)
        ids, distances = collection.nearest(vectors, K + bool(query.record))
    except LightmigrateError as error:
        return replace(empty, failure=str(error))
    kept = [(i, d) for i, d in zip(ids[0], distances[0], strict=True) if i != query.record][:K]
    page = collection.records([record for record, _ in kept])
    texts = dict(zip(page.ids, page.texts, strict=True))
    return replace(empty, hits=tuple(Hit(record, texts.get(record), float(distance)) for record, distance in kept))


def _vectors(collection: Collection, query: Query, model: ModelChoice | None, dimension: int) -> Vectors:
    """The query in the space of a version, float32 `(1, d)`."""
    if query.record:
        page = collection.records([query.record])
        if not len(page):
            raise LightmigrateError("this version has no record of that id")
        return page.vectors
    if model is None:
        raise LightmigrateError(
            "the model of these vectors is not at hand: name it with --source-model or --target-model, or search for a "
            "stored record"
        )
    vectors = model.open(query.cache).embed_queries([query.text])
    if vectors.shape[1] != dimension:
        raise LightmigrateError(
            f"{model.model} gives {vectors.shape[1]} dimensions, these vectors have {dimension}: it is not their model"
        )
    return vectors


def _ranked(found: Found, other: Found) -> Found:
    """The same, each hit with its place in the other list."""
    ranks = {hit.id: rank for rank, hit in enumerate(other.hits, 1)}
    return replace(found, hits=tuple(replace(hit, other_rank=ranks.get(hit.id)) for hit in found.hits))
