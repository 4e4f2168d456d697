"""A migration of the table `docs` that is killed before the n-th statement of it."""

from __future__ import annotations

import itertools

from lightmigrate import Migrator
from lightmigrate.stores.pgvector.session import Session
from tests.contract.crashing import kill_before
from tests.databases import make_projection

PAGE = 25


def migrate(locator: str, step: int) -> None:
    """Migrate, and have this process killed after `step` statements."""
    migrator, statements = Migrator(locator, page_size=PAGE), itertools.count()
    for method in ("execute", "copy"):
        kill_before(Session, method, statements, step)
    migrator.migrate_collection("docs", make_projection())
