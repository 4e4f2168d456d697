"""Units on a real Ray cluster: whatever dies, every row is there once, in order, and nothing unreadable has a name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.errors import DatabaseError, LightmigrateError
from lightmigrate.scale.clusters import open_cluster
from tests.cli.calls import refused
from tests.scale.cluster import (
    Victim,
    make_folder,
    migrate_and_kill,
    projection_at,
    require_exact,
    running_cluster,
)

FILES = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with running_cluster() as running:
        yield running


@pytest.mark.parametrize(
    "victim", ["node", "driver"]
)  # a node takes its workers with it; all: benchmarks/scale_kills.py
def test_whatever_is_killed_all_is_done_exactly_once(cluster: Any, tmp_path: Path, victim: Victim) -> None:
    make_folder(tmp_path / "vectors", FILES)
    projection = projection_at(tmp_path / "projection.npz")
    migrate_and_kill(cluster, tmp_path / "vectors", projection, victim, after=5)
    require_exact(tmp_path / "vectors", projection, FILES)


def test_a_cluster_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LightmigrateError, match="dask is no cluster that is known: ray"):
        open_cluster("dask://127.0.0.1")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(DatabaseError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        list(open_cluster("ray").run(str, [1]))
    with pytest.raises(DatabaseError, match=r"no Ray cluster answers at ray://127\.0\.0\.1:2"):
        list(open_cluster("ray://127.0.0.1:2").run(str, [1]))
    make_folder(tmp_path / "vectors", 1)
    projection = projection_at(tmp_path / "projection.npz")
    words = ["-p", projection, "--cluster", "ray", "--workers", 2]
    assert "leave out --workers" in refused(capsys, "migrate", tmp_path / "vectors", *words)
