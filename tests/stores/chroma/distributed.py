"""Distributed Chroma, which is not to be had on one machine, by its interface: a real server behind a proxy.

Everything is stored, searched and answered by the server. The proxy makes forks, which are collections of their own
with the same content, and says of every vector index that it is a SPANN index.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from typing import Any

from tests.migration.shadow.server import Server
from tests.stores.chroma.proxy import Answer, Request, asked

# As Chroma's own server tells it of a collection whose schema has a SPANN index with no parameters.
SPANN = {
    "search_nprobe": 64, "write_nprobe": 32, "ef_construction": 200, "ef_search": 200, "max_neighbors": 64,
    "reassign_neighbor_count": 64, "split_threshold": 50, "merge_threshold": 25,
}  # fmt: skip
_READS = ("get", "query", "search", "count", "heartbeat")


@dataclass
class Distributed:
    """What a proxy answers.

    Attributes:
        server: the real one.
        index: `spann`, or `hnsw` as the server has it.
        writes: the requests that changed something, or would have.
    """

    server: Server
    index: str = "spann"
    writes: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        last = request.path.partition("?")[0].rpartition("/")[2]
        if request.method != "GET" and last not in _READS:
            self.writes.append(f"{request.method} {request.path}")
        status, content = self._forked(request) if last == "fork" else asked(self.server.port, request)
        return status, content if self.index == "hnsw" or status != 200 else _with_spann(content)

    def _forked(self, request: Request) -> Answer:
        collections, _, rest = request.path.partition("/collections/")
        client, name = self.server.client(), json.loads(request.body)["new_name"]
        (source,) = (each for each in client.list_collections() if str(each.id) == rest.partition("/")[0])
        fork = client.create_collection(name, schema=source.schema, metadata=source.metadata, embedding_function=None)
        rows = source.get(include=["embeddings", "documents", "metadatas"])
        metadatas = [metadata or None for metadata in rows["metadatas"]]
        fork.add(rows["ids"], rows["embeddings"], metadatas, rows["documents"])
        return asked(
            self.server.port, replace(request, method="GET", path=f"{collections}/collections/{name}", body=b"")
        )


def _with_spann(content: bytes) -> bytes:
    answer = json.loads(content or b"null")
    for collection in answer if isinstance(answer, list) else [answer]:
        if isinstance(collection, dict) and "configuration_json" in collection:
            configuration = collection["configuration_json"]
            configuration["spann"] = {**SPANN, "space": configuration["hnsw"]["space"]}
            configuration["hnsw"] = None
            collection["schema"] = named_spann(collection["schema"])
    return json.dumps(answer).encode()


def named_spann(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as it is, but for its vector indexes, which are SPANN indexes."""
    changed = copy.deepcopy(schema)
    for indexes in (changed["defaults"], changed["keys"]["#embedding"]):
        config: dict[str, Any] = indexes["float_list"]["vector_index"]["config"]
        del config["hnsw"]
        config["spann"] = SPANN
    return changed
