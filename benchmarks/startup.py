"""What lightmigrate costs before it does anything: `python benchmarks/startup.py [FOLDER]`.

Two things are measured:

1. Fresh processes: an import, the command line's help, and a server's first call of the hook. They take turns with
   `import numpy` and with an empty program, so that a machine that drifts cancels out; they find their bytecode
   compiled, as pip leaves it; and their processor time is told too, which other programs hardly disturb.
2. The hook in a process that has used it before, with nothing to do: a database of ten collections that record their
   embedding function and were measured at the first start, and the same one by the dimension alone.

Writes `startup.json` into the folder, by default `results`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from chromadb.api.types import Documents, EmbeddingFunction

from lightmigrate import auto_migrate
from lightmigrate.stores.chroma.client import open_client

COLLECTIONS, ROWS, DIMENSION = 10, 1000, 384
STARTS, PROCESSES = 30, 21

# What a fresh process runs, after `-c` and with the database as its argument; `first` prints what it measured itself.
PROGRAMS = {
    "python": "pass",
    "import_numpy": "import numpy",
    "import_lightmigrate": "import lightmigrate",
    "import_lightmigrate_and_numpy": "import numpy, lightmigrate",
    "import_every_public_name": "from lightmigrate import *",
    "import_auto_migrate": "from lightmigrate import auto_migrate",
    "help": "from lightmigrate.cli.app import main; main(['--help'])",
}
FIRST_CALL = f"""
import sys, time
import numpy
started = time.perf_counter()
from lightmigrate import auto_migrate
imported = time.perf_counter()
assert auto_migrate(sys.argv[1], expected_dim={DIMENSION}).action == "nothing"
called = time.perf_counter()
auto_migrate(sys.argv[1], expected_dim={DIMENSION})
print(imported - started, called - imported, time.perf_counter() - called)
"""


class Hashed(EmbeddingFunction[Documents]):
    """An embedding function that costs next to nothing: what is measured is the hook, not a model."""

    def __init__(self) -> None:
        """Nothing to set up."""

    def __call__(self, input: Documents) -> Any:
        """A vector that depends on the text."""
        seeds = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in input)
        return [np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32) for seed in seeds]

    @staticmethod
    def name() -> str:
        """As Chroma records it."""
        return "hashed"

    def get_config(self) -> dict[str, Any]:
        """As Chroma records it."""
        return {"model_name": "hashed"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> Hashed:
        """As Chroma would."""
        return Hashed()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure what lightmigrate costs before it does anything.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "results")
    folder = parser.parse_args().folder
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "numpy": np.__version__,
        "load_before": round(os.getloadavg()[0], 1),
        "processes": PROCESSES,
    }
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_CACHE_HOME"] = home
        database = Path(home) / "chroma_data"
        build(database)
        found |= in_fresh_processes(database)
        found |= {
            "collections": COLLECTIONS,
            "records_each": ROWS,
            "calls": STARTS,
            "nothing_to_do_ms": calls(lambda: auto_migrate(database, Hashed())),
            "by_expected_dimension_ms": calls(lambda: auto_migrate(database, expected_dim=DIMENSION)),
        }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "startup.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def build(database: Path) -> None:
    """Ten collections."""
    with open_client(database) as client:
        for number in range(COLLECTIONS):
            collection = client.create_collection(f"collection-{number}", embedding_function=Hashed())
            documents = [f"document {number} {row}" for row in range(ROWS)]
            collection.add(
                ids=[str(row) for row in range(ROWS)],
                embeddings=Hashed()(documents),
                documents=documents,
            )


def in_fresh_processes(database: Path) -> dict[str, Any]:
    """Milliseconds of each program as a whole, of what it takes beyond another one, and of the hook's first call."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    first: list[list[float]] = []
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        for turn in range(PROCESSES + 1):
            for name, program in PROGRAMS.items():
                started, cpu_started = time.perf_counter(), children_cpu_seconds()
                run(program, database, environment)
                if turn:  # the first one compiles
                    seconds[name].append(time.perf_counter() - started)
                    cpu_seconds[name].append(children_cpu_seconds() - cpu_started)
            said = run(FIRST_CALL, database, environment)
            if turn:
                first.append([float(word) for word in said.split()])
    beyond = {
        "import_lightmigrate_beyond_numpy_ms": ("import_lightmigrate_and_numpy", "import_numpy"),
        "import_every_public_name_beyond_numpy_ms": ("import_every_public_name", "import_numpy"),
        "help_beyond_python_ms": ("help", "python"),
    }
    imported, called, again = zip(*first, strict=True)
    return {
        "whole_process_ms": {name: spread(own) for name, own in seconds.items()},
        "whole_process_cpu_ms": {name: spread(own) for name, own in cpu_seconds.items()},
        **{
            name: spread([one - other for one, other in zip(seconds[more], seconds[less], strict=True)])
            for name, (more, less) in beyond.items()
        },
        "hook_in_a_fresh_process_ms": {
            "import": spread(imported),
            "first_call": spread(called),
            "second_call": spread(again),
        },
    }


def run(program: str, database: Path, environment: dict[str, str]) -> str:
    """What a program in a fresh process prints."""
    command = [sys.executable, "-c", program, str(database)]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def children_cpu_seconds() -> float:
    """Processor time of all processes started so far and ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def calls(call: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of a call of the hook that finds nothing to do, not counting the first."""
    seconds = []
    for _ in range(STARTS + 1):
        started = time.perf_counter()
        assert call().action == "nothing"
        seconds.append(time.perf_counter() - started)
    return spread(seconds[1:])


def spread(seconds: Any) -> dict[str, float]:
    """Median, smallest and largest in milliseconds."""
    parts = {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
    return {name: round(1000 * value, 2) for name, value in parts.items()}


if __name__ == "__main__":
    main()
