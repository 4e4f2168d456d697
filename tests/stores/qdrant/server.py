"""Qdrant's HTTP interface as it is documented, answered by qdrant-client's local mode; no server is to be had here.

It shows that the requests of this package are those that the interface takes: they are read with the client's own
models of it, which forbid what is not documented. It says nothing about how a real server behaves.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel
from qdrant_client import QdrantClient, models

from lightmigrate.vectors import Vectors

KEY = "a key"


class QdrantServer:
    """On the loopback interface; its data ends with it.

    Args:
        version: that it states.
        yellow: how often it says of each collection that it still builds indexes.

    Attributes:
        largest: number of bytes of a request that is not refused; that of a real one, by default.
        requests: method, path without the name of a collection, and options of every request.
        rejections: how many requests it still answers with 429.
        keys: the API keys that were sent.
    """

    def __init__(self, version: str = "1.17.0", yellow: int = 0) -> None:
        self.version, self._yellow = version, yellow
        self.client = QdrantClient(":memory:")
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.rejections = 0
        self.largest = 32 * 2**20
        self.keys: set[str | None] = set()
        self._created: dict[str, models.CreateCollection] = {}
        self._indexes: dict[str, dict[str, models.PayloadFieldSchema]] = {}
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"qdrant://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()

    def create_filled(self, name: str, params: models.VectorParams, vectors: Vectors) -> None:
        """A collection of points that nobody had to send; their ids are the rows of `vectors` `(n, d)`."""
        self._create(name, models.CreateCollection(vectors=params))
        rows = enumerate(vectors.tolist())
        self.client.upsert(name, [models.PointStruct(id=row, vector=vector, payload={}) for row, vector in rows])

    def answer(self, method: str, path: str, options: dict[str, str], body: Any) -> Any:
        """The result of a request; `KeyError` for an unknown one."""
        match = re.fullmatch(r"/collections/(?!aliases)([^/]+)(/.*)?", path)
        name, rest = (unquote(match[1]), match[2] or "") if match else ("", path)
        self.requests.append((method, rest if match else path, options))
        calls: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/collections"): self.client.get_collections,
            ("GET", "/aliases"): self.client.get_aliases,
            ("POST", "/collections/aliases"): lambda: self.client.update_collection_aliases(
                models.ChangeAliasesOperation(**body).actions
            ),
        }
        of_collection: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", ""): lambda: self._info(name),
            ("PUT", ""): lambda: self._create(name, models.CreateCollection(**body)),
            ("DELETE", ""): lambda: self.client.delete_collection(name),
            ("PUT", "/index"): lambda: self._index(name, models.CreateFieldIndex(**body)),
            ("PUT", "/points"): lambda: self.client.upsert(name, models.PointsList(**body).points),
            ("POST", "/points"): lambda: self._retrieve(name, models.PointRequest(**body)),
            ("PUT", "/points/vectors"): lambda: self.client.update_vectors(name, models.UpdateVectors(**body).points),
            ("POST", "/points/delete"): lambda: self.client.delete(name, models.PointIdsList(**body)),
            ("POST", "/points/count"): lambda: self.client.count(name, models.CountRequest(**body).filter),
            ("POST", "/points/scroll"): lambda: self._scroll(name, models.ScrollRequest(**body)),
            ("POST", "/points/query/batch"): lambda: self.client.query_batch_points(
                name, models.QueryRequestBatch(**body).searches
            ),
        }
        with self._lock:
            return of_collection[method, rest]() if match else calls[method, path]()

    def _info(self, name: str) -> models.CollectionInfo:
        info = self.client.get_collection(name)
        aliases = {each.alias_name: each.collection_name for each in self.client.get_aliases().aliases}
        own = aliases.get(name, name)
        stated = self._created[own].model_dump(exclude_none=True, exclude={"vectors", "sparse_vectors"})
        optimizers = {"default_segment_number": 0, "flush_interval_sec": 5} | stated.pop("optimizers_config", {})
        config = info.config.model_dump() | {"optimizer_config": optimizers}
        for part in ("hnsw_config", "wal_config", "quantization_config", "strict_mode_config", "metadata"):
            if part in stated:
                config[part] = {**(config.get(part) or {}), **stated.pop(part)}
        config["params"] |= stated
        self._asked[own] = self._asked.get(own, 0) + 1
        indexes = {
            field: {"data_type": getattr(schema, "type", schema), "points": 0}
            | ({"params": schema} if isinstance(schema, BaseModel) else {})
            for field, schema in self._indexes.get(own, {}).items()
        }
        status = "yellow" if self._asked[own] <= self._yellow else "green"
        stated_now = {"config": config, "status": status, "payload_schema": indexes}
        return models.CollectionInfo(**(info.model_dump() | stated_now))

    def _create(self, name: str, request: models.CreateCollection) -> bool:
        self._created[name] = request
        return self.client.create_collection(
            name, vectors_config=request.vectors, sparse_vectors_config=request.sparse_vectors
        )

    def _index(self, name: str, request: models.CreateFieldIndex) -> models.UpdateResult:
        assert request.field_schema is not None
        self._indexes.setdefault(name, {})[request.field_name] = request.field_schema
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    def _retrieve(self, name: str, request: models.PointRequest) -> list[models.Record]:
        payload, vectors = request.with_payload, request.with_vector
        return self.client.retrieve(name, request.ids, with_payload=payload or False, with_vectors=vectors or False)

    def _scroll(self, name: str, request: models.ScrollRequest) -> models.ScrollResult:
        points, following = self.client.scroll(
            name,
            scroll_filter=request.filter,
            limit=request.limit or 10,
            offset=request.offset,
            with_payload=request.with_payload or False,
            with_vectors=request.with_vector or False,
        )
        return models.ScrollResult(points=points, next_page_offset=following)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

            def _respond(self) -> None:
                parts = urlsplit(self.path)
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if len(content) > server.largest:
                    return self._send(413, {"status": {"error": "Payload Too Large"}})
                options = {name: values[0] for name, values in parse_qs(parts.query).items()}
                server.keys.add(self.headers.get("api-key"))
                try:
                    if parts.path == "/":
                        result: Any = {"title": "qdrant", "version": server.version}
                    elif server.rejections:
                        server.rejections -= 1
                        return self._send(429, {"status": {"error": "too many requests"}}, {"Retry-After": "0"})
                    else:
                        body = json.loads(content) if content else None
                        found = server.answer(self.command, parts.path, options, body)
                        result = {"time": 0.0, "status": "ok", "result": _plain(found)}
                except ValueError as error:
                    status = 404 if "not found" in str(error) else 400
                    return self._send(status, {"status": {"error": str(error)}})
                return self._send(200, result)

            def _send(self, status: int, result: Any, headers: dict[str, str] | None = None) -> None:
                content = json.dumps(result).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _respond  # noqa: N815  # their names in the base class

        return Handler


def _plain(result: Any) -> Any:
    if isinstance(result, list):
        return [_plain(each) for each in result]
    return result.model_dump(mode="json", exclude_none=True) if isinstance(result, BaseModel) else result
