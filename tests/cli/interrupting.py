"""A migration that is killed at one moment of its exchange."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lightmigrate import Migrator
from lightmigrate.migration.aside import exchange


def migrate(database: Path, projection: Path, moment: str) -> None:
    """Migrate the collection `notes` and have this process killed.

    Args:
        database: its folder.
        projection: its file; what it means does not matter.
        moment: `before` or `after` the exchange, or `between` its two renames, where the system cannot exchange two
            names.
    """
    real = exchange.put_in_place

    def die(incoming: Path, live: Path, outgoing: Path) -> None:
        if moment == "after":
            real(incoming, live, outgoing)
        if moment == "between":
            live.rename(outgoing)
        os.kill(os.getpid(), signal.SIGKILL)

    exchange.put_in_place = die
    Migrator(database).migrate_collection("notes", projection, force=True)
