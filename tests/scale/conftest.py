"""A server of objects, and a dataset in it, for each test."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate.projection.model import Model
from tests.databases import make_projection
from tests.scale.here import Here
from tests.scale.object_server import ObjectServer, running_object_server
from tests.scale.objects import NEW, OLD, Dataset, client, file_of


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ObjectServer]:
    with running_object_server() as server:
        yield server


@pytest.fixture
def server(shared_server: ObjectServer) -> ObjectServer:
    shared_server.calm()
    return shared_server


@pytest.fixture
def without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightmigrate.scale.processes.Processes", lambda workers: Here())


@pytest.fixture
def dataset(server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    first = {f"year=202{part}/part-0.parquet": file_of(part) for part in range(3)}
    first["year=2020/README"] = b"of the application"
    bucket = f"bucket-{random.getrandbits(60):x}"
    client().mkdir(bucket)
    made = Dataset(
        bucket,
        first,
        make_projection(1, Model("a", OLD), Model("b", NEW)).save(tmp_path / "projection.npz"),
    )
    for name, data in first.items():
        made.put(name, data)
    return made
