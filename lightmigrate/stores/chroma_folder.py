"""A Chroma folder seen from outside: what is in it and who has it open. Never writes, needs no chromadb."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightmigrate.errors import DatabaseError, DatabaseInUseError
from lightmigrate.stores.base import CollectionFacts

DATABASE_FILE = "chroma.sqlite3"

# Chroma's engine closes its files in threads of its own, a little after close() has returned.
RELEASE_SECONDS = 3.0

# What Chroma takes when nothing is configured.
_DEFAULT_SPACE = "l2"


def is_chroma_folder(folder: Path) -> bool:
    """Whether the folder holds a Chroma database."""
    return (folder / DATABASE_FILE).is_file()


def require_chroma_folder(folder: Path) -> None:
    """Raise `DatabaseError` when there is no Chroma database in `folder`."""
    if not folder.is_dir():
        raise DatabaseError(f"no such folder: {folder}; give the folder that holds {DATABASE_FILE}")
    if not is_chroma_folder(folder):
        below = next((path.parent for path in sorted(folder.glob(f"*/{DATABASE_FILE}"))), None)
        hint = f"did you mean {below}?" if below else f"give the folder that holds {DATABASE_FILE}"
        raise DatabaseError(f"{folder} is not a Chroma folder: it has no {DATABASE_FILE}; {hint}")


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
            # Only the two fixed column names above are put together here.
            query = f"""
                SELECT collections.id, collections.name, dimension, {", ".join(optional)},
                       databases.name AS database, databases.tenant_id AS tenant
                FROM collections JOIN databases ON databases.id = collections.database_id
                ORDER BY tenant, database, collections.name
            """  # noqa: S608
            return [_facts(connection, row) for row in connection.execute(query)]
    except (sqlite3.Error, ValueError) as error:
        raise DatabaseError(
            f"cannot read {folder / DATABASE_FILE}: {error}; open it once with Chroma to repair it"
        ) from None


def users_of(folder: Path) -> list[int]:
    """Ids of the processes that have the folder's sqlite file open, this one included.

    Looks through `/proc`, so it sees Linux processes, and only those of the same user unless run as root.
    """
    try:
        wanted = _identity((folder / DATABASE_FILE).stat())
    except FileNotFoundError:
        return []
    found = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # processes and descriptors come and go, some are not ours to see
            if _identity(entry.stat()) == wanted:
                found.add(int(entry.parts[2]))
    return sorted(found)


def require_unused(folder: Path) -> None:
    """Raise `DatabaseInUseError` when some process has the database open.

    Chroma takes no lock of its own: two processes that write one folder corrupt it silently.
    """
    users = users_of(folder)
    deadline = time.monotonic() + RELEASE_SECONDS
    while os.getpid() in users and time.monotonic() < deadline:
        gc.collect()  # a client that nobody refers to any more may still wait for this
        time.sleep(0.02)
        users = users_of(folder)
    if os.getpid() in users:
        raise DatabaseInUseError(
            f"this process (pid {os.getpid()}) has {folder} open: call close() on its Chroma client first",
            processes=users,
        )
    if users:
        who = ", ".join(f"{pid} ({process_name(pid)})" for pid in users)
        raise DatabaseInUseError(
            f"{folder} is open in process {who}: stop it first, then run this again", processes=users
        )


def can_see_users() -> bool:
    """Whether `users_of` can tell anything on this system."""
    return sys.platform.startswith("linux")


def process_name(pid: int) -> str:
    """The command a process runs, or `?`."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def fingerprint(folder: Path, belongs: Callable[[Path], bool] = lambda entry: True) -> Mapping[str, tuple[int, int]]:
    """Size in bytes and modification time in nanoseconds of every file; equal as long as nobody writes.

    Args:
        folder: the database.
        belongs: which of its entries to look at, and below; all by default.
    """
    marks = {}
    for entry in sorted(filter(belongs, folder.iterdir())):
        for path in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            if path.is_file():
                status = path.stat()
                marks[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return marks


def _facts(connection: sqlite3.Connection, row: sqlite3.Row) -> CollectionFacts:
    metadata = dict(
        connection.execute(
            "SELECT key, coalesce(str_value, int_value, float_value) FROM collection_metadata WHERE collection_id = ?",
            (row["id"],),
        ).fetchall()
    )
    (count,) = connection.execute(
        "SELECT count(*) FROM embeddings WHERE segment_id IN "
        "(SELECT id FROM segments WHERE collection = ? AND scope = 'METADATA')",
        (row["id"],),
    ).fetchone()
    index = _index_configuration(row)
    space = metadata.get("hnsw:space") or index.get("space") or (index.get("hnsw") or {}).get("space")
    function = index.get("embedding_function")
    return CollectionFacts(
        name=row["name"],
        tenant=row["tenant"],
        database=row["database"],
        count=count,
        dimension=row["dimension"],
        space=space or _DEFAULT_SPACE,
        embedding_function=(
            {"name": function["name"], "config": function.get("config") or {}}
            if function and function.get("type") == "known"
            else None
        ),
        id=row["id"],
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
    """A read-only connection to a sqlite file. After a crash in mid-write, one to a recovered copy: recovery writes."""
    with contextlib.ExitStack() as stack:
        if has_unfinished_write(file) and not users_of(file.parent):
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for path in file.parent.glob(f"{file.name}*"):
                shutil.copy2(path, copy)
            file, mode = copy / file.name, "rw"
        else:
            mode = "ro"
        address = f"file:{quote(str(file.resolve()))}?mode={mode}"
        connection = stack.enter_context(contextlib.closing(sqlite3.connect(address, uri=True)))
        connection.row_factory = sqlite3.Row
        yield connection


def has_unfinished_write(file: Path) -> bool:
    """Whether a crash left sqlite's own journal beside the file: the next to open it undoes what was half written."""
    return file.with_name(f"{file.name}-journal").exists()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
