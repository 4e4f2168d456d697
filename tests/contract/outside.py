"""A store of another package for the contract suite: the example, built and installed as a distribution.

`LIGHTMIGRATE_MAKER=module:Class` holds another store to the suite in its place, one that is installed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.build import build_wheel

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.open import open_database
from tests.at_end import AT_END
from tests.contract.content import JSON_PAYLOADS

EXAMPLE = Path(__file__).parents[2] / "examples" / "toy_store"


@functools.cache
def install_example() -> Path:
    """Build the wheel of the example, and unpack it into a folder on the path, as an installer does."""
    folder = Path(AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-toy-")))
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    before = Path.cwd()
    os.chdir(folder / "source")  # a build backend is called there (PEP 517)
    try:
        wheel = build_wheel(str(folder))
    finally:
        os.chdir(before)
    with zipfile.ZipFile(folder / wheel) as archive:
        archive.extractall(folder / "installed")
    sys.path.append(str(folder / "installed"))
    return folder / "installed"


class ToyMaker:
    """A file of the example's store; every client opens it by its path, so by the entry point."""

    capabilities = Capabilities(
        atomic_exchange=True, holds_writers=True, sees_changes=False, ordered=True, stale_handles=False,
        shared_records=False,
    )  # fmt: skip
    payloads: Sequence[Payload | None] = JSON_PAYLOADS
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = True
    failpoints: Sequence[tuple[str, str, str]] = (("toy_store.store", "ToyStore", "save"),)

    def __init__(self, folder: Path) -> None:
        install_example()
        self._path = folder / "database.toy"
        self._path.write_text('{"": 0}')

    @property
    def locator(self) -> str:
        return str(self._path)

    def client(self) -> Store:
        opened = open_database(self._path)
        assert isinstance(opened, Store)
        return opened

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        store: Any = self.client()
        store.create_table(Address(name), dimension, metric, self.model if model else None)
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        before = hashlib.sha256(self._path.read_bytes()).digest()
        yield self.client()
        assert hashlib.sha256(self._path.read_bytes()).digest() == before

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    def let_go(self) -> None:
        """Nothing is open."""

    def release(self) -> None:
        """Nothing is open."""


def outside_maker(folder: Path) -> Any:
    """The `Maker` that `LIGHTMIGRATE_MAKER` names, or that of the example."""
    module, _, name = os.environ.get("LIGHTMIGRATE_MAKER", f"{__name__}:ToyMaker").partition(":")
    return getattr(importlib.import_module(module), name)(folder)
