"""The only module that calls Qdrant: every call is one of qdrant-client's, the same for a server and for local mode.

What a server needs and local mode ignores is stated here: writes return when they are applied (`wait`) and go through
the permanent leader of a shard, and reads ask most replicas, so that what was written is read. A server that limits the
rate of requests is asked again when it says so.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.qdrant.configuration import Configuration
from lightmigrate.stores.qdrant.ids import PointId
from lightmigrate.vectors import Vectors

# Bytes per request that writes: servers take 32 MiB of JSON.
BYTES_AT_ONCE = 8_000_000

_ORDERING = models.WriteOrdering.STRONG
_CONSISTENCY = models.ReadConsistencyType.MAJORITY

_LOCKS: weakref.WeakKeyDictionary[QdrantClient, threading.RLock] = weakref.WeakKeyDictionary()
_ONE_LOCK_EACH = threading.Lock()

Result = TypeVar("Result")


def is_local(client: QdrantClient) -> bool:
    """Whether a client keeps its data itself, in memory or in a folder."""
    options = client.init_options
    return options.get("location") == ":memory:" or options.get("path") is not None


def take_turns(client: QdrantClient) -> threading.RLock:
    """Have every call through a client of local mode take one lock, and return it.

    Local mode is not made for threads: a scroll beside an upsert fails, and two upserts can damage what it holds. A
    migration reads in threads of its own, so the application's calls have to wait for them, and they for these.
    """
    with _ONE_LOCK_EACH:
        if (lock := _LOCKS.get(client)) is None:
            lock = _LOCKS[client] = threading.RLock()
            engine: object = client._client
            for name, method in inspect.getmembers(engine, inspect.ismethod):
                if not name.startswith("_"):
                    setattr(engine, name, _holding(lock, method))
        return lock


def _holding(lock: threading.RLock, method: Callable[..., Result]) -> Callable[..., Result]:
    @functools.wraps(method)
    def call(*arguments: object, **named: object) -> Result:
        with lock:
            return method(*arguments, **named)

    return call


class QdrantCalls:
    """One client. Several threads may use it, also beside the application's own calls through it.

    Args:
        client: qdrant-client's own, open.
        reopen: opens another one on the same folder, where the client can be closed.
    """

    def __init__(self, client: QdrantClient, reopen: Callable[[], QdrantClient] | None = None) -> None:
        self.client = client
        self._reopen = reopen
        self.local = is_local(client)
        self._exclusive: contextlib.AbstractContextManager[object] = (
            take_turns(client) if self.local else contextlib.nullcontext()
        )

    def read_anew(self) -> None:
        """Have local mode read its folder again: every search scales the vectors that it holds in memory."""
        if self._reopen is not None:
            with self._exclusive:
                self.client.close()
                self.client = self._reopen()

    def version(self) -> str:
        """The version of the server, or of the client in local mode."""
        return self._call(self.client.info).version

    def collections(self) -> list[str]:
        """The names of all collections, without aliases."""
        return sorted(each.name for each in self._call(self.client.get_collections).collections)

    def aliases(self) -> dict[str, str]:
        """The collection that each alias leads to."""
        aliases = self._call(self.client.get_aliases).aliases
        return {each.alias_name: each.collection_name for each in aliases}

    def change_aliases(self, *, remove: Sequence[str] = (), add: Mapping[str, str]) -> None:
        """Remove some aliases and add others, in one request that is applied as a whole. Writes."""
        changes: list[models.AliasOperations] = [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)) for alias in remove
        ]
        changes += [
            models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=alias))
            for alias, collection in add.items()
        ]
        if not self._call(lambda: self.client.update_collection_aliases(changes)):
            raise DatabaseError("Qdrant did not change the aliases; nothing was changed, run this again")

    def create_alias(self, alias: str, collection: str) -> None:
        """Make an alias lead to a collection. Writes."""
        self.change_aliases(add={alias: collection})

    def drop_alias(self, alias: str) -> None:
        """Drop an alias. Writes."""
        self.change_aliases(remove=[alias], add={})

    def configuration(self, name: str) -> Configuration:
        """The configuration of the collection that a name or an alias leads to.

        Raises:
            CollectionNotFoundError: there is none.
        """
        try:
            info = self._call(lambda: self.client.get_collection(name))
        except _NotFoundError:
            raise CollectionNotFoundError(
                f"no collection {name} in Qdrant; see  lightmigrate doctor DATABASE"
            ) from None
        indexes = {field: index.params or index.data_type for field, index in info.payload_schema.items()}
        return Configuration(info, indexes or self._local_indexes(name))

    def _local_indexes(self, name: str) -> Mapping[str, models.PayloadFieldSchema]:
        """The text indexes of local mode, which it does not list among the payload indexes."""
        if not self.local:
            return {}
        engine: Any = getattr(self.client, "_client", None)
        collections: Mapping[str, Any] = getattr(engine, "collections", {})
        aliases: Mapping[str, str] = getattr(engine, "aliases", {})
        return dict(getattr(collections.get(aliases.get(name, name)), "text_indexes", {}))

    def create(self, name: str, creation: Mapping[str, Any], like: Configuration, mark: str = "") -> None:
        """Create a collection, with the payload indexes of another one. Writes.

        Args:
            name: an unused name.
            creation: see `Configuration.creation`.
            like: the other one.
            mark: an alias that leads there from the beginning; empty for none.
        """
        self._call(lambda: self.client.create_collection(name, **creation))
        if mark:
            self.create_alias(mark, name)
        if like.reading is not None:
            self._call(lambda: self.client.update_collection(name, collection_params=like.reading))
        for field, schema in like.indexes.items():
            self._written(
                lambda field=field, schema=schema: self.client.create_payload_index(  # type: ignore[misc]
                    name, field, schema, wait=True, ordering=_ORDERING
                )
            )

    def create_plain(self, name: str, vectors: models.VectorParams) -> None:
        """Create a collection of one unnamed vector, with the server's defaults. Writes."""
        self._call(lambda: self.client.create_collection(name, vectors_config=vectors))

    def delete(self, name: str) -> None:
        """Delete a collection; its aliases go with it. Writes."""
        self._call(lambda: self.client.delete_collection(name))

    def count(self, name: str, having: models.Filter | None = None) -> int:
        """The exact number of points."""
        return self._call(lambda: self.client.count(name, count_filter=having, exact=True)).count

    def scroll(
        self,
        name: str,
        limit: int,
        start: PointId | None,
        having: models.Filter | None,
        *,
        payloads: bool = True,
        vectors: bool | list[str] = True,
    ) -> list[models.Record]:
        """Points in the order of their ids, from `start` on."""
        records, _ = self._call(
            lambda: self.client.scroll(
                name,
                scroll_filter=having,
                limit=limit,
                offset=start,
                with_payload=payloads,
                with_vectors=vectors,
                consistency=_CONSISTENCY,
            )
        )
        return records

    def retrieve(
        self, name: str, ids: Sequence[PointId], *, payloads: bool = True, vectors: bool | list[str] = True
    ) -> list[models.Record]:
        """The existing points among these ids, in any order."""
        return self._call(
            lambda: self.client.retrieve(
                name, ids, with_payload=payloads, with_vectors=vectors, consistency=_CONSISTENCY
            )
        )

    def upsert(self, name: str, points: Sequence[models.PointStruct]) -> None:
        """Write points; existing ones are replaced. Writes."""
        self._written(lambda: self.client.upsert(name, list(points), wait=True, ordering=_ORDERING))

    def update_vectors(self, name: str, points: Sequence[models.PointVectors]) -> None:
        """Replace some vectors of existing points. Writes."""
        self._written(lambda: self.client.update_vectors(name, points, wait=True, ordering=_ORDERING))

    def remove(self, name: str, ids: Sequence[PointId]) -> None:
        """Delete points. Writes."""
        selector = models.PointIdsList(points=list(ids))
        self._written(lambda: self.client.delete(name, selector, wait=True, ordering=_ORDERING))

    def nearest(self, name: str, vector: str, queries: Vectors, k: int) -> list[list[tuple[PointId, float]]]:
        """Ids and scores of the k nearest points to each query `(q, d)`, through the index."""
        requests = [models.QueryRequest(query=query, using=vector or None, limit=k) for query in queries.tolist()]
        answers = self._call(lambda: self.client.query_batch_points(name, requests, consistency=_CONSISTENCY))
        return [[(point.id, point.score) for point in answer.points] for answer in answers]

    def _written(self, call: Callable[[], models.UpdateResult]) -> None:
        result = self._call(call)
        if result.status != models.UpdateStatus.COMPLETED:
            raise DatabaseError(f"Qdrant has not applied a write in time ({result.status}): run this again")

    def _call(self, call: Callable[[], Result]) -> Result:
        while True:
            with self._exclusive, _translated():
                try:
                    return call()
                except ResourceExhaustedResponse as busy:
                    seconds = busy.retry_after_s
            time.sleep(seconds)


