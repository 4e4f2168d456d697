"""The only module that calls Milvus: every call is one of MilvusClient's, the same for a server and for Milvus Lite.

Reads ask for strong consistency, so that what was written is read. pymilvus sends no such wish with a request for rows
in the order of their ids, so `catch_up` comes before the first of these. A server never replaces a row by `insert`, so
rows are written by `upsert`; Milvus Lite merges the fields of a row by `upsert`, and replaces it whole by `insert`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException
from pymilvus.milvus_client.index import IndexParams

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import Metric
from lightmigrate.stores.milvus.place import TOKEN_VARIABLE
from lightmigrate.stores.milvus.quiet import quiet
from lightmigrate.stores.milvus.schema import DEFAULT_PARTITION, LONGEST_TEXT, STATED, Description, PlainFields
from lightmigrate.vectors import Vectors

# What Milvus answers where there is no such collection, alias or database.
_NOT_FOUND = (100, 800, 1600)
_NOT_LOADED = (101, 106, 700, 701)

_STRONG = "Strong"

# How the version of Milvus Lite begins.
_LITE = "milvus_lite"

# How often a server is asked whether it has built its indexes.
_SECONDS_BETWEEN = 1.0

Result = TypeVar("Result")


class MilvusCalls:
    """One client. Several threads may use it.

    Args:
        client: pymilvus's own, open.
    """

    def __init__(self, client: MilvusClient) -> None:
        self.client = client
        self.version = str(self._call(client.get_server_version))
        self.lite = self.version.startswith(_LITE)

    def collections(self) -> list[str]:
        """The names of all collections, without aliases."""
        return sorted(self._call(self.client.list_collections))

    def aliases(self) -> dict[str, str]:
        """The collection that each alias leads to, which may not exist any more in Milvus Lite."""
        found = {}
        for alias in self._call(self.client.list_aliases)["aliases"]:
            with contextlib.suppress(_NotFoundError):  # another client dropped it
                found[alias] = str(self._call(partial(self.client.describe_alias, alias))["collection_name"])
        return dict(sorted(found.items()))

    def create_alias(self, alias: str, collection: str) -> None:
        """Make an alias lead to a collection. Writes."""
        self._call(lambda: self.client.create_alias(collection, alias))

    def alter_alias(self, alias: str, collection: str) -> None:
        """Make an existing alias lead to another collection. Writes."""
        self._call(lambda: self.client.alter_alias(collection, alias))

    def drop_alias(self, alias: str) -> None:
        """Drop an alias. Writes."""
        self._call(lambda: self.client.drop_alias(alias))

    def rename(self, name: str, to: str) -> None:
        """Rename a collection; what was loaded stays loaded. Writes."""
        loaded = self.is_loaded(name)
        self._call(lambda: self.client.rename_collection(name, to))
        if loaded and not self.is_loaded(to):  # as in Milvus Lite
            self.load(to)

    def describe(self, name: str) -> Description:
        """What the collection is created with that a name or an alias leads to.

        Raises:
            CollectionNotFoundError: there is none.
        """
        try:
            stated = self._call(lambda: self.client.describe_collection(name))
            names = self._call(lambda: self.client.list_indexes(name))
            indexes = [self._call(partial(self.client.describe_index, name, index)) for index in names]
            several = int(stated.get("num_partitions") or 1) > 1
            partitions = self._call(lambda: self.client.list_partitions(name)) if several else [DEFAULT_PARTITION]
        except _NotFoundError:
            raise CollectionNotFoundError(
                f"no collection {name} in Milvus; see  lightmigrate doctor DATABASE"
            ) from None
        return Description(stated, [index for index in indexes if index], list(partitions), self.lite)

    def create(
        self, name: str, vector: str, dimension: int, like: Description, distance: Metric | None, mark: str = ""
    ) -> None:
        """Create a collection with schema, partitions and indexes of another one, and load it. Writes.

        Args:
            name: an unused name.
            vector: the field whose vectors get another dimension.
            dimension: its dimension.
            like: the other one.
            distance: of the vector; `None` for the same.
            mark: an alias that leads there from the beginning; empty for none.
        """
        schema, options = like.schema(vector, dimension), like.options()
        self._call(lambda: self.client.create_collection(name, schema=schema, **options))
        if mark:
            self.create_alias(mark, name)
        for partition in like.divisions:
            if not self._call(partial(self.client.has_partition, name, partition)):
                self._call(partial(self.client.create_partition, name, partition))
        indexes = self.client.prepare_index_params()
        for parameters in like.index_parameters(vector, distance):
            indexes.add_index(**parameters)
        if len(indexes):
            self._index(name, indexes)

    def create_plain(self, name: str, fields: PlainFields, dimension: int, distance: Metric) -> None:
        """Create a collection with an index of Milvus's choice, and load it. Dynamic fields are allowed. Writes.

        Args:
            name: an unused name.
            fields: their names.
            dimension: of the vector.
            distance: of the vector.
        """
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field(fields.record, DataType.VARCHAR, max_length=LONGEST_TEXT, is_primary=True)
        schema.add_field(fields.text, DataType.VARCHAR, max_length=LONGEST_TEXT, nullable=True)
        schema.add_field(fields.vector, DataType.FLOAT_VECTOR, dim=dimension)
        schema.add_field(fields.others, DataType.JSON, nullable=True)
        self._call(lambda: self.client.create_collection(name, schema=schema))
        indexes = self.client.prepare_index_params()
        indexes.add_index(fields.vector, index_type="AUTOINDEX", metric_type=STATED[distance])
        self._index(name, indexes)

    def _index(self, name: str, indexes: IndexParams) -> None:
        """Build the indexes of a new collection, and load it. Writes."""
        # Milvus Lite has them at once, and cannot tell the time that pymilvus asks for when it waits
        self._call(lambda: self.client.create_index(name, indexes, sync=not self.lite))
        self.load(name)

    def is_loaded(self, name: str) -> bool:
        """Whether a collection can be read."""
        state = self._call(lambda: self.client.get_load_state(name))["state"]
        return bool(getattr(state, "name", "") == "Loaded")

    def load(self, name: str) -> None:
        """Load a collection, so that it can be read."""
        self._call(lambda: self.client.load_collection(name))

    def require_indexed(self, name: str) -> None:
        """Wait until the indexes of a collection hold all of its rows, so that searches are not slower afterwards.

        Raises:
            DatabaseError: an index could not be built.
        """
        self._call(lambda: self.client.flush(name))
        while True:
            states = {str(index.get("state")): index for index in self.describe(name).indexes}
            pending = sum(int(index.get("pending_index_rows") or 0) for index in states.values())
            if "Failed" in states:
                raise DatabaseError(
                    f"Milvus could not build an index of the new version {name}, and nothing was exchanged: see its "
                    "log, and run this again"
                )
            if states.keys() <= {"Finished"} and not pending:
                return
            time.sleep(_SECONDS_BETWEEN)

    def delete(self, name: str) -> None:
        """Drop a collection to which no alias leads. Writes."""
        self._call(lambda: self.client.drop_collection(name))

    def count(self, name: str) -> int:
        """The number of rows; where a server has not loaded the collection, with those that were deleted."""
        try:
            rows = self.query(name, "", ["count(*)"])
            return int(rows[0]["count(*)"])
        except NotLoadedError:
            return int(self._call(lambda: self.client.get_collection_stats(name))["row_count"])

    def catch_up(self, name: str) -> None:
        """Wait until the server reads everything that was written until now."""
        if not self.lite:
            self.query(name, "", ["count(*)"])

    def query(
        self, name: str, expression: str, fields: Sequence[str], *, partition: str = "", limit: int | None = None
    ) -> list[dict[str, Any]]:
        """The rows that an expression describes; with a limit those of the smallest ids, in the order of ids."""
        options: dict[str, Any] = {"consistency_level": _STRONG}
        if limit is not None:
            options = {"limit": limit, "iterator": "True", "reduce_stop_for_best": "True"}
        if partition:
            options["partition_names"] = [partition]
        rows = self._read(
            name, lambda: self.client.query(name, filter=expression, output_fields=list(fields), **options)
        )
        with _translated():
            return [dict(row) for row in rows]

    def put(self, name: str, rows: Sequence[Mapping[str, Any]], partition: str) -> None:
        """Write whole rows; those of the same ids are replaced. Writes."""
        write = self.client.insert if self.lite else self.client.upsert
        self._call(lambda: write(name, [dict(row) for row in rows], partition_name=partition))

    def update(self, name: str, rows: Sequence[Mapping[str, Any]], partition: str) -> None:
        """Replace some fields of existing rows. Writes."""
        data = [dict(row) for row in rows]
        self._call(lambda: self.client.upsert(name, data, partition_name=partition, partial_update=True))

    def remove(self, name: str, expression: str, partition: str = "") -> None:
        """Delete the rows that an expression describes. Writes."""
        self._call(lambda: self.client.delete(name, filter=expression, partition_name=partition or None))

    def nearest(
        self, name: str, vector: str, queries: Vectors, k: int, parameters: Mapping[str, Any], primary: str
    ) -> list[list[tuple[int | str, float]]]:
        """Ids and Milvus's distances of the k nearest rows to each query `(q, d)`, through the index."""
        answers = self._read(
            name,
            lambda: self.client.search(
                name,
                data=queries.tolist(),
                anns_field=vector,
                limit=k,
                search_params={"params": dict(parameters)},
                consistency_level=_STRONG,
            ),
        )
        return [[(hit.get(primary, hit.get("id")), float(hit["distance"])) for hit in answer] for answer in answers]

    def _read(self, name: str, call: Callable[[], Result]) -> Result:
        """Call; Milvus Lite, which forgets with its process what it had loaded, loads the collection first."""
        try:
            return self._call(call)
        except NotLoadedError:
            if not self.lite:
                raise
            self.load(name)
            return self._call(call)

    def _call(self, call: Callable[[], Result]) -> Result:
        with _translated(), quiet():
            return call()


class _NotFoundError(DatabaseError):
    """Milvus knows no such collection or alias."""


class NotLoadedError(DatabaseError):
    """A server has not loaded the collection."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Errors as `LightmigrateError`. What Milvus says may hold ids and values, so only its kind is passed on."""
    try:
        yield
    except MilvusException as error:
        code = int(getattr(error, "code", 0) or 0)
        if code in _NOT_FOUND:
            raise _NotFoundError("Milvus has no such collection or alias (any more)") from None
        if code in _NOT_LOADED:
            raise NotLoadedError(
                "the collection is not loaded: load it with client.load_collection(NAME), and run this again"
            ) from None
        raise DatabaseError(
            f"Milvus refuses this ({type(error).__name__}, code {code}): see its log for the reason"
        ) from None
    except grpc.RpcError as error:
        status = error.code().name if isinstance(error, grpc.Call) else type(error).__name__
        help_ = f"set {TOKEN_VARIABLE}" if status == "UNAUTHENTICATED" else "check its address, and run this again"
        raise DatabaseError(f"Milvus does not answer ({status}): {help_}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise DatabaseError(f"Milvus's answer cannot be read ({type(error).__name__})") from None
