"""What is in the files of a folder, to see whether anything was written."""

from __future__ import annotations

import hashlib
from pathlib import Path


def content_of(folder: Path) -> dict[str, str]:
    """The hash of every file, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
