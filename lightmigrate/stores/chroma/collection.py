"""One open Chroma collection: reading and writing records through Chroma's public client."""

from __future__ import annotations

import copy
import functools
import itertools
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Page
from lightmigrate.stores.checks import require_dimension
from lightmigrate.stores.chroma.claim import LOCK
from lightmigrate.stores.chroma.contents import payload_of
from lightmigrate.stores.chroma.schema import (
    SPACE_KEY,
    VECTOR_INDEXES,
    vector_indexes,
    with_function,
    without_plain_keys,
)
from lightmigrate.stores.defaults import CollectionDefaults
from lightmigrate.stores.distance import measured_space
from lightmigrate.stores.page import sample_ranges
from lightmigrate.stores.read_ahead import read_ahead_by
from lightmigrate.stores.record_tables import RecordTable, RecordTables
from lightmigrate.system import cores
from lightmigrate.threads import side_by_side
from lightmigrate.vectors import Metric, Vectors, as_vectors

# Index settings: the key in a collection's metadata, and the name in its schema.
_METADATA_SETTINGS = {
    "hnsw:construction_ef": "ef_construction",
    "hnsw:M": "max_neighbors",
    "hnsw:search_ef": "ef_search",
    "hnsw:num_threads": "num_threads",
    "hnsw:batch_size": "batch_size",
    "hnsw:sync_threshold": "sync_threshold",
    "hnsw:resize_factor": "resize_factor",
}

_COLUMNS = ["embeddings", "documents", "metadatas", "uris"]

# Limits per request: with more rows or ids Chroma exceeds its number of SQL variables.
_MOST_ROWS = 32_766
_IDS_AT_ONCE = 1000

# Fewer searches in a call are not worth a thread.
_SEARCHED_AT_ONCE = 16

# The first page of a scan is smaller than the others by this factor, so that processing starts earlier.
_FIRST = 8


