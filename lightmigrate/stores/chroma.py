"""Chroma through its public client: reading pages, writing pages, cloning settings."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import CollectionNotFoundError, DatabaseError, LightmigrateError, MissingExtraError
from lightmigrate.projection.vectors import Vectors, as_vectors
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address, Collection, CollectionFacts, Page
from lightmigrate.stores.chroma_schema import (
    NOT_KNOWN,
    VECTOR_INDEXES,
    vector_indexes,
    with_function,
    without_plain_keys,
)

try:
    import chromadb
    from chromadb.api.types import Schema
    from chromadb.config import Settings
    from chromadb.errors import NotFoundError
except ImportError:
    raise MissingExtraError("chromadb", "chroma") from None

# What collections configured through their metadata call the settings of the index, and what the schema does.
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

# Above so many rows, or ids, at once Chroma runs out of SQL variables.
_MOST_ROWS = 32_766
_IDS_AT_ONCE = 1000


class ChromaCollection:
    """One open Chroma collection. See `stores.base.Collection`."""

    def __init__(self, client: Any, collection: Any) -> None:
        self._client = client
        self._collection = collection
        # Chroma's add() builds the recorded embedding function from the schema at every call, which may load
        # or download a model. This handle forgets its copy of the schema; the database keeps its own.
        model = collection.get_model()
        self._schema = model.serialized_schema
        model["serialized_schema"] = None

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self._collection.name, self._collection.tenant, self._collection.database)

    @property
    def handle(self) -> Any:
        """Chroma's own object for it."""
        return self._collection

    def fresh_model(self) -> Any:
        """What Chroma's own objects for this collection keep of it."""
        return self._client.get_collection(self.address.name, embedding_function=None).get_model()

    def facts(self) -> CollectionFacts:
        """What the database says about it."""
        index = next(iter(vector_indexes(self.schema(), VECTOR_INDEXES[::-1])), {})
        function = index.get("embedding_function") or {}
        return CollectionFacts(
            name=self.address.name,
            tenant=self.address.tenant,
            database=self.address.database,
            count=self.count(),
            dimension=self._collection.get_model().dimension,
            space=index.get("space") or "l2",
            embedding_function=(
                {"name": function["name"], "config": function.get("config") or {}}
                if function.get("type") == "known"
                else None
            ),
            id=str(self._collection.id),
        )

    def count(self) -> int:
        """Number of records."""
        return int(self._collection.count())

    def pages(self, size: int, start: int = 0, *, vectors: bool = True) -> Iterator[Page]:
        """All records from the `start`-th on, in order, at most `size` at a time; only reads. See `stores.base`."""
        size = min(size, _MOST_ROWS)
        columns = _COLUMNS if vectors else _COLUMNS[1:]
        for offset in itertools.count(start, size):
            rows = self._collection.get(limit=size, offset=offset, include=columns)
            if not vectors:
                rows["embeddings"] = np.zeros((len(rows["ids"]), 0), np.float32)
            if rows["ids"]:
                yield self._page(rows)
            if len(rows["ids"]) < size:
                return

    def ids(self) -> list[str]:
        """All ids in the order they were added; only reads."""
        return [one for rows in self._listed() for one in rows]

    def _listed(self) -> Iterator[list[str]]:
        for offset in itertools.count(0, _IDS_AT_ONCE):
            yield (rows := self._collection.get(limit=_IDS_AT_ONCE, offset=offset, include=[])["ids"])
            if len(rows) < _IDS_AT_ONCE:
                return

    def records(self, ids: Sequence[str]) -> Page:
        """Those of these records that there are, in the order they are asked for; only reads."""
        pages = [
            self._page(self._collection.get(ids=list(ids[start : start + _IDS_AT_ONCE]), include=_COLUMNS))
            for start in range(0, len(ids), _IDS_AT_ONCE)
        ]
        place = {one: number for number, one in enumerate(ids)}
        found = Page.joined(pages)
        return found.rows(sorted(range(len(found)), key=lambda row: place[found.ids[row]]))

    def _page(self, rows: Any) -> Page:
        if rows["embeddings"] is None or len(rows["embeddings"]) != len(rows["ids"]):
            raise LightmigrateError(
                f"collection {self.address}: {len(rows['ids'])} records but "
                f"{0 if rows['embeddings'] is None else len(rows['embeddings'])} vectors in one page; "
                "repair the database with Chroma first"
            )
        return Page(
            ids=rows["ids"],
            vectors=as_vectors(rows["embeddings"]),
            documents=rows["documents"],
            # A record with a uri and no metadata reads back {}, which Chroma refuses to take again.
            metadatas=[metadata or None for metadata in rows["metadatas"]],
            uris=rows["uris"],
        )

    def add(self, page: Page) -> None:
        """Write new records after the existing ones, in order; durable on return."""
        self._write(self._collection.add, page)

    def put(self, page: Page) -> None:
        """Write records, in place of those of the same ids where there are any; durable on return.

        Chroma's own upsert keeps the document, the metadata keys and the uri that the new record has not got.
        """
        self.remove(page.ids)
        self.add(page)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Give existing records other vectors `(n, d)` and touch nothing else of them; durable on return."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            rows = slice(start, start + _IDS_AT_ONCE)
            self._collection.update(ids=list(ids[rows]), embeddings=vectors[rows])

    def remove(self, ids: Sequence[str]) -> None:
        """Delete those of these records that there are."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            self._collection.delete(ids=list(ids[start : start + _IDS_AT_ONCE]))

    def _write(self, write: Callable[..., Any], page: Page) -> None:
        largest = self._client.get_max_batch_size()
        for start in range(0, len(page), largest):
            rows = slice(start, start + largest)
            write(
                ids=list(page.ids[rows]),
                embeddings=page.vectors[rows],
                documents=list(page.documents[rows]),
                metadatas=list(page.metadatas[rows]),
                uris=list(page.uris[rows]),
            )

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""
        found = self._collection.query(query_embeddings=vectors, n_results=k, include=["distances"])
        return found["ids"], found["distances"]

    def settings(self) -> Mapping[str, Any]:
        """Schema without the embedding function and what Chroma adds by itself, and metadata."""
        schema = without_plain_keys(with_function(self.schema(), None))
        for index in vector_indexes(schema):  # by default the number of cores, of this machine or of another
            (index.get("hnsw") or {}).pop("num_threads", None)
        return {"schema": schema, "metadata": self._collection.metadata or {}}

    def schema(self) -> dict[str, Any]:
        """The collection's schema as JSON, with the index settings that are really in force.

        Folders written before Chroma 1.0 report the defaults; what their index was built with stands in
        the metadata's `hnsw:*` keys.
        """
        schema: dict[str, Any] = copy.deepcopy(self._schema)
        metadata = self._collection.metadata or {}
        for index in vector_indexes(schema):
            if "hnsw:space" in metadata:
                index["space"] = metadata["hnsw:space"]
            for key, name in _METADATA_SETTINGS.items():
                if key in metadata and index.get("hnsw") is not None:
                    index["hnsw"][name] = metadata[key]
        return schema

    def rename(self, name: str) -> None:
        """Give it another name within its database."""
        self._collection.modify(name=name)

    def delete(self) -> None:
        """Remove it and its records. Chroma leaves its index folder on disk."""
        self._client.delete_collection(self.address.name)

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Set the collection's metadata as it is, `hnsw:*` keys included."""
        # modify() refuses `hnsw:space` because it would not change the index; here it changes nothing and
        # only has to be kept, so this goes one level below that check.
        self._collection._client._modify(
            id=self._collection.id,
            new_metadata=dict(metadata),
            tenant=self._collection.tenant,
            database=self._collection.database,
        )


