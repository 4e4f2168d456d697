"""At a start after a refinement: an index that finds less than it found is built anew. The vectors stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.duration import Work, seconds_to_write
from lightmigrate.migrator import Migrator
from lightmigrate.progress import logger
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.refined_index import finds_less, note_measured, recall_of, unmeasured
from lightmigrate.stores.base import Address, CollectionFacts, Store
from lightmigrate.stores.open import argument_of


def rebuild_refined_indexes(migrator: Migrator, addresses: Sequence[Address], seconds: float) -> None:
    """Measure the indexes of collections that were refined since, and build anew those that find less. Writes.

    Reads one small file where nothing was refined. No backup is made: the new index holds the same vectors, compared
    one by one.

    Args:
        migrator: of a database of files.
        addresses: of the collections of the application's model.
        seconds: that it may take, as far as can be foreseen; larger indexes are left for a command.

    Raises:
        LightmigrateError: as `Migrator.migrate`; the database is unchanged.
    """
    if not Provenance.file_in(migrator.place).exists():
        return
    with Provenance.existing(migrator.place) as provenance:
        before = unmeasured(provenance, addresses)
    if not before:
        return
    chosen, left = _within(seconds, [facts for facts in migrator.collections() if facts.address in before])
    if left:
        logger.info(
            "the index of %s may find less than a new one, after its vectors were replaced; build a new one while "
            "nothing has it open:  lightmigrate migrate %s --index rebuild",
            left[0] if len(left) == 1 else f"{len(left)} collections", argument_of(migrator.database),
        )  # fmt: skip

    def decide(store: Store) -> list[CollectionJob]:
        jobs = []
        for address in chosen:
            recall = recall_of(store.collection(address))
            if finds_less(recall, before[address]):
                logger.info(
                    "%s: after refining, its index finds %.3f of the nearest, %.3f before; building a new index",
                    address, recall, before[address],
                )  # fmt: skip
                jobs.append(CollectionJob(address, rebuild_index=True))
        return jobs

    if chosen:
        migrator.migrate(decide, auto_backup=False)
    with Provenance.existing(migrator.place) as provenance:
        note_measured(provenance, [*chosen, *left])


def _within(seconds: float, collections: Sequence[CollectionFacts]) -> tuple[list[Address], list[Address]]:
    """As many of the smallest collections as can be built anew in the time, and the others."""
    chosen: list[Address] = []
    left: list[Address] = []
    for facts in sorted(collections, key=lambda facts: facts.count):
        seconds -= seconds_to_write(Work(0, [(facts.count, facts.dimension or 0, facts.dimension or 0)]))[1]
        (chosen if seconds >= 0 else left).append(facts.address)
    return chosen, left
