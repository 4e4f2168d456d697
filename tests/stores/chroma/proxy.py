"""A proxy before a real Chroma server, which answers in its place or changes what it answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

_HOP = {"host", "connection", "accept-encoding", "content-length"}

# A status and a body.
Answer: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: of HTTP.
        path: with its parameters.
        headers: by name, in small letters.
        body: empty for none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def asked(port: int, request: Request) -> Answer:
    """What the server on a port answers to a request."""
    upstream = http.client.HTTPConnection("127.0.0.1", port)
    kept = {name: value for name, value in request.headers.items() if name not in _HOP}
    upstream.request(request.method, request.path, request.body or None, kept)
    answer = upstream.getresponse()
    content = answer.status, answer.read()
    upstream.close()
    return content


@contextmanager
def proxy(answer: Callable[[Request], Answer]) -> Iterator[int]:
    """The port of a proxy that answers as a function says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: of two the second one waits for the other side, 40 ms

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = answer(Request(self.command, self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
