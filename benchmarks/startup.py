"""What the start-up hook costs when there is nothing to do: `python benchmarks/startup.py`.

A database of ten collections that record their embedding function, and one that records nothing and was recognised at
an earlier start. Every number is the median of 30 starts in one process, and of 10 fresh processes for the import.
Writes `results/startup.json`.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from chromadb.api.types import Documents, EmbeddingFunction

from lightmigrate import auto_migrate
from lightmigrate.stores.chroma import open_client

RESULT = Path(__file__).parent / "results" / "startup.json"
COLLECTIONS, ROWS, DIMENSION = 10, 1000, 384
STARTS, PROCESSES = 30, 10


class Silent(EmbeddingFunction[Documents]):
    """An embedding function that says who it is and may not be asked anything."""

    def __init__(self) -> None:
        """Nothing to set up."""

    def __call__(self, input: Documents) -> Any:
        """Fail."""
        raise AssertionError("nothing was to be embedded")

    @staticmethod
    def name() -> str:
        """As Chroma records it."""
        return "silent"

    def get_config(self) -> dict[str, Any]:
        """As Chroma records it."""
        return {"model_name": "silent"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> Silent:
        """As Chroma would."""
        return Silent()


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as home:
        database = Path(home) / "chroma_data"
        build(database)
        auto_migrate(database, Silent())
        seconds = []
        for _ in range(STARTS):
            started = time.perf_counter()
            report = auto_migrate(database, Silent())
            seconds.append(time.perf_counter() - started)
            assert report.action == "nothing"
        by_dimension = []
        for _ in range(STARTS):
            started = time.perf_counter()
            assert auto_migrate(database, expected_dim=DIMENSION).action == "nothing"
            by_dimension.append(time.perf_counter() - started)
    found = {
        "collections": COLLECTIONS,
        "records_each": ROWS,
        "nothing_to_do_ms": round(1000 * statistics.median(seconds), 2),
        "nothing_to_do_slowest_ms": round(1000 * max(seconds), 2),
        "by_expected_dimension_ms": round(1000 * statistics.median(by_dimension), 2),
        "import_beyond_numpy_ms": round(1000 * (process("import lightmigrate") - process("import numpy")), 1),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def build(database: Path) -> None:
    """Ten collections."""
    rng = np.random.default_rng(0)
    with open_client(database) as client:
        for number in range(COLLECTIONS):
            collection = client.create_collection(f"collection-{number}", embedding_function=Silent())
            collection.add(
                ids=[str(row) for row in range(ROWS)],
                embeddings=rng.normal(size=(ROWS, DIMENSION)).astype(np.float32),
                documents=[f"document {row}" for row in range(ROWS)],
            )


def process(program: str) -> float:
    """Median seconds of a fresh process."""
    seconds = []
    for _ in range(PROCESSES):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
