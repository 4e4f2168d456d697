"""Writes the folders of `test_legacy.py` with an old Chroma, and says what is in them.

In a virtual environment (Python 3.11) with one of VERSIONS and nothing of lightmigrate:

    pip install chromadb==0.5.23 "numpy<2"
    python tests/stores/chroma/legacy/build.py

writes `chroma-0.5.23.tar.gz` beside this file.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VERSIONS = ("0.5.23", "0.6.3", "1.0.0")
HERE = Path(__file__).parent
DIMENSION = 16


@dataclass(frozen=True)
class Recipe:
    """One collection: how it was made and what must be in it.

    Attributes:
        name: of the collection.
        space: the distance function its index really computes.
        metadata: given at creation.
        seed: of its vectors.
        n: records added.
        deleted: rows deleted again at the end.
        configuration: given at creation beside the metadata.
        since: the oldest version that takes it.
    """

    name: str
    space: str
    metadata: Mapping[str, Any] | None
    seed: int
    n: int = 30
    deleted: tuple[int, ...] = ()
    configuration: Mapping[str, Any] | None = None
    since: str = VERSIONS[0]

    @property
    def kept(self) -> list[int]:
        """The rows that stayed."""
        return [row for row in range(self.n) if row not in self.deleted]

    def vectors(self) -> npt.NDArray[np.float32]:
        """All vectors that were added, not normalised. `(n, 16)`."""
        return np.random.default_rng(self.seed).normal(size=(self.n, DIMENSION)).astype(np.float32)


# Small batches and thresholds put most vectors into the index files and leave the last ones in the log.
INDEX = {"hnsw:M": 24, "hnsw:construction_ef": 150, "hnsw:search_ef": 77}
BATCHES = {"hnsw:batch_size": 8, "hnsw:sync_threshold": 8}

RECIPES = (
    Recipe(
        "thought_nodes",
        "cosine",
        {"hnsw:space": "cosine", **INDEX, **BATCHES, "owner": "naïve 雪", "version": 3, "rate": 0.25, "on": True},
        seed=1,
    ),
    Recipe("notes", "ip", {"hnsw:space": "ip"}, seed=2, n=12),
    Recipe("plain", "l2", None, seed=3, n=12),
    Recipe("thinned", "l2", {"why": "rows went", **BATCHES}, seed=4, deleted=(0, 3, 4, 17, 28, 29)),
    Recipe("thinned_cosine", "cosine", {"hnsw:space": "cosine", **BATCHES}, seed=5, deleted=tuple(range(0, 20, 3))),
    Recipe(
        "configured",
        "cosine",
        None,
        seed=6,
        configuration={
            "hnsw": {
                "space": "cosine",
                "max_neighbors": 24,
                "ef_construction": 150,
                "ef_search": 77,
                "batch_size": 8,
                "sync_threshold": 8,
            }
        },
        since="1.0.0",  # 0.5 and 0.6 have the parameter and fail on every value
    ),
)


def recipes(version: str) -> list[Recipe]:
    """The collections in the folder of a version."""
    return [recipe for recipe in RECIPES if VERSIONS.index(recipe.since) <= VERSIONS.index(version)]


def record(row: int) -> tuple[str, str | None, dict[str, Any] | None, str | None]:
    """Id, document, metadata and uri of a row: what all three versions take."""
    kinds: list[dict[str, Any] | None] = [
        {"int": 2**53 + row, "negative": -(2**62), "zero": 0},
        {"float": row / 8, "tiny": 2.0**-1022, "huge": 2.0**1023, "negative": -1.5},
        {"text": "naïve 雪 \U0001f642 \u202e", "empty": "", "long": "x" * 500},
        {"yes": True, "no": False},
        None,
    ]
    metadata = kinds[row % 5]
    document = [f"document {row}", None, "", "the same text", "雪 \U0001f642 " * 20, f"naïve\n{row}\t"][row % 6]
    uri = f"file:///ü/{row}" if row % 4 == 1 else None
    id_ = f"{row}" + "k" * 300 if row % 7 == 6 else f"id-{row}-{'é🙂' * (row % 3)}"
    if row == 5:  # a record that is nothing but a uri
        document, metadata = None, None
    return id_, document, metadata, uri


def write(folder: Path) -> None:
    """Make the database with whatever Chroma this environment has."""
    import chromadb
    from chromadb.config import Settings

    client: Any = chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))
    for recipe in recipes(chromadb.__version__):
        collection = client.create_collection(
            recipe.name,
            metadata=recipe.metadata and dict(recipe.metadata),
            embedding_function=None,
            **({"configuration": recipe.configuration} if recipe.configuration else {}),
        )
        for row, vector in enumerate(recipe.vectors()):
            id_, document, metadata, uri = record(row)
            columns = {"documents": document, "metadatas": metadata, "uris": uri}
            given = {name: [value] for name, value in columns.items() if value is not None}
            collection.add(ids=[id_], embeddings=[vector.tolist()], **given)
        if recipe.deleted:
            collection.delete(ids=[record(row)[0] for row in recipe.deleted])
        assert collection.count() == len(recipe.kept)


def pack(folder: Path, archive: Path) -> None:
    """The folder as `.tar.gz`, without times and owners."""
    with tarfile.open(archive, "w:gz", compresslevel=9) as packed:
        for path in sorted(folder.rglob("*")):
            entry = packed.gettarinfo(path, str(path.relative_to(folder)))
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
            packed.addfile(entry, io.BytesIO(path.read_bytes()) if path.is_file() else None)


def main() -> None:
    """Write in a process of its own, whose end closes every file: old clients have no close()."""
    if len(sys.argv) == 2:
        write(Path(sys.argv[1]))
        return
    import chromadb

    # Chroma 1.0 records the number of cores as the threads to use; hardly a machine to come has just one.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, __file__, folder], check=True, env={**os.environ, "ANONYMIZED_TELEMETRY": "False"}
        )
        archive = HERE / f"chroma-{chromadb.__version__}.tar.gz"
        pack(Path(folder), archive)
    print(archive.name, archive.stat().st_size)


if __name__ == "__main__":
    main()
