"""Fuzz every reader of foreign bytes: `python benchmarks/fuzz.py --seconds 360`; needs `pip install atheris`.

Each target gets real files that atheris mutates, led by the branches of lightmigrate that they reach. It may read them
or refuse them with an error of its own; anything else is a finding: another exception, more than ten seconds, more
memory than ten times the file (and `SLACK`), the death of the process. Bytes that a checksum protects are given with a
right checksum, too: it keeps off accidents, not attackers.

What was found is kept in `results/fuzz/`, the counts in `results/fuzz.json`, and both become `results/fuzz.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz_readers import MOST_BYTES
from fuzz_targets import TARGETS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
COUNTS, FOUND, TABLE = RESULTS / "fuzz.json", RESULTS / "fuzz", RESULTS / "fuzz.md"

# A run may use so much more than ten times its file, for what does not depend on the file: tables, modules, a database.
SLACK = 8 << 20

SECONDS_FOR_ONE = 10

# Of so many inputs the memory of one is measured, which takes longer than reading it.
MEASURED_EVERY = 8


def main() -> int:
    """Fuzz the targets one after another, and write the table; the exit status is 1 if anything was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seconds", type=int, default=360, help="for each target")
    parser.add_argument("--child", choices=list(TARGETS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return fuzz(options.child, options.seconds)
    for name in options.targets:
        command = [sys.executable, __file__, "--child", name, "--seconds", str(options.seconds)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        died = ended.returncode not in (0, 1)
        if died:
            print(ended.stdout[-2000:], ended.stderr[-4000:], sep="\n")
        keep_counts(name, died=died)
        write_table()
    return int(any(entry["found"] or entry["died"] for entry in counts().values()))


def fuzz(name: str, seconds: int) -> int:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    seeds, read, modules = TARGETS[name]
    watched = [f"lightmigrate.{module}" for module in modules]
    with atheris.instrument_imports(include=watched, enable_loader_override=False):
        for module in watched:
            importlib.import_module(module)
    folder = Path(tempfile.mkdtemp(prefix=f"lightmigrate-fuzz-{name}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(folder)):
        (corpus / str(number)).write_bytes(seed)
    run = Run(name, read, folder / "place")
    flags = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={3 * SECONDS_FOR_ONE}", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={folder}/", str(corpus)], run)
    try:
        atheris.Fuzz()  # ends the process
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


class Run:
    """Gives inputs to a reader, and keeps what must not happen."""

    def __init__(self, name: str, read: Callable[[bytes, Path], None], place: Path) -> None:
        self._name, self._read, self._place = name, read, place
        self._started, self._executions, self._noted = time.monotonic(), 0, 0.0
        self._found: set[str] = set()
        self._file = RESULTS / f".fuzz-{name}.json"

    def __call__(self, content: bytes) -> None:
        """Give one input to the reader."""
        self._executions += 1
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir()
        if measures := self._executions % MEASURED_EVERY == 0:
            tracemalloc.start(1)
        try:
            with at_most(SECONDS_FOR_ONE):
                self._read(content, self._place)
        except TooSlowError:
            self._find(content, f"more than {SECONDS_FOR_ONE} s")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding, unless it is one of ours
            if not isinstance(error, importlib.import_module("lightmigrate.errors").LightmigrateError):
                self._find(content, f"{type(error).__name__} at {place_of(error)}")
        used = tracemalloc.get_traced_memory()[1] if measures else 0
        tracemalloc.stop()
        if used > 10 * len(content) + SLACK:
            self._find(content, f"{used >> 20} MiB for {len(content):,} bytes")
        if time.monotonic() - self._noted > 5:
            self._note()

    def _find(self, content: bytes, what: str) -> None:
        kind = what if "MiB" not in what else "memory"
        if kind in self._found:
            return
        self._found.add(kind)
        FOUND.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(content).hexdigest()[:12]
        (FOUND / f"{self._name}-{digest}").write_bytes(content)
        print(f"{self._name}: {what}: {digest}", flush=True)
        self._note()

    def _note(self) -> None:
        self._noted = time.monotonic()
        seconds = round(self._noted - self._started)
        noted = {"executions": self._executions, "seconds": seconds, "found": sorted(self._found)}
        self._file.write_text(json.dumps(noted))


class TooSlowError(Exception):
    """An input took too long."""


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise `TooSlowError` when the block takes longer."""

    def late(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def place_of(error: BaseException) -> str:
    """Where in lightmigrate an exception was raised, or the last place that called something else."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/lightmigrate/" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


def counts() -> dict[str, Any]:
    """What all runs have counted, by target."""
    return dict(json.loads(COUNTS.read_text())) if COUNTS.exists() else {}


def keep_counts(name: str, *, died: bool) -> None:
    """Add what a run has counted."""
    noted = RESULTS / f".fuzz-{name}.json"
    run: dict[str, Any] = {"executions": 0, "seconds": 0, "found": []}
    if noted.exists():
        run = json.loads(noted.read_text())
    noted.unlink(missing_ok=True)
    all_runs = counts()
    before = all_runs.get(name, {"executions": 0, "seconds": 0, "found": [], "died": 0})
    all_runs[name] = {
        "executions": before["executions"] + run["executions"],
        "seconds": before["seconds"] + run["seconds"],
        "found": sorted(set(before["found"]) | set(run["found"])),
        "died": before["died"] + died,
    }
    COUNTS.write_text(json.dumps(all_runs, indent=1))


def write_table() -> None:
    """Write the counts as a table."""
    rows = [
        f"| {name} | {entry['executions']:,} | {entry['seconds']:,} | {'; '.join(entry['found']) or 'nothing'} | "
        f"{entry['died']} |"
        for name, entry in counts().items()
    ]
    seconds = sum(entry["seconds"] for entry in counts().values())
    head = TABLE.read_text().partition("<!-- counts -->")[0] if TABLE.exists() else ""
    lines = [
        f"{sum(entry['executions'] for entry in counts().values()):,} inputs in {seconds / 3600:.1f} hours.",
        "",
        "| reader | inputs | seconds | found | processes that died |",
        "|---|--:|--:|---|--:|",
        *rows,
    ]
    TABLE.write_text(head + "<!-- counts -->\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
