"""Which collections a command is about, and what is recorded on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError, NothingToMigrateError
from lightmigrate.migration.migrator import ChromaMigrator, CollectionJob
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, CollectionFacts


def recorded_function(name: str | None, config: str) -> dict[str, Any] | None:
    """What Chroma is to record as embedding function; `None` when nothing was said."""
    if name is None:
        return None
    try:
        return {"name": name, "config": dict(json.loads(config))}
    except (ValueError, TypeError):
        raise LightmigrateError(f"--embedding-config is not a JSON object: {config}") from None


def jobs_for(
    migrator: ChromaMigrator,
    file: Path,
    names: Sequence[str] | None,
    function: dict[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
) -> list[CollectionJob]:
    """The collections named, or all that the projection takes; with texts by id, which are those of one collection."""
    projection = Projection.load(file)
    everything = migrator.collections()
    if names:
        addresses = [address_of(name, everything) for name in names]
    else:
        catalog = [facts for facts in everything if facts.count and facts.dimension]
        wanted = projection.info.source.dimension
        addresses = [facts.address for facts in catalog if facts.dimension == wanted]
        if not addresses and catalog:
            projection.check_input(int(catalog[0].dimension or 0))
        if not addresses:
            raise NothingToMigrateError(f"{migrator.path} holds no vectors: there is nothing to migrate")
    if texts and len(addresses) != 1:
        raise LightmigrateError(
            f"--texts are those of one collection, and {len(addresses)} would be migrated: name one with --collection"
        )
    return [CollectionJob(a.name, projection, function, a.tenant, a.database, texts or {}) for a in addresses]


def address_of(name: str, catalog: Sequence[CollectionFacts]) -> Address:
    """Of a collection that was named alone, or as TENANT/DATABASE/NAME."""
    match name.split("/"):
        case [collection]:
            usual = Address(collection)
            found = [facts.address for facts in catalog if facts.name == collection]
            return found[0] if len(found) == 1 else usual
        case [tenant, database, collection]:
            return Address(collection, tenant, database)
    raise CollectionNotFoundError(f"{name!r} is neither NAME nor TENANT/DATABASE/NAME")
