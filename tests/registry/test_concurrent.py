"""Several processes write one folder while others read it: nothing is lost, nobody sees half of anything."""

from __future__ import annotations

import itertools
import random
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lightmigrate import Library, Registry
from tests.databases import make_projection
from tests.processes import TIMEOUT, start
from tests.registry.folders import shelf

WRITERS, ROUNDS, KILLS = 3, 8, 6


def add_many(folder: Path, writer: int) -> None:
    registry = Registry(folder)
    for number in range(ROUNDS):
        registry.add(make_projection(number), f"{writer}-{number}.npz")
        if number % 2:
            registry.remove(f"{writer}-{number - 1}.npz")


def replace_many(folder: Path, writer: int) -> None:
    registry = Registry(folder)
    for number in range(ROUNDS):
        registry.add(make_projection(100 * writer + number), "0.npz")


def replace_for_ever(folder: Path) -> None:
    registry = Registry(folder)
    for number in itertools.count():
        registry.add(make_projection(number), "0.npz")


def read_until(folder: Path, begun: Path, stop: Path) -> None:
    """Finds and loads until told to stop; any error is this process's exit code."""
    looks = 0
    while not stop.exists():
        (candidate,) = Library([folder]).find(source_dim=16, target_dim=None, target="new-model")
        time.sleep(0.001 * (looks % 3))  # the entry in hand grows old
        candidate.load()
        begun.touch()
        looks += 1


def reading(folder: Path, number: int, stop: Path) -> ForkServerProcess:
    """A process that reads, and has begun to."""
    begun = stop.with_name(f"begun-{number}")
    process = start(read_until, folder, begun, stop)
    while not begun.exists():
        process.join(0.01)  # asking without a pause would take the processor that it starts with
        assert process.is_alive()
    return process


def test_processes_that_add_and_remove_at_once_lose_nothing(tmp_path: Path) -> None:
    running = [start(add_many, tmp_path, writer) for writer in range(WRITERS)]
    for process in running:
        process.join(TIMEOUT)
    assert [process.exitcode for process in running] == [0] * WRITERS
    expected = {f"{writer}-{number}.npz" for writer in range(WRITERS) for number in range(1, ROUNDS, 2)}
    registry = Registry(tmp_path)
    assert {entry.file for entry in registry.entries()} == expected
    assert registry.verify() == []
    assert {path.name for path in tmp_path.iterdir()} == expected | {"registry.json", ".registry.json.lock"}


def test_readers_see_the_old_or_the_new_one_while_writers_exchange_it(tmp_path: Path) -> None:
    folder, stop = tmp_path / "shelf", tmp_path / "stop"
    shelf(folder, make_projection())
    readers = [reading(folder, number, stop) for number in range(2)]
    writers = [start(replace_many, folder, writer) for writer in range(2)]
    for process in writers:
        process.join(TIMEOUT)
    stop.touch()
    for process in readers:
        process.join(TIMEOUT)
    assert [process.exitcode for process in writers + readers] == [0] * 4
    assert Registry(folder).verify() == []


def test_readers_see_the_old_or_the_new_one_while_writers_are_killed(tmp_path: Path) -> None:
    folder, stop = tmp_path / "shelf", tmp_path / "stop"
    registry = shelf(folder, make_projection())
    reader = reading(folder, 0, stop)
    chance = random.Random(0)
    for _ in range(KILLS):
        before = registry.path.stat().st_mtime_ns
        writer = start(replace_for_ever, folder)
        while registry.path.stat().st_mtime_ns == before:
            assert writer.is_alive()
            writer.join(0.01)
        writer.join(chance.uniform(0, 0.1))
        writer.kill()
        writer.join(TIMEOUT)
        assert {problem.kind for problem in registry.verify()} <= {"unfinished", "unlisted", "leftover"}
        (entry,) = registry.entries()
        registry.load(entry)
    stop.touch()
    reader.join(TIMEOUT)
    assert reader.exitcode == 0
    registry.add(make_projection(), "0.npz")
    assert registry.verify() == []
    assert {path.name for path in folder.iterdir()} == {"0.npz", "registry.json", ".registry.json.lock"}
