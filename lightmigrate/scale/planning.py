"""What is checked before anything is built, for a folder of files and for a table of parts."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import RefusedError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.migration.plan import Plan, check_job, require_passed
from lightmigrate.migration.source_check import require_fitting
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address
from lightmigrate.stores.defaults import facts_at
from lightmigrate.texts.chosen import FORM_FACT
from lightmigrate.texts.forms import DOCUMENT, TextForm
from lightmigrate.texts.source import form_from_json
from lightmigrate.vectors import Vectors

# Vectors that are looked at before anything is built.
SAMPLE = 2_000

# How often units are converted that were written to since the last time, before it is given up.
PASSES = 10


def planned(
    path: Path,
    name: str,
    count: int,
    sample: Vectors,
    projection: Projection,
    options: MigrationOptions,
    *,
    needed: int,
    free: int,
) -> Plan:
    """The plan of a migration of one collection. Only reads.

    Args:
        path: where it is.
        name: of the collection.
        count: number of its rows.
        sample: some of its vectors `(n, d)`.
        projection: that they are migrated with.
        options: `force` of them.
        needed: bytes that it needs.
        free: bytes that are free.

    Raises:
        LightmigrateError: of the kind that says why it cannot be migrated.
    """
    if projection.reads_texts:
        require_column(form_from_json(projection.info.training.get(FORM_FACT) or {}))
    address = Address(name)
    plan = Plan(path, (check_job(facts_at(address, count, sample.shape[1], "cosine"), projection),), (), needed, free)
    if not options.force:
        require_passed(plan)
        require_fitting(address, sample, projection)
    return plan


def require_column(form: TextForm | None) -> None:
    """Raise `RefusedError` where texts are not what a column of texts holds, which is all that workers read of it."""
    if form not in (None, DOCUMENT):
        raise RefusedError(
            f"the texts that were embedded are {form}, and workers read one column of texts: name it in the address, "
            "as file:///FOLDER?text=COLUMN"
        )
