"""The lock of an open database: one process of this machine at a time writes to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightmigrate.files import user_folder
from lightmigrate.stores.base import Store


def lock_of(store: Store) -> Path:
    """The lock file, which need not exist."""
    return user_folder() / "locks" / hashlib.sha256(str(store).encode()).hexdigest()[:16]
