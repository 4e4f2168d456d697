"""One collection in a closed Chroma folder of a known version, and the replacement of its index.

The tables belong to Chroma. This module writes to them only in a copy of the database, and only when their version is a
known one; the result is read back through Chroma.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.indexes import rename_segment
from lightmigrate.stores.chroma.log import topic_of
from lightmigrate.stores.chroma.schema import SPACE_KEY
from lightmigrate.vectors import Metric, Vectors

# SHA-256 of the list of Chroma's schema migrations, with their checksums: Chroma 1.5.
_KNOWN_TABLES = {"c82a4b3d2220ca8ca80bc65943a43381153fb67f0dfd46f394ae389b37afc601"}

# The file that lists the records of an index.
LABELS_FILE = "index_metadata.pickle"

_VECTORS = "urn:chroma:segment/vector/hnsw-local-persisted"
_RECORDS = "urn:chroma:segment/metadata/sqlite"

_COLLECTION = """
    SELECT collections.id, dimension, schema_str, vectors.id AS segment, vectors.type AS type,
           records.id AS records, records.type AS records_type, max_seq_id.seq_id AS indexed
    FROM collections
    JOIN databases ON databases.id = collections.database_id
    JOIN segments AS vectors ON vectors.collection = collections.id AND vectors.scope = 'VECTOR'
    JOIN segments AS records ON records.collection = collections.id AND records.scope = 'METADATA'
    LEFT JOIN max_seq_id ON max_seq_id.segment_id = vectors.id
    WHERE collections.name = ? AND databases.name = ? AND databases.tenant_id = ?
"""

# Writes with a vector in Chroma's log. The index may contain some of them already.
_LOGGED = """
    SELECT seq_id, id, vector FROM embeddings_queue
    WHERE topic = ? AND vector IS NOT NULL AND seq_id > ? ORDER BY seq_id LIMIT ?
"""

# Deletions in the log; the index's files may still contain these records.
_DELETED = "SELECT id FROM embeddings_queue WHERE topic = ? AND operation = 3"

# Number of logged vectors with another encoding or length.
_OTHER_FORMAT = """
    SELECT count(*) FROM embeddings_queue WHERE topic = ?
    AND vector IS NOT NULL AND (encoding <> 'FLOAT32' OR length(vector) <> ?)
