"""A server on this machine that answers as other Chroma servers do.

What 1.0.20, 0.6.3 and 0.4.24 answered was recorded. What distributed Chroma answers, which is not to be had on one
machine, is put together from the schemas that chromadb itself sends.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chromadb.api.types import Schema

ID = "cbe7fd15-f62c-42f2-ba4d-86655318fa78"
DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
DOCS: dict[str, Any] = {
    "id": ID,
    "name": "docs",
    "configuration_json": {
        "hnsw": {
            "space": "cosine",
            "ef_construction": 100,
            "ef_search": 100,
            "max_neighbors": 16,
            "resize_factor": 1.2,
            "sync_threshold": 1000,
        },
        "spann": None,
        "embedding_function": None,
    },
    "metadata": {"hnsw:space": "cosine"},
    "dimension": 4,
    "tenant": "default_tenant",
    "database": "default_database",
    "log_position": 0,
    "version": 0,
}
OLDER_DOCS: dict[str, Any] = {
    **DOCS,
    "configuration_json": {
        "hnsw_configuration": {
            "space": "cosine",
            "ef_construction": 100,
            "ef_search": 100,
            "num_threads": 2,
            "M": 16,
            "resize_factor": 1.2,
            "batch_size": 100,
            "sync_threshold": 1000,
            "_type": "HNSWConfigurationInternal",
        },
        "_type": "CollectionConfigurationInternal",
    },
}
ROWS = {
    "ids": ["a", "b"],
    "embeddings": [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
    "documents": ["x", "y"],
    "uris": [None, None],
    "metadatas": [{"i": 1}, {"i": 2}],
    "include": ["embeddings", "documents", "metadatas", "uris"],
}
ANSWERS: dict[str, dict[str, Any]] = {
    "1.0.20": {
        "/api/v2/heartbeat": {"nanosecond heartbeat": 1795755844185302644},
        "/api/v2/version": "1.0.0",
        "/api/v2/auth/identity": {"user_id": "", "tenant": "default_tenant", "databases": ["default_database"]},
        "/api/v2/pre-flight-checks": {"max_batch_size": 5461, "supports_base64_encoding": True},
        "/api/v2/tenants/default_tenant": {"name": "default_tenant", "resource_name": None},
        DATABASE: {
            "id": "00000000-0000-0000-0000-000000000000",
            "name": "default_database",
            "tenant": "default_tenant",
        },
        f"{DATABASE}/collections": [DOCS],
        f"{DATABASE}/collections/docs": DOCS,
        f"{DATABASE}/collections/{ID}/count": 2,
        f"{DATABASE}/collections/{ID}/get": ROWS,
    },
    "0.6.3": {
        "/api/v2/heartbeat": {"nanosecond heartbeat": 1795755844185302644},
        "/api/v2/version": "0.6.3",
        "/api/v2/auth/identity": {
            "user_id": "",
            "tenant": "default_tenant",
            "databases": ["default_database"],
            "attributes": None,
        },
        "/api/v2/pre-flight-checks": {"max_batch_size": 41666},
        "/api/v2/tenants/default_tenant": {"name": "default_tenant"},
        DATABASE: {
            "id": "00000000-0000-0000-0000-000000000000",
            "name": "default_database",
            "tenant": "default_tenant",
        },
        f"{DATABASE}/collections": [OLDER_DOCS],
        f"{DATABASE}/collections/docs": OLDER_DOCS,
        f"{DATABASE}/collections/{ID}/count": 2,
        f"{DATABASE}/collections/{ID}/get": ROWS,
    },
    "0.4.24": {"/api/v1/heartbeat": {"nanosecond heartbeat": 1}, "/api/v1/version": "0.4.24"},
}


def distributed(schema: Schema) -> dict[str, Any]:
    """The answers of distributed Chroma, with a collection of a schema."""
    docs = {**DOCS, "metadata": None, "schema": schema.serialize_to_json(), "version": 1}
    changed = {f"{DATABASE}/collections": [docs], f"{DATABASE}/collections/docs": docs, "/api/v2/version": "1.5.9"}
    return {**ANSWERS["1.0.20"], **changed}


@contextmanager
def old_server(version: str, answers: Mapping[str, Any] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Its port, and the requests that would have changed something."""
    writes: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer((answers or ANSWERS[version]).get(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            if not self.path.endswith("/get"):
                writes.append(self.path)
            self.do_GET()

        def do_PUT(self) -> None:
            writes.append(self.path)
            self.answer(None)

        do_DELETE = do_PUT  # noqa: N815

        def answer(self, body: Any) -> None:
            status = 200 if body is not None else 404
            if body is None and self.path.startswith(f"{DATABASE}/collections/"):
                body = {"error": "NotFoundError", "message": "Collection does not exist"}
                if version == "0.6.3":
                    status, body["error"] = 400, "InvalidCollection"
            elif body is None:
                body = {"detail": "Not Found"}
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, writes
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
