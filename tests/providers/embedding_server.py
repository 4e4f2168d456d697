"""A real HTTP server on this machine that speaks the embeddings API and serves a real model, or fails as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lightmigrate.projection.vectors import Vectors
from tests.encoders import shared_minilm

KEY, MODEL = "sk-test-key", "minilm"


class EmbeddingServer(ThreadingHTTPServer):
    """What it was asked for, and how it is to fail.

    Attributes:
        failures: what to answer to the next requests instead: a status, or the name of a way to go wrong.
        texts: every text it embedded, in order.
        requests: how many it got.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures: list[int | str] = []
        self.texts: list[str] = []
        self.requests = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def embed(self, texts: list[str]) -> Vectors:
        with self.lock:
            self.texts += texts
            return shared_minilm().embed(texts)


class Handler(BaseHTTPRequestHandler):
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        failure = self.server.failures.pop(0) if self.server.failures else None
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": "bad key"}})
        if body["model"] != MODEL or self.path != "/v1/embeddings":
            return self.answer(404, {"error": {"message": "no such model"}})
        if failure == "drop":
            self.connection.close()
            return None
        if isinstance(failure, int):
            return self.answer(failure, {"error": {"message": "as told"}})
        if failure == "garbage":
            return self.answer(200, {"hello": "world"})
        if failure == "html":
            return self.answer(200, "<html>a proxy's login page</html>")
        if any(len(text) > 20_000 for text in body["input"]):
            return self.answer(400, {"error": {"message": "too long"}})
        vectors = self.server.embed(body["input"])
        if body.get("dimensions"):
            vectors = vectors[:, : body["dimensions"]]
        if failure == "other dimension":
            vectors = vectors[:, :100]
        data: list[dict[str, Any]] = [
            {"object": "embedding", "index": index, "embedding": [float(x) for x in row]}
            for index, row in enumerate(vectors)
        ]
        if failure == "shuffled":
            data.reverse()
        if failure == "truncated":
            data.pop()
        if failure == "not finite":
            data[0]["embedding"][0] = float("nan")
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return self.answer(200, {"object": "list", "data": data, "model": MODEL, "usage": usage})

    def answer(self, status: int, body: Any) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def running_server() -> Iterator[EmbeddingServer]:
    server = EmbeddingServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