"""


# Where the distance is stated beside the schema: in the metadata, and by old versions at the segment of the index.
_STATED_SPACE = (
    "UPDATE collection_metadata SET str_value = ? WHERE key = ? AND collection_id = ?",
    "UPDATE segment_metadata SET str_value = ? WHERE key = ? AND segment_id IN "
    "(SELECT id FROM segments WHERE collection = ?)",
)


@dataclass(frozen=True)
class Layout:
    """Where a collection stores everything that depends on its vectors.

    Attributes:
        folder: the database.
        collection: Chroma's id of the collection.
        topic: of its writes in Chroma's log.
        dimension: length of a vector.
        space: distance function in its schema.
        schema: the whole schema.
        segment: id of its index, and name of the index's folder.
        records: id of the segment that its records have in the tables.
        last_indexed: number of the last write that the index's files hold, `None` when there are none; later writes
            are in Chroma's log.
    """

    folder: Path
    collection: str
    topic: str
    dimension: int
    space: str
    schema: Mapping[str, Any]
    segment: str
    records: str
    last_indexed: int | None

    @property
    def indexed(self) -> bool:
        """Whether the index's files hold some of the records; the others are in Chroma's log."""
        return self.last_indexed is not None

    @property
    def index(self) -> Path:
        """The folder of the index's files; it need not exist."""
        return self.folder / self.segment

    @classmethod
    def of(cls, folder: Path, address: Address) -> Layout | None:
        """Read the layout of a collection in a closed database; `None` for an unknown layout. Only reads."""
        with reading(folder / DATABASE_FILE) as connection:
            if _tables(connection) not in _KNOWN_TABLES:
                return None
            rows = connection.execute(_COLLECTION, (address.name, address.database, address.tenant)).fetchall()
            if len(rows) != 1:
                return None
            (row,) = rows
            if (
                not row["schema_str"]
                or not row["dimension"]
                or (row["type"], row["records_type"]) != (_VECTORS, _RECORDS)
            ):
                return None
            topic = topic_of(connection, row["id"])
            (other_format,) = connection.execute(_OTHER_FORMAT, (topic, 4 * row["dimension"])).fetchone()
            schema = json.loads(row["schema_str"])
            index = schema.get("keys", {}).get("#embedding", {}).get("float_list", {}).get("vector_index", {})
            space = index.get("config", {}).get("space")
            if other_format or space is None:
                return None
            # Chroma creates the files of an empty index, too; it writes this file last, with the first records
            if (row["indexed"] is not None) != (folder / row["segment"] / LABELS_FILE).is_file():
                return None
            segments = row["segment"], row["records"], row["indexed"]
            return cls(folder, row["id"], topic, row["dimension"], space, schema, *segments)

    def deleted(self) -> set[str]:
        """The ids of records that Chroma will remove from the index when it reads its log; only reads."""
        with reading(self.folder / DATABASE_FILE) as connection:
            return {record for (record,) in connection.execute(_DELETED, (self.topic,))}

    def exchange(
        self,
        segment: str,
        dimension: int,
        schema: Mapping[str, Any],
        exchanged: Callable[[list[str]], Vectors],
        *,
        complete: bool,
        at_once: int,
        distance: Metric | None = None,
    ) -> None:
        """Replace the index of the collection, in one transaction. Writes.

        Args:
            segment: id of the new index. Its files, if any, are in the folder of that name and durable.
            dimension: length of a new vector.
            schema: the new schema of the collection.
            exchanged: returns the new vectors `(n, dimension)` of n ids, for the log.
            complete: whether the new index's files hold all records. Otherwise they hold the same records as the old
                index, and Chroma adds the others from its log when it opens the database.
            at_once: logged vectors held in memory at once.
            distance: of the new index, for metadata that state one; `None` leaves them.
        """
        with contextlib.closing(sqlite3.connect(self.folder / DATABASE_FILE)) as connection, connection:
            rename_segment(connection, self.segment, segment)
            connection.execute(
                "UPDATE collections SET dimension = ?, schema_str = ? WHERE id = ?",
                (dimension, json.dumps(schema, separators=(",", ":"), ensure_ascii=False), self.collection),
            )
            if distance is not None:
                for statement in _STATED_SPACE:
                    connection.execute(statement, (distance, SPACE_KEY, self.collection))
            for numbers, ids in _logged(connection, self.topic, at_once):
                vectors = np.ascontiguousarray(exchanged(ids), "<f4")
                connection.executemany(
                    "UPDATE embeddings_queue SET vector = ? WHERE seq_id = ?",
                    [(vector.tobytes(), number) for vector, number in zip(vectors, numbers, strict=True)],
                )
            if complete:
                connection.execute("DELETE FROM max_seq_id WHERE segment_id = ?", (segment,))
                connection.execute(
                    "INSERT INTO max_seq_id (segment_id, seq_id) SELECT ?, max_seq_id.seq_id FROM max_seq_id "
                    "JOIN segments ON segments.id = max_seq_id.segment_id "
                    "WHERE segments.collection = ? AND segments.scope = 'METADATA'",
                    (segment, self.collection),
                )


def _logged(connection: sqlite3.Connection, topic: str, at_once: int) -> Iterator[tuple[list[int], list[str]]]:
    last = -1
    while rows := connection.execute(_LOGGED, (topic, last, at_once)).fetchall():
        last = rows[-1][0]
        yield [row[0] for row in rows], [row[1] for row in rows]


def _tables(connection: sqlite3.Connection) -> str:
    """A checksum that identifies the version of Chroma's tables; only reads."""
    changes = connection.execute("SELECT dir, version, hash FROM migrations ORDER BY dir, version").fetchall()
    return hashlib.sha256(json.dumps([list(change) for change in changes]).encode()).hexdigest()
