"""How long a Chroma collection has no name while it is exchanged, for readers by name: `python benchmarks/exchange.py`.

A server of its own; a process that asks for the collection by its name without a pause, in turn with Chroma's
`get_collection` and with lightmigrate's; and a process that exchanges the collection for its copy and back. Both take
turns with the server on the processor, so all times depend on what else the machine does: its load is written down.
Writes `results/exchange.md`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from chromadb.errors import NotFoundError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for the tests' server

from lightmigrate.stores.base import Address  # noqa: E402
from lightmigrate.stores.chroma.by_name import get_collection  # noqa: E402
from lightmigrate.stores.chroma.collection import ChromaCollection  # noqa: E402
from lightmigrate.stores.chroma.live import LiveChromaStore  # noqa: E402
from lightmigrate.stores.chroma.names import State, VersionName  # noqa: E402
from tests.migration.shadow.server import connect, running_server  # noqa: E402
from tests.processes import context, start  # noqa: E402

NAME, DIMENSION, ROWS = "notes", 8, 100


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exchanges", type=int, default=200)
    options, load = parser.parse_args(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "chroma_data") as server:
        client = server.client()
        vectors = np.random.default_rng(0).normal(size=(ROWS, DIMENSION)).astype(np.float32)
        client.create_collection(NAME, embedding_function=None).add(ids=list(map(str, range(ROWS))), embeddings=vectors)
        here, there = context().Pipe()
        reader = start(read, server.port, there)
        there.close()
        here.recv()
        windows = exchange(LiveChromaStore(client), options.exchanges)
        here.send("enough")
        asked, refused, retried, gaps = here.recv()
        reader.join()
    page = "\n".join([
        "# A collection without a name",
        f"{options.exchanges} exchanges behind a Chroma server, while a reader asked for the collection by its name",
        f"without a pause; by `benchmarks/exchange.py`, on {os.cpu_count()} cores, load {load:.1f} before it and "
        f"{os.getloadavg()[0]:.1f} after it.",
        "",
        "| asked with | asked | refused |",
        "|---|--:|--:|",
        f"| Chroma's `get_collection` | {asked:,} | {refused:,} |",
        f"| `lightmigrate.stores.chroma.by_name.get_collection` | {asked:,} | {retried:,} |",
        "",
        f"Between the answers to the two renames, without a name: {spread(windows)}.",
        f"A reader that Chroma refused had the answer of lightmigrate's after {spread(gaps)}." if gaps else
        "The reader was never refused.",
    ])  # fmt: skip
    (ROOT / "benchmarks" / "results" / "exchange.md").write_text(f"{page}\n")
    print(page)
    return int(retried > 0)


def read(port: int, told: Connection) -> None:
    """Ask by name, in turn in both ways, until it is enough."""
    client = connect(port)
    told.send("asking")
    asked = refused = retried = 0
    gaps: list[float] = []
    while not told.poll():
        asked, began, missing = asked + 1, time.monotonic(), False
        try:
            client.get_collection(NAME, embedding_function=None)
        except NotFoundError:
            refused, missing = refused + 1, True
        try:
            get_collection(client, NAME, embedding_function=None)
        except NotFoundError:
            retried += 1
        if missing:
            gaps.append(time.monotonic() - began)
    told.send((asked, refused, retried, gaps))


def exchange(store: LiveChromaStore, times: int) -> list[float]:
    """Exchange the collection for its copy, and that for the collection; how long each time nothing had its name."""
    address, ends, rename = Address(NAME), [], ChromaCollection.rename

    def timed(collection: ChromaCollection, name: str) -> None:
        rename(collection, name)
        ends.append((VersionName.parse(name).state, time.monotonic()))

    ChromaCollection.rename = timed  # type: ignore[method-assign, assignment]
    live = store.collection(address)
    store.create_version(live, "k", DIMENSION, None).add(next(live.scan(ROWS)))
    for number in itertools.islice(itertools.count(), times):
        (other,) = store.versions()
        store.exchange(store.collection(other.address), store.collection(address), f"20260101_{number:06d}")
    pairs = itertools.pairwise(ends)
    return [
        later - earlier for (before, earlier), (after, later) in pairs if before is State.OLD and after is State.OWN
    ]


def spread(seconds: list[float]) -> str:
    """In the median, of nine in ten, and at most."""
    median, most = np.quantile(seconds, (0.5, 0.9))
    longest = max(seconds)
    return f"{1000 * median:.1f} ms in the median, {1000 * most:.1f} ms in nine of ten, {1000 * longest:.1f} ms at most"


if __name__ == "__main__":
    sys.exit(main())