class _NotFoundError(DatabaseError):
    """Qdrant knows no such collection."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Errors as `LightmigrateError`. What the server says may hold ids and payloads, so only its kind is passed on."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code == 404:
            raise _NotFoundError("Qdrant answers 404: what was asked for does not exist (any more)") from None
        way_out = {401: ": set QDRANT_API_KEY", 403: ": use an API key that may write (QDRANT_API_KEY)"}
        reason = f"{error.status_code} {error.reason_phrase}".strip()
        raise DatabaseError(f"Qdrant answers {reason}{way_out.get(error.status_code or 0, '')}") from None
    except ResponseHandlingException as error:
        cause = type(error.source).__name__ if isinstance(error.source, Exception) else type(error).__name__
        raise DatabaseError(f"Qdrant does not answer ({cause}): check its address, and run this again") from None
    except ResourceExhaustedResponse:
        raise
    except (ApiException, QdrantException, ValidationError) as error:
        raise DatabaseError(f"Qdrant's answer cannot be read ({type(error).__name__})") from None
    except KeyError:  # local mode, here and below
        raise _NotFoundError("Qdrant has no such point (any more)") from None
    except ValueError as error:
        if "not found" in str(error):
            raise _NotFoundError("Qdrant has no such collection") from None
        raise DatabaseError(f"Qdrant's local mode refuses this ({type(error).__name__})") from None
    except RuntimeError:
        raise DatabaseError("the client is closed: open it again") from None
