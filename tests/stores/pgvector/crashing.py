"""A process that migrates the table `docs`, and is killed before the n-th statement of it.

    python -m tests.stores.pgvector.crashing LOCATOR STEP

Its exit status is 0 when there were fewer statements than that.
"""

from __future__ import annotations

import itertools
import sys

from lightmigrate import Migrator
from lightmigrate.stores.pgvector.session import Session
from tests.contract.crashing import kill_before
from tests.databases import make_projection

PAGE = 25


def main(locator: str, step: int) -> None:
    """See above."""
    migrator, statements = Migrator(locator, page_size=PAGE), itertools.count()
    for method in ("execute", "copy"):
        kill_before(Session, method, statements, step)
    migrator.migrate_collection("docs", make_projection())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
