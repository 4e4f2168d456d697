"""How long does the page of a large database take to come? `python benchmarks/page.py`.

A Chroma folder of 200 collections, 3 records of 64 numbers each. `lightmigrate ui` runs in a process of its own, as a
user starts it; pages are asked for over its socket, one after the other.

Columns: the first answer after the address is printed, the median and the largest of 20 that follow. `look` is what the
page of a database loads behind its first answer: `doctor`, which reads vectors; asked for anew each time. Writes
`page.json` and `page.md` into the folder given, by default `results`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from lightmigrate.stores.chroma.client import open_client
from lightmigrate.web.databases import short_key

ROOT = Path(__file__).parents[1]
COLLECTIONS, RECORDS, DIMENSION, ANSWERS = 200, 3, 64, 20


def build(folder: Path) -> None:
    """The database."""
    rng = np.random.default_rng(0)
    with open_client(folder) as client:
        for number in range(COLLECTIONS):
            client.create_collection(f"collection_{number:03}", embedding_function=None).add(
                ids=[f"r{row}" for row in range(RECORDS)],
                documents=[f"text {row}" for row in range(RECORDS)],
                embeddings=rng.normal(size=(RECORDS, DIMENSION)).astype(np.float32),
            )


@contextmanager
def page_of(folder: Path) -> Iterator[str]:
    """The address that `lightmigrate ui` prints, while it runs."""
    words = [sys.executable, "-m", "lightmigrate", "ui", str(folder), "--listen-port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


class Client:
    """Asks for pages with the cookie that the token is exchanged for."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.netloc)
        self._connection.request("GET", f"{parts.path}?{parts.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = answer.headers["set-cookie"].partition(";")[0]

    def seconds(self, path: str) -> float:
        """Until the whole answer is there."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers={"cookie": self._cookie})
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)
        return time.perf_counter() - began


def measured(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of each page, by its name."""
    base = f"/d/{short_key(str(folder))}/"
    collection = f"{base}c/{short_key('collection_100')}/"
    paths = {"database": base, "look": f"{base}look?anew", "collection": collection, "plan": f"{collection}budget"}
    rows = {}
    with page_of(folder) as address:
        client = Client(address)
        for name, path in paths.items():
            first, *others = [client.seconds(path) for _ in range(1 + ANSWERS)]
            rows[name] = {"first": first, "median": float(np.median(others)), "largest": max(others)}
    return rows


def table(rows: dict[str, dict[str, float]]) -> str:
    """The same for people."""
    lines = [
        f"# The page of a Chroma folder of {COLLECTIONS} collections",
        "",
        f"`benchmarks/page.py`, Python {platform.python_version()}; seconds until the whole answer is there. "
        f"{os.getloadavg()[0]:.1f} processes worked on {os.cpu_count()} cores meanwhile.",
        "",
        f"| page | first | median of {ANSWERS} | largest |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {row['first']:.3f} | {row['median']:.3f} | {row['largest']:.3f} |"
            for name, row in rows.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    results = parser.parse_args().results
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "many"
        build(folder)
        rows = measured(folder)
    (results / "page.json").write_text(json.dumps(rows, indent=1) + "\n")
    (results / "page.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
