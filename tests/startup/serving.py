"""An application that changes its model, for tests: it serves while its rows become exact, and may be killed."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings

from lightmigrate import auto_migrate
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.vectors import Vectors
from tests.startup.starts import CORPUS, MINILM, NEW, WORDLLAMA, registry, vectors_of

# Records of the application; `make crash` takes more. About 200 are embedded by the first step, which measures an
# existing projection with them.
USUALLY_SERVED = 380
SERVED = int(os.environ.get("LIGHTMIGRATE_SERVED", str(USUALLY_SERVED)))
IDS = [f"m{row}" for row in range(SERVED)]

FIRST_STEP: dict[str, Any] = {"calibrate": 0, "min_quality": 0.1}

# Within so many seconds the application is to serve.
MAX_SECONDS = 60.0


def settings_of(home: Path) -> dict[str, str]:
    """The environment of the application: a registry with the projection, a cache and folders of its own."""
    return {
        "LIGHTMIGRATE_REGISTRY": str(registry(home / "registry", (MINILM, WORDLLAMA))),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_DATA_HOME": str(home / "data"),
    }


@functools.cache
def documents() -> list[str]:
    """The abstracts of the corpus; where there are too few, again with another beginning."""
    rows = len(CORPUS.documents)
    beginnings = ("" if row < rows else f"{row}: " for row in range(SERVED))
    return [beginning + CORPUS.documents[row % rows] for row, beginning in enumerate(beginnings)]


@functools.cache
def new_vectors() -> Vectors:
    """What the new model makes of them."""
    return np.asarray(NEW.embed(documents()), np.float32)


def fill(client: Any, hnsw: Mapping[str, Any] | None = None) -> None:
    """The collection as the old model embedded it."""
    rows = np.arange(SERVED)
    old = vectors_of(MINILM)[rows % len(CORPUS.documents)]
    collection = client.create_collection(
        "memory", embedding_function=None, configuration={} if hnsw is None else {"hnsw": dict(hnsw)}
    )
    for start in range(0, SERVED, 2000):
        part = slice(start, start + 2000)
        collection.add(
            ids=IDS[part],
            embeddings=old[part],
            documents=documents()[part],
            metadatas=[{"row": row} for row in rows[part].tolist()],
        )


def open_folder(folder: Path) -> Any:
    """Chroma's client of a folder, as an application opens it."""
    return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))


def serve(database: str, environment: dict[str, str], killed_at: int) -> None:
    """Change the model, search until every row is exact, and be killed right after so many rows were written for that.

    Args:
        database: a folder, or the port of a server.
        environment: see `settings_of`.
        killed_at: more rows than there are for never.
    """
    replace_vectors, written = ChromaCollection.replace_vectors, [0]

    def replace_or_die(collection: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        replace_vectors(collection, ids, vectors)
        written[0] += len(ids)
        if written[0] >= killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    ChromaCollection.replace_vectors = replace_or_die  # type: ignore[method-assign, assignment]
    os.environ.pop("LIGHTMIGRATE_REFINE", None)
    os.environ.update(environment)
    if database.isdecimal():
        client: Any = chromadb.HttpClient("127.0.0.1", int(database), settings=Settings(anonymized_telemetry=False))
        report = auto_migrate(client, NEW, max_seconds=MAX_SECONDS, **FIRST_STEP)
    else:
        report = auto_migrate(database, NEW, max_seconds=MAX_SECONDS, **FIRST_STEP)
        client = open_folder(Path(database))
    _require_up_in_time(report)
    search(client, report)
    client.close()


def _require_up_in_time(report: StartReport) -> None:
    """The start did what it is for within its limit: at the first one a projection, at a later one nothing."""
    (memory,) = report.collections
    assert (report.action, memory.origin) in (("migrated", "projection"), ("nothing", None)), report
    if SERVED > USUALLY_SERVED:  # by its own clock; how quick a test is depends on what else the machine does
        assert report.seconds <= MAX_SECONDS, report


def search(client: Any, report: StartReport) -> None:
    """Search until the refinement has ended."""
    refinement = report.refinement
    assert refinement is not None, report.error
    memory = client.get_collection("memory", embedding_function=None)
    row = 0
    while not refinement.wait(0.005):
        answer = memory.query(query_embeddings=new_vectors()[row : row + 1], n_results=5)
        assert len(answer["ids"][0]) == 5, (row, answer["ids"], memory.count(), refinement.status)
        row = (row + 1) % SERVED
    assert refinement.status.state == "exact", refinement.status


def require_reembedded(client: Any) -> None:
    """Every record is as if the new model had embedded it, and a search for its vector finds it.

    Of many, a new index misses some, too: one of 1,500, in one of four tries.
    """
    require_exact(client)
    memory = client.get_collection("memory", embedding_function=None)
    missed = []
    for start in range(0, SERVED, 500):  # a server takes only so many in a request
        own = memory.query(query_embeddings=new_vectors()[start : start + 500], n_results=1, include=["distances"])
        nearest = zip(own["ids"], own["distances"], strict=True)
        missed += [row for row, (ids, far) in enumerate(nearest, start) if ids[0] != IDS[row] and far[0] > 1e-5]
    assert len(missed) <= SERVED // 1000


def require_exact(client: Any) -> None:
    """Every record is as if the new model had embedded it; whether searches find it depends on the index."""
    memory = client.get_collection("memory", embedding_function=None)
    held = memory.get(include=["documents", "metadatas", "embeddings"])
    assert sorted(held["ids"]) == sorted(IDS)
    row_of = {record: row for row, record in enumerate(IDS)}
    rows = [row_of[record] for record in held["ids"]]
    assert held["documents"] == [documents()[row] for row in rows]
    assert held["metadatas"] == [{"row": row} for row in rows]
    np.testing.assert_allclose(held["embeddings"], new_vectors()[rows], atol=1e-5)
