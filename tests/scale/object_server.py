"""A real HTTP server on this machine that speaks S3, counts what it is asked for, and fails as it is told."""

from __future__ import annotations

import io
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY_ID, SECRET, TOKEN = "AKIATESTKEYOFNOBODY", "the-secret-that-nobody-may-write", "session-token-nobody-may-write"

SLOW_DOWN = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate."
    b"</Message></Error>"
)

# What an answer is made of: a status, and a body.
Answer = tuple[str, bytes]


@dataclass
class Requested:
    """One request.

    Attributes:
        method: of HTTP.
        path: with the bucket.
        query: its parameters.
        ranged: whether it asks for some bytes of an object.
        bytes: of the answer.
    """

    method: str
    path: str
    query: str
    ranged: bool
    bytes: int = 0


@dataclass
class ObjectServer:
    """The server.

    Attributes:
        address: of the server.
        requests: all that were made.
        before: called with each request before it is done; returns what is answered instead, if anything.
        after: called with each request when it was done.
        damages: objects whose bytes are changed on their way when they are put, each once, as patterns.
    """

    address: str = ""
    requests: list[Requested] = field(default_factory=list)
    before: Callable[[Requested], Answer | None] = lambda request: None
    after: Callable[[Requested], None] = lambda request: None
    damages: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def calm(self) -> None:
        """Fail no more, and forget what was asked for."""
        self.before, self.after = (lambda request: None), (lambda request: None)
        self.damages.clear()
        self.requests.clear()

    def environment(self) -> dict[str, str]:
        """What a process needs to reach it, as everybody tells it to boto."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_MAX_ATTEMPTS": "1",  # so that it is our attempts that are seen
        }

    def wrapped(self, application: Any) -> Any:
        """A WSGI application that this stands before."""

        def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            request = Requested(
                environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], "HTTP_RANGE" in environ
            )
            with self._lock:
                self.requests.append(request)
            if (instead := self.before(request)) is not None:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start(instead[0], [("Content-Type", "application/xml"), ("Content-Length", str(len(instead[1])))])
                return [instead[1]]
            if request.method == "PUT" and (found := [each for each in self.damages if re.search(each, request.path)]):
                self.damages.remove(found[0])
                body = bytearray(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
                body[len(body) // 2] ^= 1
                environ["wsgi.input"] = io.BytesIO(bytes(body))
            parts = list(application(environ, start))
            request.bytes = sum(map(len, parts))
            self.after(request)
            return parts

        return answer


@contextmanager
def running_object_server() -> Iterator[ObjectServer]:
    """The server, as long as the block lasts; this process and its children reach it meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ObjectServer()
    listening = make_server("127.0.0.1", 0, server.wrapped(DomainDispatcherApplication(create_backend_app)), True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{listening.server_port}"
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        for name, value in server.environment().items():
            patched.setenv(name, value)
        yield server
    listening.shutdown()
    thread.join()


def objects_in(place: str) -> dict[str, bytes]:
    """All objects of a bucket or below a prefix, as any client sees them, by their names below it."""
    system = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    names = [name for name in system.find(place) if name.startswith(f"{place}/")]
    return {name[len(place) + 1 :]: system.cat_file(name) for name in names}
