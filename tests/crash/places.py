"""Where a database can stand, and what must be true of it whatever happens."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Projection
from lightmigrate.migration.aside import location
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.databases import ADDRESSES, contents, files_below, same_rows

MIGRATED = ("default_tenant/default_database/thought_nodes", "default_tenant/default_database/notes")


@pytest.fixture(params=["beside", "inside"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that stands in an ordinary folder, and one in a volume of its own."""
    if request.param == "inside":
        monkeypatch.setattr(location, "is_mount_point", lambda folder: True)
    return str(request.param)


def everything(home: Path) -> dict[str, str]:
    """The hash of every database folder in a home; what else stands in one does not count."""
    found = {}
    for sqlite in sorted(home.rglob("chroma.sqlite3")):
        folder, digest = sqlite.parent, hashlib.sha256()
        belongs = location.Location(ChromaFiles(folder), inside=True).is_database_entry
        for path in files_below(folder):
            if belongs(folder / path.relative_to(folder).parts[0]):
                digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
        found[str(folder.relative_to(home))] = digest.hexdigest()
    return found


def is_old(found: dict[str, Any], old: dict[str, Any]) -> bool:
    return all(
        found[key]["rows"] == old[key]["rows"] and np.array_equal(found[key]["vectors"], old[key]["vectors"])
        for key in old
    )


def is_new(found: dict[str, Any], old: dict[str, Any], projection: Projection) -> bool:
    for key in old:
        expected = old[key]["vectors"]
        if key in MIGRATED:
            expected = projection.apply(expected)
        if found[key]["vectors"].shape != expected.shape:
            return False
        if not same_rows(old[key]["rows"], found[key]["rows"]):
            return False
        if not np.allclose(found[key]["vectors"], expected, atol=2e-6):
            return False
    return True


def seen_by_a_reader(
    database: Path, old: dict[str, Any], projection: Projection, addresses: tuple[tuple[str, str, str], ...] = ADDRESSES
) -> str:
    """Which whole database, `old` or `new`, somebody finds who opens it now: a copy of it, since opening writes."""
    with tempfile.TemporaryDirectory() as spare:
        found = contents(Path(shutil.copytree(database, Path(spare) / "copy")), addresses)
    if is_old(found, old):
        return "old"
    assert is_new(found, old, projection)
    return "new"