class ChromaCollection(CollectionDefaults):
    """One open Chroma collection. See `stores.base.Collection`.

    Args:
        client: Chroma's client of its database.
        collection: Chroma's own object for it.
        removals: ids that were removed through its store; `None` where other clients may write to it.
    """

    def __init__(self, client: Any, collection: Any, removals: list[str] | None = None) -> None:
        self._client = client
        self._collection = collection
        self._removals = removals
        # Chroma's add() builds the recorded embedding function from the schema at every call, which may load
        # or download a model. So this handle drops its copy of the schema; the database keeps its own.
        model = collection.get_model()
        self._schema = model.serialized_schema
        model["serialized_schema"] = None
        self._id = str(collection.id)

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self._collection.name, self._collection.tenant, self._collection.database)

    @property
    def handle(self) -> Any:
        """Chroma's own object for it."""
        return self._collection

    @property
    def id(self) -> str:
        """Chroma's own id of the collection that was opened.

        It stays when the name changes, and when an exchange in this process points `handle` to another collection.
        """
        return self._id

    def fresh_model(self) -> Any:
        """Chroma's own description of this collection, read again from the database."""
        return self._client.get_collection(self.address.name, embedding_function=None).get_model()

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads."""
        index = next(iter(vector_indexes(self.schema(), VECTOR_INDEXES[::-1])), {}) or self._configuration()
        function = index.get("embedding_function") or {}
        space = index.get("space") or "l2"
        stated = (self._collection.metadata or {}).get(SPACE_KEY, space)
        return CollectionFacts(
            name=self.address.name,
            tenant=self.address.tenant,
            database=self.address.database,
            count=self.count(),
            dimension=self._collection.get_model().dimension,
            space=space,
            embedding_function=(
                {"name": function["name"], "config": function.get("config") or {}}
                if function.get("type") == "known"
                else None
            ),
            id=self.id,
            stated_space=None if stated == space else str(stated),
        )

    def _configuration(self) -> Mapping[str, Any]:
        """Distance and embedding function, as a server without schemas states them."""
        configuration = self._collection.get_model().configuration_json or {}
        index = configuration.get("hnsw") or configuration.get("hnsw_configuration") or {}
        space = (self._collection.metadata or {}).get(SPACE_KEY) or index.get("space")
        return {"space": space, "embedding_function": configuration.get("embedding_function")}

    def count(self) -> int:
        """Number of records."""
        return int(self._collection.count())

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records after `after`, in the order in which they were added. See `stores.base.Collection`.

        Chroma can only skip a number of rows, and deletions shift rows. So where others may write, or a scan resumes at
        a cursor, the scan lists the ids first. Records that moved to another row are read by id at the end.
        """
        size = min(size, _MOST_ROWS)
        if self._removals is None or after is not None:
            listed = RecordTables().table()  # so that a number of a record is its row
            for ids in self._id_pages():
                listed.put(dict.fromkeys(ids, b""))
            yield from self._scan_shared(listed, _row_after(after, listed), size, vectors)
        else:
            yield from self._scan_exclusive(self._removals, size, vectors)

    def _scan_exclusive(self, removals: Sequence[str], size: int, vectors: bool) -> Iterator[Page]:
        """Scan by row number, corrected for the records that this store removes meanwhile."""
        returned = array("q")  # hashes of the ids returned so far, without those removed since
        known = len(removals)
        written_again: set[str] = set()
        while len(page := self._read(len(returned), size, vectors)):
            returned.extend(map(hash, page.ids))
            new = [row for row, record in enumerate(page.ids) if record not in written_again]
            if new:
                yield page if len(new) == len(page) else replace(page.rows(new), cursor=page.cursor)
            if len(removals) > known:
                removed, known = list(dict.fromkeys(removals[known:])), len(removals)
                before, gone = np.array(returned, np.int64), np.array([hash(record) for record in removed], np.int64)
                written_again.update(record for record, was in zip(removed, np.isin(gone, before), strict=True) if was)
                returned = array("q", before[~np.isin(before, gone)].tolist())
            elif len(page) < size:
                return

    def _scan_shared(self, listed: RecordTable, start: int, size: int, vectors: bool) -> Iterator[Page]:
        left = listed.round(start)

        def expected(pages: Iterable[Page]) -> Iterator[Page]:
            for page in pages:
                new = left.newly_met(page.ids)
                rows = [row for row, record in enumerate(page.ids) if record in new]
                if rows:
                    yield page if len(rows) == len(page) else page.rows(rows)
            for moved in left.missed(size):
                yield self.records(moved, vectors=vectors)

        read = self._reader(vectors)
        # by row number: a server needs half the time that it needs by id; two requests at a time
        with read_ahead_by(read, _ranges(start, len(listed), size)) as pages:
            for page in expected(pages):
                if len(page):
                    last = page.ids[-1]
                    cursor = json.dumps([listed.numbers([last])[last] + 1, last])
                    yield Page(page.ids, page.vectors, page.texts, page.payloads, cursor)

    def _reader(self, vectors: bool) -> Callable[[range], Page]:
        return lambda rows: self._read(rows.start, len(rows), vectors)

    def _read(self, offset: int, size: int, vectors: bool) -> Page:
        columns = _COLUMNS if vectors else _COLUMNS[1:]
        rows = self._collection.get(limit=size, offset=offset, include=columns)
        last = rows["ids"][-1] if rows["ids"] else ""
        return self._page(rows, vectors, json.dumps([offset + len(rows["ids"]), last]))

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records, in ranges of rows from all over the collection; only reads. See `stores.base.Collection`."""
        starts, each = sample_ranges(self.count(), n, seed)
        return Page.joined([self._read(start, each, vectors=True) for start in starts])

    def ids(self) -> Iterator[str]:
        """All ids in the order in which they were added; only reads."""
        return itertools.chain.from_iterable(self._id_pages())

    def _id_pages(self) -> Iterator[list[str]]:
        for offset in itertools.count(0, _IDS_AT_ONCE):
            yield (rows := self._collection.get(limit=_IDS_AT_ONCE, offset=offset, include=[])["ids"])
            if len(rows) < _IDS_AT_ONCE:
                return

    def records(self, ids: Sequence[str], *, vectors: bool = True) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        columns = _COLUMNS if vectors else _COLUMNS[1:]
        pages = [
            self._page(self._collection.get(ids=list(ids[start : start + _IDS_AT_ONCE]), include=columns), vectors)
            for start in range(0, len(ids), _IDS_AT_ONCE)
        ]
        return Page.joined(pages).in_order_of(ids)

    def _page(self, rows: Any, vectors: bool, cursor: Cursor | None = None) -> Page:
        if not vectors:
            rows["embeddings"] = np.zeros((len(rows["ids"]), 0), np.float32)
        if rows["embeddings"] is None or len(rows["embeddings"]) != len(rows["ids"]):
            raise LightmigrateError(
                f"collection {self.address}: {len(rows['ids'])} records but "
                f"{0 if rows['embeddings'] is None else len(rows['embeddings'])} vectors in one page; "
                "repair the database with Chroma first"
            )
        return Page(
            ids=rows["ids"],
            vectors=as_vectors(rows["embeddings"]) if rows["ids"] else np.zeros((0, 0), np.float32),
            texts=rows["documents"],
            payloads=[payload_of(*both) for both in zip(rows["metadatas"], rows["uris"], strict=True)],
            cursor=cursor,
        )

    def add(self, page: Page) -> None:
        """Write new records after the existing ones, in order; durable on return."""
        self._write(self._collection.add, page)

    def _write(self, write: Callable[..., Any], page: Page) -> None:
        largest = self._client.get_max_batch_size()
        for start in range(0, len(page), largest):
            rows = slice(start, start + largest)
            payloads = [payload or {} for payload in page.payloads[rows]]
            write(
                ids=list(page.ids[rows]),
                embeddings=page.vectors[rows],
                documents=list(page.texts[rows]),
                metadatas=[payload.get("metadata") for payload in payloads],
                uris=[payload.get("uri") for payload in payloads],
            )

    def put(self, page: Page) -> None:
        """Write records; existing records of the same ids are replaced; durable on return.

        Chroma's own upsert keeps the document, the metadata keys and the uri that the new record lacks. Only records
        that lack some of what is stored are removed first: between the two they would be lost by a crash.
        """
        # before anything is removed: Chroma would refuse the vectors only afterwards
        require_dimension(page.vectors, self.fresh_model().dimension, self.address)
        stored = self.records(page.ids, vectors=False)
        place = {record: row for row, record in enumerate(stored.ids)}
        lacking = [
            row for row, record in enumerate(page.ids) if record in place and _lacks(page, row, stored, place[record])
        ]
        self.remove([page.ids[row] for row in lacking])
        self._write(self._collection.upsert, page)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; durable on return."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            rows = slice(start, start + _IDS_AT_ONCE)
            self._collection.update(ids=list(ids[rows]), embeddings=vectors[rows])

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the existing records among these ids."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            self._collection.delete(ids=list(ids[start : start + _IDS_AT_ONCE]))
            if self._removals is not None:
                self._removals.extend(ids[start : start + _IDS_AT_ONCE])

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index.

        Chroma searches for the vectors of one call one after the other, and for those of several calls at once.
        """
        threads = len(vectors) // _SEARCHED_AT_ONCE
        parts = np.array_split(vectors, min(cores(), threads)) if threads > 1 else [vectors]
        query = functools.partial(self._collection.query, n_results=k, include=["distances"])
        answers = side_by_side(lambda part: query(query_embeddings=part), parts, len(parts))
        return [ids for one in answers for ids in one["ids"]], [row for one in answers for row in one["distances"]]

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its schema, without the embedding function and Chroma's automatic entries, and its metadata."""
        schema = without_plain_keys(with_function(self.schema(distance), None))
        for index in vector_indexes(schema):  # the default depends on the machine
            (index.get("hnsw") or {}).pop("num_threads", None)
        return {"schema": schema, "metadata": self.metadata(distance)}

    def metadata(self, distance: Metric | None = None) -> dict[str, Any]:
        """Its metadata; with another distance, where they state one."""
        metadata = dict(self._collection.metadata or {})
        if distance is not None and SPACE_KEY in metadata:
            metadata[SPACE_KEY] = distance
        return metadata

    def schema(self, distance: Metric | None = None) -> dict[str, Any]:
        """The collection's schema as JSON, with the index settings that are in force.

        Folders written before Chroma 1.0 report the defaults; the `hnsw:*` keys of their metadata hold the settings
        that the index was built with, unless the metadata were changed afterwards. So where the two differ in the
        distance, it is measured. With `distance` it is the schema for an index of that one.
        """
        schema: dict[str, Any] = copy.deepcopy(self._schema or {})  # servers before 1.3 have none
        metadata = self._collection.metadata or {}
        for index in vector_indexes(schema):
            if distance is not None:
                index["space"] = distance
            elif index.get("space") != metadata.get(SPACE_KEY, index.get("space")):
                index["space"] = self._measured_space or metadata[SPACE_KEY]
            for key, name in _METADATA_SETTINGS.items():
                if key in metadata and index.get("hnsw") is not None:
                    index["hnsw"][name] = metadata[key]
        return schema

    @functools.cached_property
    def _measured_space(self) -> str | None:
        """The distance that the index computes, by its answers; `None` when it cannot be measured."""
        return measured_space(self)

    def rename(self, name: str) -> None:
        """Give it another name within its database."""
        self._collection.modify(name=name)

    def delete(self) -> None:
        """Delete it, and no other collection that has its name by now. Writes."""
        self.rename(f"{LOCK}-{self.id}")  # a name is deleted, not an id
        self._client.delete_collection(self.address.name)

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Set the collection's metadata as it is, `hnsw:*` keys included."""
        # modify() refuses `hnsw:space`, because that does not change an index. Here the value stays the same and only
        # has to be kept, so this calls the method below that check.
        self._collection._client._modify(
            id=self._collection.id,
            new_metadata=dict(metadata),
            tenant=self._collection.tenant,
            database=self._collection.database,
        )


def _row_after(cursor: Cursor | None, listed: RecordTable) -> int:
    """The row after the record that a cursor names; 0 when that record was deleted, so that no record is missed."""
    if cursor is None:
        return 0
    _, record = json.loads(cursor)
    return listed.numbers([record]).get(record, -1) + 1


def _lacks(page: Page, row: int, stored: Page, stored_row: int) -> bool:
    """Whether a new record lacks a text, a uri or a metadata key that the stored record has."""
    new, old = page.payloads[row] or {}, stored.payloads[stored_row] or {}
    text = page.texts[row] is None and stored.texts[stored_row] is not None
    keys = (old.get("metadata") or {}).keys() - (new.get("metadata") or {}).keys()
    return text or bool(keys) or bool(old.keys() - new.keys())


def _ranges(start: int, end: int, size: int) -> Iterator[range]:
    """The rows of each page; the first page is small, so that processing starts earlier."""
    first = min(end, start + -(-size // _FIRST))
    for page_start, page_end in itertools.pairwise([start, *range(first, end, size), end]):
        if page_start < page_end:
            yield range(page_start, page_end)
