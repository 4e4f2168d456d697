"""Folders of other vector databases, by the files that they leave: so that a message says what a folder is."""

from __future__ import annotations

from pathlib import Path

# What it is, patterns of which all must match, and what helps.
_KINDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("a Qdrant storage", ("raft_state.json",), "give the address of its server: qdrant://HOST:6333"),
    ("a Weaviate folder", ("schema.db", "raft"), "Weaviate is not supported yet"),
    (
        "a PostgreSQL data directory",
        ("PG_VERSION", "base"),
        "give the address of its server: postgresql://USER@HOST/NAME",
    ),
)


def foreign_database(folder: Path) -> str | None:
    """What another database left in a folder, in one line with what helps; `None` for nothing known. Only reads."""
    if not folder.is_dir():
        return None
    for kind, patterns, help_ in _KINDS:
        if all(any(folder.glob(pattern)) for pattern in patterns):
            return f"{folder} is {kind}: {help_}"
    return None
