"""A migration in every store beside the script people write: `python benchmarks/stores.py --rows 2000 --seeds 0 1`.

Every run is a process of its own, on its own copy of the same database, and the routes of a store take turns. The
script reads all, projects, and writes over: no backup, no check, no way back. lightmigrate does the whole migration,
verified, with a backup. `floor` (pgvector) is what cannot be saved; see `store_postgres.py`. With `--writers` an
application writes meanwhile, 200 times a second; see `store_writers.py`. Processor time and memory are those of the
process, and of the server where there is one; loading of libraries is not timed.

What was measured is kept in `results/stores.json` after every run, and not measured again: an interrupted run goes on.
`--anew` forgets it. To add a store, write a `Contestant` and name it in `CONTESTANTS`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import throughput
from store_contestant import NEW, Contestant, data, projection
from store_postgres import Postgres
from store_report import report
from store_scripts import Chroma, Faiss, Lance, Milvus, Npy, Parquet, Qdrant, SqliteVec
from store_writers import beside_application

from lightmigrate import Migrator

RESULTS = Path(__file__).parent / "results"
SECONDS_ALONE = 5.0  # that the same application is measured without a migration
CONTESTANTS: Mapping[str, Callable[[], Contestant]] = {
    "chroma": Chroma,
    "pgvector": Postgres,
    "qdrant": Qdrant,
    "milvus": Milvus,
    "lance": Lance,
    "sqlite-vec": SqliteVec,
    "faiss": Faiss,
    "npy": Npy,
    "parquet": Parquet,
}


def main() -> None:
    """Measure and write, or be one of the children."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stores", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--rows", type=int, nargs="+", default=[2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--writers", action="store_true", help="also while an application writes (pgvector)")
    parser.add_argument("--anew", action="store_true", help="forget what was measured before")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)  # which route, and the address
    options = parser.parse_args()
    if options.child:
        route, address = options.child
        print(json.dumps(child(options.stores[0], route, address, options.rows[0], options.seeds[0])))
        return
    path = options.results / "stores.json"
    found = {"runs": []} if options.anew or not path.exists() else json.loads(path.read_text(encoding="utf-8"))
    for run in measured(options, {key_of(run) for run in found["runs"]}):
        found["runs"].append(run)
        found["machine"] = throughput.machine()
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(report(found), encoding="utf-8")
    print(report(found))


def key_of(run: Mapping[str, Any]) -> tuple[str, int, int, str]:
    """What was measured."""
    return run["store"], run["rows"], run["seed"], run["route"]


def measured(options: argparse.Namespace, known: set[tuple[str, int, int, str]]) -> Iterator[dict[str, Any]]:
    """The runs that are not known yet."""
    for store in options.stores:
        contestant = CONTESTANTS[store]()
        routes = [*contestant.routes, *(["written"] if options.writers and store == "pgvector" else [])]
        try:
            for rows in options.rows:
                if contestant.rows is not None and rows > contestant.rows:
                    continue
                for seed in options.seeds:
                    left = [route for route in routes if (store, rows, seed, route) not in known]
                    if left:
                        yield from taking_turns(store, contestant, rows, seed, left)
        finally:
            contestant.close()


def taking_turns(
    store: str, contestant: Contestant, rows: int, seed: int, routes: list[str]
) -> Iterator[dict[str, Any]]:
    """One run of each route, each on a copy of the same database."""
    with tempfile.TemporaryDirectory(prefix="lightmigrate-stores-") as home:
        built = Path(home) / "built"
        command = [sys.executable, __file__, "--stores", store, "--rows", str(rows), "--seeds", str(seed), "--child"]
        subprocess.run([*command, "build", contestant.prepare(built)], check=True, stdout=subprocess.DEVNULL)
        for route in routes:
            with contestant.copied(built) as address:
                os.sync()  # so that no route has to wait for this copy to reach the disk
                load = os.getloadavg()[0]
                command_of_route = [*command, route, address]
                output = subprocess.run(command_of_route, check=True, stdout=subprocess.PIPE, text=True).stdout
            run = {"store": store, "name": contestant.name, "rows": rows, "seed": seed, "route": route, "load": load}
            run |= json.loads(output.splitlines()[-1])
            print(json.dumps(run), file=sys.stderr, flush=True)
            yield run


def child(store: str, route: str, address: str, rows: int, seed: int) -> dict[str, Any]:
    """Do what a child was started for."""
    contestant = CONTESTANTS[store]()
    for module in contestant.modules:
        importlib.import_module(module)
    if route == "build":
        contestant.build(address, data(rows, seed))
        return {}
    carried = projection(seed)

    def migrate() -> None:
        Migrator(address).migrate_collection(contestant.collection, carried, force=True)

    records = data(rows, seed) if route in ("floor", "written") else None
    if records is not None and route == "written":
        assert isinstance(contestant, Postgres)
        return beside_application(address, records.vectors, seed, SECONDS_ALONE, migrate)
    works: dict[str, Callable[[], None]] = {
        "script": lambda: contestant.script(address, seed),
        "lightmigrate": migrate,
    }
    if records is not None:
        floor = records
        assert isinstance(contestant, Postgres)
        works["floor"] = lambda: contestant.floor(address, floor, seed)
    return timed(works[route], contestant.server(address)) | checked(address, rows, route)


def checked(address: str, rows: int, route: str) -> dict[str, Any]:
    """Nothing, unless the database was not migrated."""
    found = [(facts.count, facts.dimension) for facts in Migrator(address).collections()]
    if route != "floor" and (rows, NEW.dimension) not in found:
        raise SystemExit(f"{route} did not migrate: {found}")
    return {}


def timed(work: Callable[[], None], server: int | None) -> dict[str, float]:
    """Seconds, processor seconds and the most memory, of this process and of a server."""
    with Watched(server) as watched:
        before, started = throughput.cpu_seconds() + watched.cpu_seconds(), time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        cpu = throughput.cpu_seconds()
        watched.count_ended()
        cpu += watched.cpu_seconds() - before
    own = throughput.peak_mib()
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": own + watched.peak_mib, "own_peak_mib": own}


class Watched(threading.Thread):
    """The memory of a server while something runs, its shared parts counted once.

    Args:
        server: its first process; `None` for no server.
    """

    def __init__(self, server: int | None) -> None:
        super().__init__(daemon=True)
        self._server = None if server is None else psutil.Process(server)
        self._done = threading.Event()
        self.peak_mib = 0.0

    def __enter__(self) -> Watched:
        if self._server is not None:
            self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._server is not None:
            self.join()

    def run(self) -> None:
        """Look ten times a second."""
        while not self._done.wait(0.1):
            self.peak_mib = max(self.peak_mib, sum(self._each(lambda process: process.memory_full_info().pss)) / 2**20)

    def count_ended(self) -> None:
        """Wait until the server has counted the time of the processes that have just ended."""
        if self._server is not None:
            time.sleep(1)

    def cpu_seconds(self) -> float:
        """Processor time of the server's processes, the ended ones included."""
        if self._server is None:
            return 0.0
        ended = self._server.cpu_times()
        running = sum(self._each(lambda process: sum(process.cpu_times()[:2])))
        return float(ended.children_user + ended.children_system + running)

    def _each(self, measure: Callable[[Any], float]) -> Iterator[float]:
        assert self._server is not None
        for process in (self._server, *self._server.children(recursive=True)):
            try:
                yield measure(process)
            except psutil.Error:  # it has ended
                continue


if __name__ == "__main__":
    main()
