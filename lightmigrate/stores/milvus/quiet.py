"""Keeps pymilvus and Milvus Lite from logging errors of lightmigrate's calls: their messages hold ids and values."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

# Loggers of the client, which log in the thread of a call, and of Milvus Lite, which works in threads of its own.
_CLIENT = ("pymilvus.decorators", "pymilvus.client.connection_manager", "milvus_lite.server_manager")
_ENGINE = ("milvus_lite.adapter.grpc.servicer",)

_CALLING = threading.local()
_CALLS = [0]
_LOCK = threading.Lock()


def _not_in_this_thread(record: logging.LogRecord) -> bool:
    return not getattr(_CALLING, "depth", 0)


def _not_now(record: logging.LogRecord) -> bool:
    return not _CALLS[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While the block runs, nothing is logged about the calls of this thread."""
    for names, condition in ((_CLIENT, _not_in_this_thread), (_ENGINE, _not_now)):
        for name in names:
            logging.getLogger(name).addFilter(condition)  # once, however often it is added
    _CALLING.depth = getattr(_CALLING, "depth", 0) + 1
    with _LOCK:
        _CALLS[0] += 1
    try:
        yield
    finally:
        _CALLING.depth -= 1
        with _LOCK:
            _CALLS[0] -= 1
