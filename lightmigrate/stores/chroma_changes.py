"""Which records of a closed Chroma folder were written after a certain moment, read off its sqlite file.

Chroma numbers every write; a record keeps the number of the last one that touched it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma_folder import DATABASE_FILE, reading

_RECORDS = """
    SELECT databases.tenant_id, databases.name, collections.name, embeddings.embedding_id, embeddings.seq_id
    FROM embeddings
    JOIN segments ON segments.id = embeddings.segment_id AND segments.scope = 'METADATA'
    JOIN collections ON collections.id = segments.collection
    JOIN databases ON databases.id = collections.database_id
"""


def last_writes(folder: Path) -> dict[Address, int]:
    """For every collection that has records the number of the last write that touched one. Only reads."""
    found: dict[Address, int] = {}
    for address, _, number in _records(folder):
        found[address] = max(number, found.get(address, 0))
    return found


def writes_of(folder: Path) -> dict[Address, dict[str, int]]:
    """For every collection that has records the ids, each with the number of its last write. Only reads."""
    found: dict[Address, dict[str, int]] = {}
    for address, record, number in _records(folder):
        found.setdefault(address, {})[record] = number
    return found


def _records(folder: Path) -> Iterator[tuple[Address, str, int]]:
    with reading(folder / DATABASE_FILE) as connection:
        for tenant, database, name, record, number in connection.execute(_RECORDS):
            # folders of before 1.0 have it as eight bytes
            yield (
                Address(name, tenant, database),
                record,
                number if isinstance(number, int) else int.from_bytes(number, "big"),
            )
