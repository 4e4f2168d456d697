"""A process that refines a server's collection and kills itself: `python -m tests.budget.run_refine PORT CACHE N`.

It dies right after its N-th batch is written, before that is noted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import chromadb

from lightmigrate import Migrator
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.vectors import Vectors
from tests.budget.collections import Counting


def main(port: int, cache: Path, fatal: int) -> None:
    """Refine until the end comes."""
    replace, batches = ChromaCollection.replace_vectors, 0

    def watched(collection: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        nonlocal batches
        replace(collection, ids, vectors)
        batches += 1
        if batches == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    ChromaCollection.replace_vectors = watched  # type: ignore[method-assign, assignment]
    Migrator(chromadb.HttpClient("127.0.0.1", port)).refine("notes", Cached(Counting(), cache))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
