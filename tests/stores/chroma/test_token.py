"""A Chroma server behind a proxy that wants a token: what is said without it, with a wrong one, of another tenant."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.open import connect
from tests.databases import make_projection, records
from tests.migration.shadow.server import running_server

TOKEN = "a-secret"
HOP = {"host", "connection", "accept-encoding", "content-length"}


@contextmanager
def proxy(port: int) -> Iterator[int]:
    """The port of a proxy before a server on another port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)) or None
            status, content = 401, b'{"error":"Unauthorized"}'
            if self.headers["X-Chroma-Token"] == TOKEN:
                upstream = http.client.HTTPConnection("127.0.0.1", port)
                kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                upstream.request(self.command, self.path, body, kept)
                answer = upstream.getresponse()
                status, content = answer.status, answer.read()
                upstream.close()
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


def test_what_is_wrong_is_said_and_with_the_token_all_goes_through(tmp_path: Path) -> None:
    with running_server(tmp_path / "db") as server, proxy(server.port) as port:
        server.client().create_collection("memory", embedding_function=None).add(**records(30))
        with pytest.raises(
            DatabaseError, match=rf"127\.0\.0\.1:{port} wants a header \(status 401\).*--header X-Chroma"
        ):
            connect("127.0.0.1", port)
        with pytest.raises(DatabaseError, match=r"does not accept what X-Chroma-Token says \(status 401\)") as wrong:
            connect("127.0.0.1", port, headers={"X-Chroma-Token": "another-secret"})
        assert "another-secret" not in str(wrong.value)
        right = {"X-Chroma-Token": TOKEN}
        with pytest.raises(DatabaseError, match=r"has no database prod of a tenant acme: check --tenant"):
            connect("127.0.0.1", port, headers=right, tenant="acme", database="prod")
        projection = make_projection()
        Migrator(connect("127.0.0.1", port, headers=right)).migrate([CollectionJob("memory", projection)])
        (facts,) = Migrator(server.client()).collections()
        assert (facts.count, facts.dimension) == (30, projection.info.target.dimension)
