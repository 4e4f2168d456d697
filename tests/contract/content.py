"""What makers of the contract suite put into databases, and what is in the files of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lightmigrate.stores.base import Payload

# What an application may store where payloads are JSON; all different.
JSON_PAYLOADS: Sequence[Payload | None] = (
    None,
    {"nested": {"list": [1, 1.5, True, None, {"deep": ["é"]}], "empty": {}}, "none": None},
    {"one": 1, "true": True, "float": 1.0, "zero": 0, "false": False, "big": 2**70, "negative": -(2**63)},
    {"fraction": 0.1, "tiny": 5e-324, "huge": 1.7976931348623157e308},
    {"": "empty key", "'; DROP TABLE docs; --": "%s %(x)s {0} $1 \\ \" '"},
)


def content_of(folder: Path) -> dict[str, str]:
    """The hash of every file of a folder, by its path there, to see whether anything was written."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
