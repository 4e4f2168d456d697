"""A lock belongs to the process that took it: no child that was forked meanwhile holds it, and none gives it back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightmigrate.files import is_locked, try_lock
from lightmigrate.refinement.lock import elected, only_run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")

# Takes locks as it is told, forks a child, gives them back when it is told to, and goes on.
FORKS = """
import contextlib, os, signal, sys
from pathlib import Path
from lightmigrate.files import locked, shared, try_lock
from lightmigrate.refinement.lock import elected, only_run
held = contextlib.ExitStack()
for lock, path in zip((try_lock, elected, only_run, locked), map(Path, sys.argv[1:])):
    held.enter_context(lock(path))
if not os.fork():
    print(os.getpid(), flush=True)
    signal.pause()
sys.stdin.readline()
held.close()
print('closed', flush=True)
signal.pause()
"""


@contextmanager
def forking(*paths: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds locks, and the id of the child that it has forked since."""
    words = [sys.executable, "-c", FORKS, *map(str, paths)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process, child
        finally:
            os.kill(child, signal.SIGKILL)
            process.kill()


@pytest.mark.parametrize("end", ["gives them back", "is killed"])
def test_locks_end_with_their_holder_although_its_child_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tried, place, other, held = tmp_path / "tried", tmp_path / "place", tmp_path / "other", tmp_path / "held"
    with forking(tried, place, other, held) as (process, child):
        assert process.stdin is not None
        assert process.stdout is not None
        assert is_locked(tried), "the child has closed its copy, which gives nothing back"
        assert is_locked(held)
        assert elected(place) is None
        if end == "is killed":
            process.kill()
            process.wait()
        else:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "closed\n"
        os.kill(child, 0)
        for path in (tried, held):
            lock = try_lock(path)
            assert lock is not None
            lock.close()
        became = elected(place)
        assert became is not None
        became.close()
        with only_run(other):
            pass
