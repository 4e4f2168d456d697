"""Whether Chroma can read the vectors of a collection, asked through a client."""

from __future__ import annotations

from typing import Any

# Of the reason that Chroma gives.
_MOST_CHARACTERS = 100


def index_fault(collection: Any) -> str | None:
    """Why the vectors of a collection's first and last record cannot be read; `None` where they can. Only reads.

    Chroma reads vectors from the index, and everything else from its tables. It is not asked to search: a search of an
    index whose files were cut ends Chroma's process.

    Args:
        collection: an open collection of Chroma's client.
    """
    total = collection.count()
    try:
        for offset in sorted({0, max(0, total - 1)}):
            collection.get(limit=1, offset=offset, include=["embeddings"])
    except Exception as error:  # noqa: BLE001  # what a server answers is an `Exception` of Chroma's client
        collection.get(limit=1, include=["documents"])  # raises where it is not the index that cannot be read
        return f"its index cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:_MOST_CHARACTERS]})"
    return None
