"""A real HTTP server on this machine that speaks the embeddings API and serves a real model, or fails as told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lightmigrate.providers.same_model import PROBE
from lightmigrate.vectors import Vectors
from tests.encoders import shared_minilm

KEY, MODEL = "sk-test-key", "minilm"

# What servers say for a text that their model cannot embed.
ODD: dict[str, Any] = {
    "NaN": [float("nan")] * 384,
    "null": [None] * 384,
    "nothing": None,
    "empty": [],
    "zeros": [0.0] * 384,
}


class EmbeddingServer(ThreadingHTTPServer):
    """What it was asked for, and how it is to fail.

    Attributes:
        failures: what to answer to the next requests instead: a status, or the name of a way to go wrong.
        texts: every text it embedded, in order.
        requests: how many it got.
        refused: how many of them it refused for their texts.
        strange: how its answers differ from what the API says; empty for not at all.
        refuses: the status and the message with which it refuses some texts; `None` when it takes them.
        model: what embeds.
        others: what embeds for other names of models.
        most: texts after which it embeds no more, and leaves every request without an answer; `None` for no end.
        waiting: how many requests it left without an answer.
        closing: set when it ends, so that an answer it never gave does not hold anybody up.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures: list[int | str] = []
        self.strange = ""
        self.texts: list[str] = []
        self.requests = self.refused = 0
        self.refuses: Callable[[list[str]], tuple[int, str] | None] = empty_or_too_long
        self.model: Callable[[list[str]], Vectors] = lambda texts: shared_minilm().embed(texts)
        self.others: dict[str, Callable[[list[str]], Vectors]] = {}
        self.most: int | None = None
        self.waiting = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @property
    def paid(self) -> list[str]:
        """The texts but for the fixed one, which goes along with every request: which model is it?"""
        return [text for text in self.texts if text != PROBE]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def embed(self, texts: list[str], name: str = MODEL) -> Vectors | None:
        with self.lock:
            if self.most is not None and len(self.texts) >= self.most:
                self.waiting += 1
                return None
            self.texts += texts
            return self.others.get(name, self.model)(texts)


def empty_or_too_long(texts: list[str]) -> tuple[int, str] | None:
    return None if all(0 < len(text) <= 20_000 for text in texts) else (400, "empty or too long")


class Handler(BaseHTTPRequestHandler):
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        failure = self.server.failures.pop(0) if self.server.failures else None
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": "bad key"}})
        if body["model"] not in (MODEL, *self.server.others) or self.path != "/v1/embeddings":
            return self.answer(404, {"error": {"message": "no such model"}})
        if failure == "hang":
            self.server.closing.wait()
        if failure in ("drop", "hang"):
            self.connection.close()
            return None
        if isinstance(failure, int):
            return self.answer(failure, {"error": {"message": "as told: " + " ".join(body["input"])}})
        if failure == "garbage":
            return self.answer(200, {"hello": "world"})
        if failure == "html":
            return self.answer(200, "<html>a proxy's login page</html>")
        refusal = self.server.refuses(body["input"])
        if refusal is not None:
            self.server.refused += 1
            return self.answer(refusal[0], {"error": {"message": refusal[1]}})
        vectors = self.server.embed(body["input"], body["model"])
        if vectors is None:
            self.server.closing.wait()
            self.connection.close()
            return None
        if body.get("dimensions"):
            vectors = vectors[:, : body["dimensions"]]
        if failure == "other dimension":
            vectors = vectors[:, :100]
        data: list[dict[str, Any]] = [
            {"object": "embedding", "index": index, "embedding": encoded(row, body.get("encoding_format"))}
            for index, row in enumerate(vectors)
        ]
        if failure == "shuffled":
            data.reverse()
        if failure == "truncated":
            data.pop()
        if failure == "twice the first":
            data[1]["index"] = 0
        for row in data:
            if self.server.strange == "in base64":
                row["embedding"] = encoded(vectors[row["index"]], "base64")
            if self.server.strange == "without index":
                del row["index"]
            if self.server.strange == "always the first":
                row["index"] = 0
        for row, text in zip(data, body["input"], strict=False):
            if "odd" in text:
                row["embedding"] = ODD.get(self.server.strange, row["embedding"])
        if failure == "not finite":
            data[0]["embedding"][0] = float("nan")
        tokens = sum(len(text.split()) for text in body["input"])
        answer: dict[str, Any] = {"object": "list", "data": data, "model": MODEL}
        if failure != "uncounted":
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return self.answer(200, answer, cut=failure == "cut")

    def answer(self, status: int, body: Any, cut: bool = False) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429 or status >= 500:  # or a client waits for half a minute in all
            self.send_header("retry-after", "0.001")
        self.end_headers()
        self.wfile.write(content[:100] if cut else content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def encoded(row: Vectors, how: str | None) -> list[float] | str:
    """Numbers, or the base64 of float32 that the official client asks for when nobody says otherwise."""
    if how == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return [float(number) for number in row]


@contextmanager
def running_server() -> Iterator[EmbeddingServer]:
    server = EmbeddingServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
