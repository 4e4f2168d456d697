"""Chroma's engine or connection of an application of this process: shared, its calls observed, never held open.

Chroma keeps one engine for each path in a process; clients share it and count their references. So a client made from
that engine sees what the application writes, and the other way round. It must not count as a reference: the application
decides when the engine stops.

Calls are observed by wrapping methods of the application's engine, the object and not its class. A wrapped search takes
some microseconds more, of 2 to 7 ms. An engine of this process (Chroma 1.5.9) keeps Python's lock for the length of a
write, so every thread of the process waits as long as it takes; searching and reading let other threads run.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from chromadb.api import ServerAPI
from chromadb.api.shared_system_client import SharedSystemClient

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import unreferenced_client
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.stores.chroma.store import ChromaStore
from lightmigrate.stores.serving import Found

# Calls that the application waits for, those that answer a search, and the one that stops an engine.
_CALLS = ("_query", "_search", "_get", "_count", "_add", "_update", "_upsert", "_delete")
_SEARCHES = ("_query",)
_STOP = "stop"

# Answers kept until `found` is called.
_MOST_ANSWERS = 1000

# Whether this thread, or the one that it works for, is within `own`.
_own_calls: ContextVar[bool] = ContextVar("_own_calls", default=False)

# Stopping waits so long for a call that is under way.
_SECONDS_TO_STOP = 5.0


class ServedChroma:
    """See `stores.serving.Served`.

    Args:
        engine: the application's `ServerAPI`: an engine of this process, or a connection to a server.
        store: the database through it.
        is_closed: whether the application closed it.
    """

    def __init__(self, engine: Any, store: LiveChromaStore | SharedFolderStore, is_closed: Callable[[], bool]) -> None:
        self._engine, self._store, self._is_closed = engine, store, is_closed
        self._own_call = threading.RLock()
        self._lock = threading.Lock()
        self._calls = 0
        self._last = -math.inf
        self._answers: deque[tuple[object, Sequence[Sequence[str]]]] = deque(maxlen=_MOST_ANSWERS)
        self._replaced: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {}
        for name in (*_CALLS, _STOP):
            if callable(method := getattr(engine, name, None)):
                wrapped = self._stopping(method) if name == _STOP else self._observed(method, name in _SEARCHES)
                self._replaced[name] = wrapped, vars(engine).get(name)
                setattr(engine, name, wrapped)

    @property
    def store(self) -> LiveChromaStore | SharedFolderStore:
        """The database, through the application's engine."""
        return self._store

    @property
    def closed(self) -> bool:
        """Whether the application has closed it."""
        return self._is_closed()

    @property
    def blocks_searches(self) -> bool:
        """True: also in a server, one search in ten or so waited as long as a write took (measured)."""
        return True

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """See `stores.serving.Served`."""
        with self._own_call:
            if self.closed:
                raise DatabaseError(f"the application has closed {self._store}")
            before = _own_calls.set(True)
            try:
                yield
            finally:
                _own_calls.reset(before)

    def calls_under_way(self) -> int:
        """Number of the application's calls that have not returned."""
        return self._calls

    def seconds_since_call(self) -> float:
        """Seconds since the application's last call began."""
        return time.monotonic() - self._last

    def found(self) -> list[Found]:
        """What the application's searches returned since the last call of this."""
        found = []
        with contextlib.suppress(IndexError):
            while True:
                collection, answers = self._answers.popleft()
                found += [Found(str(collection), ids) for ids in answers]
        return found

    def release(self) -> None:
        """Take the wrappers off, where nobody wrapped them since; those pass every call on unchanged."""
        for name, (wrapped, before) in self._replaced.items():
            if vars(self._engine).get(name) is wrapped:
                if before is None:
                    delattr(self._engine, name)
                else:
                    setattr(self._engine, name, before)
        self._replaced.clear()

    def _observed(self, method: Callable[..., Any], answers: bool) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            if not self._replaced or _own_calls.get():
                return method(*arguments, **named)
            with self._lock:
                self._calls += 1
            self._last = time.monotonic()
            try:
                result = method(*arguments, **named)
            finally:
                with self._lock:
                    self._calls -= 1
            if answers:
                self._answers.append((named.get("collection_id") or arguments[0], result["ids"]))
            return result

        return call

    def _stopping(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def stop(*arguments: Any, **named: Any) -> Any:
            # bounded: a thread that stops the engine for another reason may hold what our call waits for
            waited = bool(self._replaced) and self._own_call.acquire(timeout=_SECONDS_TO_STOP)
            try:
                return method(*arguments, **named)
            finally:
                if waited:
                    self._own_call.release()

        return stop


class SharedFolderStore(ChromaStore):
    """A folder through the engine of the application. See `stores.base.Store`. Never closes it.

    Args:
        folder: the folder.
        engine: Chroma's engine of it, as the application opened it.
    """

    def __init__(self, folder: Path, engine: Any) -> None:
        self._folder, self._engine = folder, engine
        self._clients: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> SharedFolderStore:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: the engine is the application's."""

    def close(self) -> None:
        """Do nothing: the engine is the application's."""

    @property
    def folder(self) -> Path | None:
        """The folder."""
        return self._folder

    def __str__(self) -> str:
        return str(self._folder)

    def _databases(self) -> list[Address]:
        return [Address("", *place) for place in self._clients] or [Address("")]

    def _client(self, address: Address) -> Any:
        key = address.tenant, address.database
        if key not in self._clients:
            self._clients[key] = unreferenced_client(self._engine, *key)
        return self._clients[key]


def _systems() -> Mapping[str, Any]:
    """Chroma's engines of this process, by path."""
    return dict(SharedSystemClient._identifier_to_system)


def served(database: object) -> ServedChroma | None:
    """A Chroma database as the application of this process has it open; `None` where it has not. Opens nothing.

    Args:
        database: a `ChromaFiles`, which the application may open later; or the store of the application's client.
    """
    if isinstance(database, LiveChromaStore):
        return _served_client(database)
    return _served_folder(database.folder) if isinstance(database, ChromaFiles) else None


def _runs(engine: Any) -> bool:
    """Whether this is an engine of this process that runs."""
    return hasattr(engine, "bindings")


def _is_stopped(engine: Any) -> bool:
    return not _runs(engine)


def _served_folder(folder: Path) -> ServedChroma | None:
    for path, system in _systems().items():
        # of one that does not run yet another thread makes the parts, and two that ask at once get one each
        if system._running and system.settings.is_persistent and os.path.realpath(path) == os.path.realpath(folder):
            engine = system.instance(ServerAPI)
            if _runs(engine):  # it is not just being opened or closed
                return ServedChroma(engine, SharedFolderStore(folder, engine), functools.partial(_is_stopped, engine))
    return None


def _served_client(store: LiveChromaStore) -> ServedChroma:
    client = store.client
    engine = client._server
    in_process = _runs(engine)

    def is_closed() -> bool:
        return bool(getattr(client, "_closed", False)) or (in_process and _is_stopped(engine))

    return ServedChroma(engine, store, is_closed)
