"""Files for tests that older versions of pyarrow cannot write, though they read what newer ones wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# It writes all of them: lists of a fixed size of which some are missing, streams of bytes, filters of Bloom.
WRITES_ALL = 26


def write_or_skip(table: pa.Table, path: Path, **how: Any) -> None:
    """Write a table as the test needs it; skip the test where an older pyarrow than `WRITES_ALL` cannot."""
    try:
        pq.write_table(table, path, **how)
    except (pa.ArrowNotImplementedError, OSError, TypeError) as error:
        if int(pa.__version__.split(".")[0]) >= WRITES_ALL:
            raise
        pytest.skip(f"pyarrow {pa.__version__} cannot write such a file: {error}")
