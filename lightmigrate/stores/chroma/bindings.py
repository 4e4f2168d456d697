"""A bound on the indexes that Chroma's engine in this process keeps in memory.

Chroma keeps the index of every collection whose vectors were touched, 2 to 6 MiB for a small one. When there are more
than a fifth of the files that the process may open (204 at the usual 1,024), it drops some, and fails when it needs one
of them again that it had not yet written to a file: "Nothing found on disk" (seen with 1.5.9). A folder with a thousand
small collections meets both. Starting the engine anew takes some milliseconds and drops all indexes safely.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from chromadb.api.rust import RustBindingsAPI

from lightmigrate.system import return_memory

# Collections whose vectors are touched before the engine is started anew; fewer where few files may be open.
MOST_INDEXES = 32

# The methods of the engine that load a collection's index; counting records does, too.
_LOADING = ("_get", "_count", "_query", "_add", "_update", "_upsert", "_delete")

_installed = threading.Lock()


class _IndexBound:
    """Counts the collections that are touched, and starts the engine anew when there are many and no call is under way.

    Args:
        engine: Chroma's engine of a folder.
    """

    def __init__(self, engine: RustBindingsAPI) -> None:
        self._engine = engine
        self._most = max(1, min(MOST_INDEXES, engine.hnsw_cache_size // 2))
        self._touched: set[UUID] = set()
        self._calls = 0
        self._lock = threading.Lock()

    def counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of the engine that counts the collection it is called with."""

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            with self._touching(next(one for one in (*arguments, *named.values()) if isinstance(one, UUID))):
                return method(*arguments, **named)

        return call

    @contextlib.contextmanager
    def _touching(self, collection_id: UUID) -> Iterator[None]:
        with self._lock:
            if collection_id not in self._touched and len(self._touched) >= self._most and not self._calls:
                self._engine.stop()
                return_memory()
                self._engine.start()
                self._touched.clear()
            self._touched.add(collection_id)
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1


def bound_indexes(client: Any) -> None:
    """Bound the indexes that a client of a folder keeps in memory. Clients of one folder share one engine."""
    engine = client._server  # Chroma has no other way
    with _installed:
        if isinstance(engine, RustBindingsAPI) and "_get" not in vars(engine):
            bound = _IndexBound(engine)
            for name in _LOADING:
                setattr(engine, name, bound.counted(getattr(engine, name)))
