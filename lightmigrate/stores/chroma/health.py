"""Which collections of a Chroma folder have an index that cannot be read: found from outside, without opening Chroma.

Chroma ends the whole process when it loads some damaged index files. So the files are checked here: that they are
there and of the size that the header says, that every link leads to an element, and that the index and Chroma's log
together hold every record.
"""

from __future__ import annotations

import functools
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.folder import DATABASE_FILE, read_catalog, reading, require_chroma_folder
from lightmigrate.stores.chroma.hnsw import HnswHeader, entry_point, higher_links
from lightmigrate.stores.chroma.labels import Labels, read_labels
from lightmigrate.stores.chroma.layout import LABELS_FILE
from lightmigrate.stores.ids import hashed

_COLLECTIONS = """
    SELECT collections.id, collections.name, dimension, databases.name AS database, databases.tenant_id AS tenant,
           vectors.id AS segment, records.id AS records, max_seq_id.seq_id AS indexed,
           EXISTS (SELECT 1 FROM embeddings WHERE segment_id = records.id) AS filled
    FROM collections
    JOIN databases ON databases.id = collections.database_id
    JOIN segments AS vectors ON vectors.collection = collections.id AND vectors.scope = 'VECTOR'
    JOIN segments AS records ON records.collection = collections.id AND records.scope = 'METADATA'
    LEFT JOIN max_seq_id ON max_seq_id.segment_id = vectors.id
    WHERE dimension IS NOT NULL AND vectors.type = 'urn:chroma:segment/vector/hnsw-local-persisted'
"""

_RECORDS = "SELECT embedding_id FROM embeddings WHERE segment_id = ?"

# The log has no index by topic, so it is read once for all collections.
_LOGGED = "SELECT topic, id FROM embeddings_queue WHERE vector IS NOT NULL"

_FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", LABELS_FILE)
_MAY_BE_EMPTY = "link_lists.bin"  # a small index has no higher levels
_POINTER = b"version https://git-lfs"

# Of the pickle that Chroma 1.x writes.
_PROTOCOL = 3

# Elements checked at once.
_AT_ONCE = 2000


def damaged_indexes(folder: Path, *, thorough: bool, of: Address | None = None) -> dict[Address, str]:
    """The collections whose vectors cannot be read, with what is wrong. Only reads; works while others write.

    Args:
        folder: a Chroma folder.
        thorough: also look into the files, and for records that neither the index nor the log holds. Otherwise only
            their presence, their headers and their sizes are checked, which takes some milliseconds.
        of: look only at this collection.

    Raises:
        DatabaseError: not a Chroma folder, or its sqlite file cannot be read.
    """
    require_chroma_folder(folder)
    faults = {}
    try:
        with reading(folder / DATABASE_FILE) as connection:
            log = functools.cache(functools.partial(_log, connection))
            for row in connection.execute(_COLLECTIONS).fetchall():
                address = Address(row["name"], row["tenant"], row["database"])
                if row["filled"] and of in (None, address):
                    fault = _fault(connection, folder / row["segment"], row, log, thorough=thorough)
                    if fault is not None:
                        faults[address] = fault
    except sqlite3.Error as error:
        read_catalog(folder)  # raises the error that says what is wrong
        raise DatabaseError(f"cannot read {folder / DATABASE_FILE}: {error}; copy the database again") from None
    return faults


def _log(connection: sqlite3.Connection) -> Mapping[str, array[int]]:
    """The hashes of the ids of the records whose vector is in the log, by the id of their collection."""
    hashes: dict[str, array[int]] = defaultdict(lambda: array("q"))
    for topic, record in connection.execute(_LOGGED):
        hashes[topic.rpartition("/")[2]].append(hash(record))
    return hashes


def _fault(
    connection: sqlite3.Connection,
    index: Path,
    row: sqlite3.Row,
    log: Callable[[], Mapping[str, array[int]]],
    *,
    thorough: bool,
) -> str | None:
    # versions before 1.0 note what was indexed in the index's own file, and not in this table
    written = row["indexed"] is not None or (index / LABELS_FILE).exists()
    if written and (fault := _fault_of_files(index, row["dimension"])) is not None:
        return fault
    if written and not thorough:
        return None
    records = hashed(record for (record,) in connection.execute(_RECORDS, (row["records"],)))
    records = records[~np.isin(records, np.array(log().get(row["id"], ()), np.int64))]
    if not written:
        return f"{len(records):,} records are neither in its index nor in the log" if len(records) else None
    try:
        _require_links(index)
        labels = _labels((index / LABELS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        return f"its index is damaged: {error}"
    lost = int((~np.isin(records, labels.hashes)).sum()) if labels is not None else 0
    return f"its index is behind the log: {lost:,} records have no vector" if lost else None


def _labels(content: bytes) -> Labels | None:
    """The record of every element; `None` in the format of versions before 1.0, which is not read here.

    Raises:
        ValueError: it is in neither format.
    """
    if content[:1] != b"\x80" or content[-1:] != b".":
        raise ValueError(f"{LABELS_FILE} is not whole")
    return read_labels(content) if content[1] == _PROTOCOL else None


def _fault_of_files(index: Path, dimension: int) -> str | None:
    """What is wrong with the presence, the headers and the sizes of the files."""
    if not index.is_dir():
        return "its index folder is missing"
    for name in _FILES:
        file = index / name
        if not file.is_file():
            return f"its index lacks {name}"
        with file.open("rb") as stream:
            start = stream.read(len(_POINTER))
        if start == _POINTER:
            return f"{name} of its index is a Git LFS pointer (run  git lfs pull)"
        if not start and name != _MAY_BE_EMPTY:
            return f"{name} of its index is empty"
    try:
        header = HnswHeader.parse((index / "header.bin").read_bytes())
    except ValueError as error:
        return f"header.bin of its index is damaged ({error})"
    if header.dimension != dimension:
        return f"its index has {header.dimension} dimensions, the collection {dimension}"
    for name, needed in (("data_level0.bin", header.elements * header.size), ("length.bin", 4 * header.elements)):
        if (size := (index / name).stat().st_size) < needed:
            return f"{name} of its index is cut short ({size:,} of {needed:,} bytes)"
    return None


def _require_links(index: Path) -> None:
    """Raise `ValueError` when a link leads to no element, or the higher levels are cut short; Chroma would crash."""
    content = (index / "header.bin").read_bytes()
    header = HnswHeader.parse(content)
    entry = entry_point(content)
    if header.elements and entry >= header.elements:
        raise ValueError(f"its entry point is element {entry} of {header.elements}")
    with (index / "data_level0.bin").open("rb") as stream:
        for start in range(0, header.elements, _AT_ONCE):
            count = min(_AT_ONCE, header.elements - start)
            # not mapped: somebody may cut the file short meanwhile, which would end this process
            rows = np.fromfile(stream, np.uint8, count * header.size).reshape(count, header.size)
            links = np.ascontiguousarray(rows[:, : header.vector_at]).view("<u4")
            used = links[:, 0] & 0xFFFF  # the other two bytes mark deleted elements
            if used.size and int(used.max()) >= links.shape[1]:
                raise ValueError("an element has more links than there is room for")
            places = np.arange(links.shape[1] - 1)[None] < used[:, None]
            if (links[:, 1:][places] >= header.elements).any():
                raise ValueError("a link leads to no element")
    for _ in higher_links((index / _MAY_BE_EMPTY).read_bytes(), header.elements):
        pass  # it raises where they are cut short