class ChromaStore:
    """A Chroma folder opened with Chroma's own embedded client. See `stores.base.Store`.

    Opening writes to the folder (Chroma brings old folders to its newest version), so the migration
    opens only copies. Nothing is downloaded: no embedding function is ever built.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> ChromaStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release every file."""
        while self._clients:
            self._clients.popitem()[1].close()

    def collection(self, address: Address) -> ChromaCollection:
        """Open a collection; `CollectionNotFoundError` when there is none."""
        client = self._client(address)
        try:
            return ChromaCollection(client, client.get_collection(address.name, embedding_function=None))
        except NotFoundError:
            raise CollectionNotFoundError(
                f"no collection {address} in {self._folder}; see  lightmigrate doctor"
            ) from None

    def create_like(
        self, source: Collection, name: str, embedding_function: Mapping[str, Any] | None
    ) -> ChromaCollection:
        """Create an empty collection beside `source` with all its settings. See `stores.base.Store`."""
        assert isinstance(source, ChromaCollection)  # noqa: S101  # a store copies its own kind only
        schema = source.schema()
        if embedding_function is not None:
            schema = with_function(schema, embedding_function)
        address = Address(name, source.address.tenant, source.address.database)
        return self.create(address, schema, source.settings()["metadata"])

    def create_or_open(self, address: Address, schema: Mapping[str, Any]) -> ChromaCollection:
        """Open a collection that is there, or else create an empty one with this schema."""
        try:
            return self.collection(address)
        except CollectionNotFoundError:
            return self.create(address, schema)

    def create(
        self, address: Address, schema: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> ChromaCollection:
        """Create an empty collection with just this schema, as `ChromaCollection.schema` gives it, and metadata."""
        # Chroma refuses a schema beside `hnsw:*` metadata, even where both say the same.
        configures = any(key.startswith("hnsw:") for key in metadata or {})
        client = self._client(address)
        created = client.create_collection(
            address.name,
            schema=_VerbatimSchema(schema),
            metadata=None if configures or not metadata else dict(metadata),
            embedding_function=None,
        )
        if configures:
            ChromaCollection(client, created).set_metadata(metadata or {})
        return self.collection(address)

    def _client(self, address: Address) -> Any:
        key = (address.tenant, address.database)
        if key not in self._clients:
            self._clients[key] = open_client(self._folder, address.tenant, address.database)
        return self._clients[key]


class _VerbatimSchema(Schema):
    """A schema that goes to Chroma exactly as another collection had it."""

    def __init__(self, serialised: Mapping[str, Any]) -> None:
        self._serialised = dict(serialised)

    def serialize_to_json(self) -> dict[str, Any]:
        return self._serialised


def open_client(folder: Path, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE) -> Any:
    """Chroma's own client on a folder, made when there is none; silent: no telemetry. Close it when done."""
    # Chroma caches engines by the path as it is written: two spellings would be two engines on one folder.
    return chromadb.PersistentClient(str(folder.resolve()), _silent(), tenant, database)


def connect(host: str, port: int, *, ssl: bool, headers: Mapping[str, str], tenant: str, database: str) -> Any:
    """A client of a Chroma server; silent.

    Raises:
        DatabaseError: nobody answers there, or not as a Chroma server does. The message holds no header.
    """
    try:
        client = chromadb.HttpClient(host, port, ssl, dict(headers), _silent(), tenant, database)
        client.heartbeat()
    except Exception as error:  # noqa: BLE001  # httpx, chromadb and ValueError
        raise DatabaseError(
            f"no Chroma server answers at {host}:{port} for {tenant}/{database} ({type(error).__name__}); "
            "check --host, --port, --ssl, --header, --tenant and --database"
        ) from None
    return client


def _silent() -> Settings:
    return Settings(anonymized_telemetry=False)


def describe_function(embedding_function: Any) -> dict[str, Any]:
    """What Chroma records of an embedding function: `{"name": ..., "config": ...}`. Calls no model.

    Of one that says neither, Chroma records only that it is not known, and so does this: better nothing than the
    function of a model whose vectors are gone.

    Args:
        embedding_function: a Chroma embedding function, or already such a mapping.

    Raises:
        LightmigrateError: it is neither a function nor such a mapping.
    """
    if isinstance(embedding_function, Mapping):
        record = dict(embedding_function)
    else:
        try:
            record = {"name": embedding_function.name(), "config": embedding_function.get_config()}
        except (AttributeError, NotImplementedError):
            record = {}
        if not _is_record(record) and callable(embedding_function):  # Chroma's base class answers NotImplemented
            record = dict(NOT_KNOWN)
    if record != NOT_KNOWN and not _is_record(record):
        raise LightmigrateError(
            f"a {type(embedding_function).__name__} is neither an embedding function nor what Chroma records of one, "
            '{"name": ..., "config": {...}}; leave it out to keep what is recorded'
        )
    return record


def _is_record(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("name"), str) and isinstance(record.get("config"), Mapping)
