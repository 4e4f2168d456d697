"""A migration of the table `docs` that is killed before the n-th step that writes."""

from __future__ import annotations

import itertools

from lightmigrate import Migrator
from lightmigrate.stores.lance.new_column import NewColumn
from lightmigrate.stores.lance.staged import Staged
from lightmigrate.stores.lance.table import Table
from tests.contract.crashing import kill_before
from tests.databases import make_projection

PAGE = 20
STEPS = (
    (Staged, "put"), (Staged, "discard"), (NewColumn, "prepare"), (NewColumn, "operation"),
    (Table, "keep"), (Table, "release"), (Table, "commit"), (Table, "index"),
)  # fmt: skip


def migrate(folder: str, step: int) -> None:
    """Migrate, and have this process killed after `step` steps."""
    migrator, steps = Migrator(folder, page_size=PAGE), itertools.count()
    for owner, method in STEPS:
        kill_before(owner, method, steps, step)
    migrator.migrate_collection("docs", make_projection())
