"""Runs on a dataset in an object store that are killed, and two that begin at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lightmigrate.errors import AnotherRunError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.objects import dataset_path, lock
from lightmigrate.objects.folder import ObjectFolder
from lightmigrate.objects.lock import ObjectLock
from lightmigrate.scale.migration import FolderMigrator
from tests.faults import EVERY_OPERATION
from tests.scale.here import Here
from tests.scale.object_server import Answer, ObjectServer, Requested
from tests.scale.objects import Dataset
from tests.scale.test_folder_migration import alive, children_of

ROOT = Path(__file__).parents[2]
FORCED = MigrationOptions(force=True)

# Requests of a whole migration before which a run is killed: where each stands among all of them, from 0 to 1.
MOMENTS = [round(random.Random(seed).random(), 3) for seed in range(40 if EVERY_OPERATION else 2)]


def started(words: list[str], **environment: str) -> subprocess.Popen[bytes]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lightmigrate", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def is_write(request: Requested) -> bool:
    return request.method in ("PUT", "DELETE") and "/lock/" not in request.path


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", [*MOMENTS, 1.0])
def test_a_driver_that_is_killed_leaves_the_old_or_the_new(
    dataset: Dataset, server: ObjectServer, moment: float, after: bool
) -> None:
    # the last but the deletion of the lock is the pointer
    total = 2 * len(dataset.first) + 4
    wanted = max(1, round(moment * total))
    seen, killed = list[Requested](), threading.Event()
    process = list[subprocess.Popen[bytes]]()

    def kill(request: Requested) -> None:
        if not is_write(request) or killed.is_set():
            return
        seen.append(request)
        if len(seen) >= wanted:
            killed.set()
            process[0].kill()

    if after:
        server.after = kill
    else:
        server.before = lambda request: kill(request)
    process.append(started(dataset.words("--workers", 1)))
    _, said = process[0].communicate()
    server.calm()
    assert killed.is_set() or process[0].returncode == 0, said
    is_new = dataset.require_whole()
    noted = len(dataset.noted())
    if is_new:
        assert FolderMigrator(dataset.address, Here()).verify().unchanged
    else:
        result = FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
        assert result.converted_now + noted >= result.files == 3
        assert result.converted_now <= 3 - noted, "it does only what is missing"
        assert dataset.require_whole()
    assert FolderMigrator(dataset.address, Here()).verify().unchanged
    assert sorted(each["unit"] for each in dataset.noted()) == sorted(  # type: ignore[type-var]
        name for name in dataset.first if name.endswith(".parquet")
    )


def test_a_worker_that_is_killed_is_replaced(dataset: Dataset, server: ObjectServer) -> None:
    process, killed = list[subprocess.Popen[bytes]](), list[int]()

    def kill(request: Requested) -> None:
        if not killed and request.method == "PUT" and "/units/" in request.path:
            children = children_of(process[0].pid)
            workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    server.before = lambda request: kill(request)
    process.append(started(dataset.words("--workers", 2)))
    _, said = process[0].communicate()
    assert process[0].returncode == 0, said
    assert killed
    assert not any(map(alive, killed))
    server.calm()
    assert dataset.require_whole()
    run_again = FolderMigrator(dataset.address, Here())
    with run_again._place.locked():
        assert list((dataset.projection.parent / "scratch").glob("lightmigrate-objects-*")) == []


def test_of_two_machines_that_begin_at_once_one_wins(dataset: Dataset, server: ObjectServer, tmp_path: Path) -> None:
    # each with a folder for locks of its own, so that only the object store tells them of each other; whichever has won
    # does nothing until the other one has ended
    lost, working = threading.Event(), list[str]()

    def wait(request: Requested) -> None:
        if request.method == "PUT" and request.path.endswith("/projection.npz"):
            working.append(request.path)
            lost.wait(300)

    server.before = lambda request: wait(request)
    runs = [started(dataset.words("--workers", 1), XDG_CACHE_HOME=str(tmp_path / f"machine {each}")) for each in "ab"]
    while all(run.poll() is None for run in runs) and len(working) < 2:
        time.sleep(0.1)
    lost.set()
    said = [run.communicate()[1].decode() for run in runs]
    assert len(working) == 1, "both hold the lock"
    assert sorted(run.returncode for run in runs) == [0, 2], said
    loser = next(text for run, text in zip(runs, said, strict=True) if run.returncode)
    assert "another run of lightmigrate works on" in " ".join(loser.split())
    server.calm()
    assert dataset.require_whole()
    assert len(dataset.noted()) == 3


def test_never_do_two_hold_the_lock(dataset: Dataset) -> None:
    home = ObjectFolder(f"{dataset.address}.lightmigrate")
    holders, most, held, refused = 0, 0, 0, 0
    count = threading.Lock()

    def work(owner: str) -> None:
        nonlocal holders, most, held, refused
        try:
            with ObjectLock(home).claimed(owner) as require:
                with count:
                    holders += 1
                    most, held = max(most, holders), held + 1
                time.sleep(0.2)
                require()
                with count:
                    holders -= 1
        except AnotherRunError:
            with count:
                refused += 1

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(f"machine {number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
    assert held + refused == 18
    assert held >= 3
    assert not ObjectLock(home).is_claimed()


def test_what_a_dead_run_holds_is_taken_over(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SECONDS_TO_EXPIRE", 2.0)
    monkeypatch.setattr(lock, "SECONDS_PER_BEAT", 0.3)
    home = ObjectFolder(f"{dataset.address}.lightmigrate")
    home.write_json("lock/aaaa.json", {"owner": "another machine", "count": 7})
    began = time.monotonic()
    with ObjectLock(home).claimed("this machine") as require:
        assert time.monotonic() - began > 2
        require()
        with pytest.raises(AnotherRunError, match="wait until it has ended"), ObjectLock(home).claimed("a third one"):
            pass
        # as after a long sleep, in which another machine took it over
        (own,) = home.states("lock")
        home.write_json("lock/bbbb.json", {"owner": "another machine", "count": 1})
        home.delete([own])
        with pytest.raises(AnotherRunError, match=r"took .* over"):
            require()
        assert list(home.states("lock")) == ["lock/bbbb.json"], "it does not come back"
    home.write_json("lock/cccc.json", {"owner": "this machine", "count": 1})
    home.delete(["lock/bbbb.json"])
    began = time.monotonic()
    with ObjectLock(home).claimed("this machine"):
        assert time.monotonic() - began < 2, "it is known that a process of this machine is dead"


def test_a_run_that_was_taken_over_exchanges_nothing(dataset: Dataset, server: ObjectServer) -> None:
    def take_over(request: Requested) -> None:
        if request.method == "PUT" and request.path.endswith("/replaced.json"):
            server.after = lambda request: None
            home = ObjectFolder(f"{dataset.address}.lightmigrate")
            home.delete(home.states("lock"))

    server.after = take_over
    with pytest.raises(AnotherRunError, match="nothing was exchanged"):
        FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
    assert dataset_path(dataset.address) == dataset.address
    result = FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
    assert result.converted_now == 0
    assert dataset.require_whole()


def test_a_run_that_was_taken_over_while_its_pointer_was_refused_does_not_put_it_later(
    dataset: Dataset, server: ObjectServer
) -> None:
    refused: list[Requested] = []

    def take_over(request: Requested) -> Answer | None:
        if request.method != "PUT" or not request.path.endswith("/current.json"):
            return None
        refused.append(request)
        server.before = lambda request: None
        home = ObjectFolder(f"{dataset.address}.lightmigrate")
        everything = home.states()
        home.delete([*home.states("lock"), *(name for name in everything if name.endswith(".parquet"))])
        # which the client of S3 does not try again by itself
        return "500 Internal Server Error", b"<Error><Code>InternalError</Code></Error>"

    server.before = take_over
    with pytest.raises(AnotherRunError, match="nothing was exchanged"):
        FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
    assert len(refused) == 1
    assert dataset_path(dataset.address) == dataset.address
    FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
    assert dataset.require_whole()
