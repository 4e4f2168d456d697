"""Read a Chroma folder without opening it in Chroma. Never writes, needs no chromadb."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.chroma.foreign import DATABASE_FILE as DATABASE_FILE
from lightmigrate.stores.chroma.foreign import what_is_there, what_is_wrong, what_was_meant
from lightmigrate.stores.chroma.schema import SPACE_KEY
from lightmigrate.stores.foreign import foreign_database
from lightmigrate.stores.users import users_of
from lightmigrate.system import delete

_RECORDS = """
    SELECT segments.id FROM segments
    JOIN collections ON collections.id = segments.collection
    JOIN databases ON databases.id = collections.database_id
    WHERE segments.scope = 'METADATA' AND collections.name = ? AND databases.name = ? AND databases.tenant_id = ?
"""

_WRITES = "SELECT embedding_id, seq_id FROM embeddings WHERE segment_id = ? ORDER BY embedding_id"

# Folders from before 1.0 store eight bytes, the most significant first, which sort as the numbers do.
_LAST_WRITES = """
    SELECT databases.tenant_id, databases.name, collections.name,
           max(CASE WHEN typeof(seq_id) = 'integer' THEN seq_id END),
           max(CASE WHEN typeof(seq_id) = 'blob' THEN seq_id END)
    FROM embeddings
    JOIN segments ON segments.id = embeddings.segment_id AND segments.scope = 'METADATA'
    JOIN collections ON collections.id = segments.collection
    JOIN databases ON databases.id = collections.database_id
    GROUP BY collections.id
"""

_ID_BYTES = """
    SELECT databases.tenant_id, databases.name, collections.name, sum(length(CAST(embeddings.embedding_id AS BLOB)))
    FROM embeddings
    JOIN segments ON segments.id = embeddings.segment_id AND segments.scope = 'METADATA'
    JOIN collections ON collections.id = segments.collection
    JOIN databases ON databases.id = collections.database_id
    GROUP BY collections.id
"""

# Chroma's default.
_DEFAULT_SPACE = "l2"


def is_chroma_folder(folder: Path) -> bool:
    """Whether the folder holds a Chroma database."""
    return (folder / DATABASE_FILE).is_file()


def require_chroma_folder(folder: Path) -> None:
    """Raise `DatabaseError` when there is no Chroma database in `folder`."""
    if is_chroma_folder(folder):
        return
    there = what_is_there(folder) or foreign_database(folder) or what_was_meant(folder)
    if there is not None:
        raise DatabaseError(there)
    if not folder.is_dir():
        raise DatabaseError(f"no such folder: {folder}; give the folder that holds {DATABASE_FILE}")
    raise DatabaseError(
        f"{folder} is not a Chroma folder: it has no {DATABASE_FILE}; give the folder that holds {DATABASE_FILE}"
    )


def read_catalog(folder: Path) -> list[CollectionFacts]:
    """All collections of all tenants and databases, by name. Opens the sqlite file read-only.

    Raises:
        DatabaseError: not a Chroma folder, or its sqlite file cannot be read.
    """
    require_chroma_folder(folder)
    try:
        with reading(folder / DATABASE_FILE) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(collections)")}
            optional = [name if name in columns else f"NULL AS {name}" for name in ("config_json_str", "schema_str")]
            # only the two fixed column names above are inserted
            query = f"""
                SELECT collections.id, collections.name, dimension, {", ".join(optional)},
                       databases.name AS database, databases.tenant_id AS tenant
                FROM collections JOIN databases ON databases.id = collections.database_id
                ORDER BY tenant, database, collections.name
            """  # noqa: S608
            notes = _Notes.of(connection)
            return [notes.facts(row) for row in connection.execute(query)]
    except (sqlite3.Error, ValueError) as error:
        known = what_is_wrong(folder / DATABASE_FILE)
        raise DatabaseError(
            known or f"cannot read {folder / DATABASE_FILE}: {error}; open it once with Chroma to repair it"
        ) from None


def is_chroma_entry(entry: Path) -> bool:
    """Whether a file or folder beside the sqlite file is Chroma's own."""
    if entry.name.startswith(DATABASE_FILE):
        return True
    try:
        return str(uuid.UUID(entry.name)) == entry.name and entry.is_dir()
    except ValueError:
        return False


def writes_of(folder: Path, address: Address) -> Iterator[tuple[str, int]]:
    """The id of each record of a collection with the number of its last write, in the order of the ids. Only reads.

    Chroma numbers every write; a record keeps the number of the last one that touched it. Its tables have an index by
    id, whose order of texts is that of Python.
    """
    with reading(folder / DATABASE_FILE) as connection:
        for (segment,) in connection.execute(_RECORDS, (address.name, address.database, address.tenant)).fetchall():
            for record, number in connection.execute(_WRITES, (segment,)):
                yield record, _write_number(number)


def last_writes_of(folder: Path) -> dict[Address, int]:
    """The largest number of `writes_of` in every collection that has records. Only reads; keeps no ids."""
    with reading(folder / DATABASE_FILE) as connection:
        return {
            Address(name, tenant, database): max(_write_number(number) for number in numbers if number is not None)
            for tenant, database, name, *numbers in connection.execute(_LAST_WRITES)
        }


