"""The lock of an open database: one process of this machine at a time writes to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightmigrate.files import user_folder


def lock_of(database: object) -> Path:
    """The lock file of a database, by its address or folder as text; need not exist."""
    return user_folder() / "locks" / hashlib.sha256(str(database).encode()).hexdigest()[:16]
