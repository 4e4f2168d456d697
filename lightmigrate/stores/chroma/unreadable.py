"""Whether Chroma can read the vectors of a collection, asked through a client."""

from __future__ import annotations

from typing import Any

from lightmigrate.stores.page import sample_ranges

# Records whose vectors are asked for: as many as `doctor` looks at, so that it reads only what can be read.
SAMPLED = 500

# Of the reason that Chroma gives.
_MOST_CHARACTERS = 100


def index_fault(collection: Any) -> str | None:
    """Why vectors of a collection cannot be read; `None` where those of a sample of its records can. Only reads.

    Chroma reads vectors from the index, and everything else from its tables. It is not asked to search: a search of an
    index whose files were cut may end Chroma's process. The sample is that of `doctor`, with the first record and the
    last: damage elsewhere is not found.

    Args:
        collection: an open collection of Chroma's client.
    """
    try:
        total = collection.count()
        starts, each = sample_ranges(total, SAMPLED)
        for offset in sorted({0, max(0, total - 1), *starts}):
            collection.get(limit=each, offset=offset, include=["embeddings"])
    except Exception as error:  # noqa: BLE001  # what a server answers is an `Exception` of Chroma's client
        collection.get(limit=1, include=["documents"])  # raises where it is not the index that cannot be read
        return f"its index cannot be read ({short_reason(error)})"
    return None


def short_reason(error: Exception) -> str:
    """The kind of an error of Chroma's, and the beginning of what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_MOST_CHARACTERS]}"