def id_bytes_of(folder: Path) -> dict[Address, int]:
    """The bytes of all ids, as UTF-8, of every collection that has records. Only reads."""
    with reading(folder / DATABASE_FILE) as connection:
        rows = connection.execute(_ID_BYTES)
        return {Address(name, tenant, database): size for tenant, database, name, size in rows}


def _write_number(stored: int | bytes) -> int:
    return stored if isinstance(stored, int) else int.from_bytes(stored, "big")


def existing(folder: Path, addresses: Collection[Address]) -> set[Address]:
    """The addresses among some at which there is a collection; only reads, and only these rows."""
    query = (
        "SELECT 1 FROM collections JOIN databases ON databases.id = collections.database_id "
        "WHERE collections.name = ? AND databases.name = ? AND databases.tenant_id = ?"
    )
    with reading(folder / DATABASE_FILE) as connection:
        return {a for a in addresses if connection.execute(query, (a.name, a.database, a.tenant)).fetchone()}


@dataclass(frozen=True)
class _Notes:
    """What other tables hold about the collections, by id; read at once for all.

    Attributes:
        counts: number of records.
        made_with: the distance that an index was made with, which old versions note at its segment, and which it keeps.
        stated: the distance in the metadata, which can be changed afterwards, and then say something else.
    """

    counts: Mapping[str, int]
    made_with: Mapping[str, str]
    stated: Mapping[str, str]

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> _Notes:
        counts = connection.execute(
            "SELECT collection, sum(records) FROM segments JOIN "
            "(SELECT segment_id, count(*) AS records FROM embeddings GROUP BY segment_id) ON segment_id = segments.id "
            "WHERE scope = 'METADATA' GROUP BY collection"
        )
        made_with = connection.execute(
            "SELECT collection, str_value FROM segment_metadata JOIN segments ON segments.id = segment_id "
            "WHERE scope = 'VECTOR' AND key = ?",
            (SPACE_KEY,),
        )
        stated = connection.execute(
            "SELECT collection_id, str_value FROM collection_metadata WHERE key = ?", (SPACE_KEY,)
        )
        return cls(*({row[0]: row[1] for row in rows} for rows in (counts, made_with, stated)))

    def facts(self, row: sqlite3.Row) -> CollectionFacts:
        index = _index_configuration(row)
        space = self.made_with.get(row["id"]) or index.get("space") or (index.get("hnsw") or {}).get("space")
        space = space or _DEFAULT_SPACE
        stated, function = self.stated.get(row["id"]), index.get("embedding_function")
        return CollectionFacts(
            name=row["name"],
            tenant=row["tenant"],
            database=row["database"],
            count=self.counts.get(row["id"], 0),
            dimension=row["dimension"],
            space=space,
            embedding_function=(
                {"name": function["name"], "config": function.get("config") or {}}
                if function and function.get("type") == "known"
                else None
            ),
            id=row["id"],
            stated_space=stated if stated and stated != space else None,
        )


def _index_configuration(row: sqlite3.Row) -> Mapping[str, Any]:
    if row["schema_str"]:
        keys = json.loads(row["schema_str"]).get("keys", {})
        return dict(((keys.get("#embedding") or {}).get("float_list") or {}).get("vector_index", {}).get("config", {}))
    if row["config_json_str"]:
        config = json.loads(row["config_json_str"])
        return {**config, **(config.get("vector_index") or {})}  # Chroma 1.0 keeps the index one level deeper
    return {}


@contextlib.contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a sqlite file. After a crash it reads a copy, because recovery writes."""
    with contextlib.ExitStack() as stack:
        if has_unfinished_write(file) and not users_of(file):
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for path in file.parent.glob(f"{file.name}*"):
                shutil.copy2(path, copy)
            file, how = copy / file.name, "mode=rw"
        elif file.with_name(f"{file.name}-shm").exists():
            how = "mode=ro&readonly_shm=1"  # the SQLite of Chroma in this process does not see that it is written to
        else:
            how = "mode=ro"
        address = f"file:{quote(str(file.resolve()))}?{how}"
        connection = stack.enter_context(contextlib.closing(sqlite3.connect(address, uri=True)))
        connection.row_factory = sqlite3.Row
        yield connection


def has_unfinished_write(file: Path) -> bool:
    """Whether a crash left sqlite's journal: the next process that opens the file rolls the unfinished write back.

    An empty journal, or one whose header is zeros, is that of a write that ended: some modes leave it where it is.
    """
    try:
        with file.with_name(f"{file.name}-journal").open("rb") as journal:
            return journal.read(1) not in (b"", b"\0")
    except FileNotFoundError:
        return False


def has_log(file: Path) -> bool:
    """Whether a part of a sqlite file in WAL mode is in the log beside it. Only reads."""
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0


def finish_writes(file: Path) -> None:
    """Have sqlite roll back what a crash left unfinished, and write its log into the file; nobody has it open. Writes.

    What is left beside the file after that is empty, and deleted.
    """
    if has_unfinished_write(file) or has_log(file):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if not has_unfinished_write(file) and not has_log(file):
        for ending in ("-journal", "-wal", "-shm"):
            delete(file.with_name(f"{file.name}{ending}"))
