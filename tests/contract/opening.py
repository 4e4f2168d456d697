"""The database of a maker, in another process; loads only what that store needs."""

from __future__ import annotations

import json
from pathlib import Path

from lightmigrate.stores.base import Store
from lightmigrate.stores.open import connect, open_database


def opened(locator: str) -> Store:
    """What `Maker.locator` stands for."""
    if locator.startswith("{"):
        return connect(**json.loads(locator))
    database = open_database(locator if "://" in locator else Path(locator))
    return database if isinstance(database, Store) else database.open()
