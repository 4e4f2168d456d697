"""The two ways to migrate a database: a copy built aside for one that is files, a shadow collection for an open one."""

from __future__ import annotations

from typing import TypeAlias

from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.shadow.migration import ShadowMigration
from lightmigrate.progress import OnProgress
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import Database

Engine: TypeAlias = AsideMigration | ShadowMigration


def engine_for(database: Database, page_size: int, on_progress: OnProgress) -> Engine:
    """The way to migrate a database. Only reads."""
    if isinstance(database, FileDatabase):
        return AsideMigration(database, page_size, on_progress)
    return ShadowMigration(database, page_size, on_progress)
