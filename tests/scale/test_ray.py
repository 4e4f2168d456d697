"""Units on a real Ray cluster: whatever dies, every row is there once, in order, and nothing unreadable has a name."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.errors import DatabaseError, LightmigrateError, RefusedError
from lightmigrate.providers.cache import default_cache
from lightmigrate.scale.clusters import open_cluster
from tests.cli.calls import refused, run
from tests.processes import TIMEOUT
from tests.providers.embedding_server import KEY, running_server
from tests.scale.cluster import (
    Victim,
    add_node,
    built,
    make_folder,
    migrate_and_kill,
    projection_at,
    require_exact,
    running_cluster,
    settings_of_worker,
)
from tests.scale.planned import PRICE, build, by_one_process, held_when, require_equal, stored_of, vectors_in
from tests.scale.test_lance import contents, make, require_projected

FILES = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_API_KEY", KEY)  # as the machines of a cluster have it, before they start
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


def test_a_lance_table_is_converted_by_the_cluster(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    table, projection = make(tmp_path / "docs.lance"), projection_at(tmp_path / "projection.npz")
    before = contents(table)
    migrated = run(capsys, "migrate", table, "-p", projection, "--cluster", "ray", "--force", "--yes")
    assert "in 4 parts, 8 → 12 dimensions" in migrated
    require_projected(table, before, projection)
    assert "bit by bit" in run(capsys, "verify", table)


def test_a_worker_is_set_up_as_a_process_of_one_core(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    ((_, told),) = open_cluster("ray").run(settings_of_worker, [1])
    assert told == ("-1", 1, b"ray::settings_of_worker")


def test_a_plan_is_paid_from_one_purse_by_the_whole_cluster_whatever_becomes_of_a_node(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with running_server() as server:
        case = build(tmp_path / "made", server)
        expected = by_one_process(case.copied(tmp_path / "single"))
        server.texts.clear()
        command = [sys.executable, "-m", "lightmigrate", *case.words("--cluster", "ray")]
        stopped = subprocess.run([*command, "--max-cost", "9"], capture_output=True, text=True)
        assert (stopped.returncode, "of $9.0000 are spent" in stopped.stderr) == (2, True), stopped.stderr[-2000:]
        assert 0 < sum(len(text.split()) for text in server.texts) * PRICE / 1e6 <= 9
        assert set(Counter(case.asked()).values()) == {1}
        done = len(built(tmp_path / "made"))
        with held_when(server, lambda: len(built(tmp_path / "made")) > done) as let_go:
            migration = subprocess.Popen(command)
            while len(built(tmp_path / "made")) <= done and migration.poll() is None:
                time.sleep(0.01)
            before = list(cluster.worker_nodes)
            add_node(cluster)
            cluster.remove_node(before[0], allow_graceful=False)
            kept = stored_of(case)
            let_go()
            assert migration.wait(TIMEOUT) == 0
        assert not kept & {text for text, count in Counter(case.asked()).items() if count > 1}
        require_equal(vectors_in(case.folder), expected)


def test_the_cache_of_a_machine_outside_of_the_cluster_is_not_the_clusters(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="name one that all machines see"):  # noqa: SIM117
        with open_cluster("ray://127.0.0.1:2").sharing(default_cache()):
            pass


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
