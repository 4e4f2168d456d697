"""How fast is it? `python benchmarks/throughput.py` writes `throughput.json` and `throughput.md`.

With another number of records (`--records 100000 --routes keep keep-full`) the file is `throughput_100000.json`.

Two things are measured:

1. `Projection.apply`, by NumPy and by onnxruntime, beside a bare `np.matmul` of the same shape. The three take
   turns, and each ratio compares neighbours in time, so that a machine that drifts cancels out.
2. A Chroma folder migrated by `ChromaMigrator` and by the short script people write instead. Every route runs in
   a process of its own on its own copy of the same database.

Only speed and memory are measured, so the projection matrices are random; the stored vectors are a real encoder's, and
the documents are its texts (`synthetic_passages.py`), because what an index's graph is worth afterwards depends on how
they lie.

Linux counts the peak memory of the process that starts another into that other's `ru_maxrss`. So this one stays
small: everything that needs memory runs in children, which print their findings as one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

import lightmigrate
from lightmigrate.migration.options import Verify
from lightmigrate.vectors import Vectors

SEED = 0
SHAPES = ((384, 768), (1024, 768), (1024, 1536))
STORED = (1024, 768)  # dimensions of the database before and after
COLLECTION, DATABASE = "benchmark", "database"
RECORDS = 10_000
WORDS_IN_DOCUMENT = 200
NAIVE_BATCH = 100
MOST_AT_ONCE = 32_000  # Chroma refuses to give more
ROUTES = {
    "naive": "the original design, a naive script",
    "keep": 'lightmigrate, `index="keep"`',
    "rebuild": '`index="rebuild"`',
    "rewrite": '`index="rewrite"`',
    "keep-full": '`index="keep", verify="full"`',
    "keep-unverified": '`index="keep", verify=False`',
}
VERIFY: dict[str, Verify] = {"": True, "full": "full", "unverified": False}
MEASURES = {"vectors_per_second": ",.0f", "vectors_per_cpu_second": ",.0f", "cpu_seconds": ".1f", "peak_mib": ",.0f"}
# Seconds between two timings: the threads of OpenBLAS and onnxruntime spin for a while after their work.
PAUSE = 0.1
ENVIRONMENT = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Read the options and measure, or be one of the children."""
    options = parser().parse_args()
    if options.child:
        print(json.dumps(run_child(options.child[0], Path(options.child[1]), options)))
        return
    report = {  # in this order: the load is read before anything runs
        "machine": machine(),
        "settings": settings(options),
        "projection": start_child("projection", Path(), options),
        "database": measure_routes(options),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    name = "throughput" if options.records == RECORDS else f"throughput_{options.records}"
    (options.output / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (options.output / f"{name}.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="Measure how fast lightmigrate projects and migrates.")
    made.add_argument("--rows", type=int, default=20_000, help="vectors in one call of apply (default %(default)s)")
    made.add_argument("--rounds", type=int, default=31, help="rounds of calls of apply (default %(default)s)")
    made.add_argument("--records", type=int, default=RECORDS, help="records in the database (default %(default)s)")
    made.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES), help="beside the naive script")
    made.add_argument("--repeat", type=int, default=3, help="migrations by every route (default %(default)s)")
    made.add_argument("--work-dir", type=Path, help="where the databases are made and thrown away")
    made.add_argument("--output", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    made.add_argument("--child", nargs=2, help=argparse.SUPPRESS)  # what to do, and in which folder
    return made


def settings(options: argparse.Namespace) -> dict[str, int]:
    """The options that change the numbers."""
    return {name: getattr(options, name) for name in ("rows", "rounds", "records", "repeat")}


def start_child(task: str, folder: Path, options: argparse.Namespace) -> Any:
    """Run a task in a process of its own; returns what it found."""
    print(f"{task} ...", file=sys.stderr, flush=True)
    numbers = [f"--{name}={value}" for name, value in settings(options).items()]
    command = [sys.executable, __file__, "--child", task, str(folder), *numbers]
    if options.work_dir:
        command.append(f"--work-dir={options.work_dir}")
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def run_child(task: str, folder: Path, options: argparse.Namespace) -> Any:
    """Do what a child was started for."""
    if task == "projection":
        return [measure_shape(shape, options) for shape in SHAPES]
    if task == "build":
        return build_database(folder, options.records)
    if task == "idle":
        return use_idly(folder)
    return take_route(task, folder, options.records)


# The projection alone


def random_projection(shape: tuple[int, int]) -> tuple[Vectors, Vectors, lightmigrate.Projection]:
    """Random W `(d_in, d_out)` and b `(d_out,)`, and both as a projection into a normalised space."""
    rng = np.random.default_rng(SEED)
    weights = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(shape[0]))
    bias = 0.01 * rng.standard_normal(shape[1], dtype=np.float32)
    source, target = lightmigrate.Model("old", shape[0]), lightmigrate.Model("new", shape[1])
    return weights, bias, lightmigrate.Projection.affine(weights, bias, source=source, target=target)


def measure_shape(shape: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Time a bare product, NumPy's `apply` and ONNX's `apply` by turns."""
    weights, _, projection = random_projection(shape)
    vectors = np.random.default_rng(SEED + 1).standard_normal((options.rows, shape[0]), dtype=np.float32)
    with tempfile.TemporaryDirectory(dir=options.work_dir) as folder:
        exported = lightmigrate.Projection.load(projection.export_onnx(Path(folder) / "projection.onnx"))
    contestants: dict[str, Callable[[], Any]] = {
        "matmul": lambda: np.matmul(vectors, weights),
        "numpy": lambda: projection.apply(vectors),
        "onnx": lambda: exported.apply(vectors),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(options.rounds + 1):
        for name, call in contestants.items():
            time.sleep(PAUSE)
            started = time.perf_counter()
            call()
            if round_number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    found: dict[str, Any] = {"shape": list(shape)}
    for name, own in seconds.items():
        ratios = [bare / one for bare, one in zip(seconds["matmul"], own, strict=True)]
        found[name] = {"vectors_per_second": options.rows / statistics.median(own), "ratio_to_matmul": spread(ratios)}
    return found


# A whole database


def open_client(folder: Path) -> Any:
    """Chroma's embedded client, silent."""
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))


def create_collection(client: Any) -> Any:
    """The empty collection; no embedding function, because the vectors are given."""
    configuration = {"hnsw": {"space": "cosine"}}
    return client.create_collection(COLLECTION, configuration=configuration, embedding_function=None)


def build_database(folder: Path, records: int) -> None:
    """A database with one collection of passages, their vectors and metadatas, always the same."""
    from synthetic_passages import Passages  # loads what a child that only migrates has no use for

    passages = Passages(STORED[0], WORDS_IN_DOCUMENT)
    client = open_client(folder)
    collection = create_collection(client)
    for start in range(0, records, 1000):
        rows = range(start, min(start + 1000, records))
        documents, vectors = passages.take(rows.start, rows.stop)
        collection.add(
            ids=[f"record-{row}" for row in rows],
            embeddings=vectors,
            documents=documents,
            metadatas=[{"source": f"{row % 97}.txt", "part": row, "score": row / 7} for row in rows],
        )
    client.close()


def measure_routes(options: argparse.Namespace) -> dict[str, Any]:
    """Migrate copies of one database by every route, by turns."""
    with tempfile.TemporaryDirectory(dir=options.work_dir) as made:
        work = Path(made)
        start_child("build", work / DATABASE, options)
        tasks = ("idle", "naive", *(route for route in options.routes if route != "naive"))
        runs: dict[str, list[dict[str, float]]] = {task: [] for task in tasks}
        for _ in range(options.repeat):
            for task, own in runs.items():
                (work / "run").mkdir()
                shutil.copytree(work / DATABASE, work / "run" / DATABASE)
                os.sync()  # so that no route has to wait for this copy to reach the disk
                own.append(start_child(task, work / "run" / DATABASE, options))
                shutil.rmtree(work / "run")
    idle = statistics.median(run["peak_mib"] for run in runs.pop("idle"))
    if peak_mib() > 0.9 * idle:
        raise SystemExit(f"the starting process took {peak_mib():.0f} MiB, which hides what its children took")
    return {
        "shape": list(STORED),
        "idle_peak_mib": idle,
        "routes": {task: summary(own, runs["naive"]) for task, own in runs.items()},
    }


def use_idly(folder: Path) -> dict[str, float]:
    """Open the database and search once: the memory that Chroma itself takes."""
    client = open_client(folder)
    collection = client.get_collection(COLLECTION, embedding_function=None)
    collection.query(query_embeddings=np.ones((1, STORED[0]), dtype=np.float32), n_results=10)
    return {"peak_mib": peak_mib()}


def take_route(task: str, folder: Path, records: int) -> dict[str, Any]:
    """Migrate the database in `folder` by one route; loading of libraries and making of matrices is not timed."""
    import chromadb  # noqa: F401

    weights, bias, projection = random_projection(STORED)
    found: dict[str, Any] = {}
    before, started = cpu_seconds(), time.perf_counter()
    if task == "naive":
        migrate_naively(folder, weights, bias)
    else:
        route, _, verify = task.partition("-")
        result = lightmigrate.ChromaMigrator(folder).migrate_collection(
            COLLECTION,
            projection,
            verify=VERIFY[verify],
            index=route,  # type: ignore[arg-type]  # the names of the tasks
        )
        if result.verification is not None:
            found = {
                "recall": result.verification.recall,
                "recall_before": result.verification.recall_before,
                "as_asked": float(result.index == route),
            }
    wall, cpu, peak = time.perf_counter() - started, cpu_seconds() - before, peak_mib()
    facts = [(one.name, one.count, one.dimension) for one in lightmigrate.ChromaMigrator(folder).collections()]
    if facts != [(COLLECTION, records, STORED[1])]:
        raise SystemExit(f"{task} did not migrate: {facts}")
    speeds = {"vectors_per_second": records / wall, "vectors_per_cpu_second": records / cpu}
    return {"seconds": wall, "cpu_seconds": cpu, **speeds, "peak_mib": peak, **found}


def migrate_naively(folder: Path, weights: Vectors, bias: Vectors) -> None:
    """Everything into memory, collection deleted, everything back: no backup, no check, no way back."""
    client = open_client(folder)
    collection = client.get_collection(COLLECTION, embedding_function=None)
    rows: dict[str, list[Any]] = {"ids": [], "embeddings": [], "documents": [], "metadatas": []}
    for start in range(0, collection.count(), MOST_AT_ONCE):
        part = collection.get(limit=MOST_AT_ONCE, offset=start, include=["embeddings", "documents", "metadatas"])
        for name, values in rows.items():
            values.extend(part[name])
    vectors = np.asarray(rows["embeddings"], dtype=np.float32) @ weights + bias
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    client.delete_collection(COLLECTION)
    collection = create_collection(client)
    for start in range(0, len(vectors), NAIVE_BATCH):
        batch = slice(start, start + NAIVE_BATCH)
        collection.add(
            ids=rows["ids"][batch],
            embeddings=vectors[batch].tolist(),
            documents=rows["documents"][batch],
            metadatas=rows["metadatas"][batch],
        )
    client.close()


def cpu_seconds() -> float:
    """Processor time of this process so far, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mib() -> float:
    """The most memory this process has held so far."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


# The report


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(runs: Sequence[dict[str, float]], naive: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The spread of every number of a route, and of its ratio to the naive script's in the same turn."""
    ratios = {name: [run[name] / other[name] for run, other in zip(runs, naive, strict=True)] for name in naive[0]}
    return {
        **{name: spread([run[name] for run in runs]) for name in runs[0]},
        "ratio_to_naive": {name: spread(values) for name, values in ratios.items()},
    }


def machine() -> dict[str, Any]:
    """What the numbers depend on, without saying whose machine it is."""
    blas = cast(Any, np.show_config(mode="dicts"))["Build Dependencies"]["blas"]
    return {
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "chromadb", "onnxruntime")},
        "blas": f"{blas['name']} {blas['version']}",
        **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def markdown(report: dict[str, Any]) -> str:
    """The report as two tables."""
    options, database = report["settings"], report["database"]
    projections = [
        ["{}→{}".format(*row["shape"])]
        + [f"{row[name]['vectors_per_second']:,.0f}" for name in ("matmul", "numpy", "onnx")]
        + [spread_text(row[name]["ratio_to_matmul"], ".2f") for name in ("numpy", "onnx")]
        for row in report["projection"]
    ]
    routes = [
        [ROUTES[task]]
        + [spread_text(route[name], form) for name, form in MEASURES.items()]
        + [spread_text(route["ratio_to_naive"][name], ".2f") for name in MEASURES]
        + [found_text(route)]
        for task, route in database["routes"].items()
    ]
    measured = ["vectors/s", "vectors/CPU s", "CPU s", "peak MiB"]
    head = ["route", *measured, *(f"{name} ÷ naive" for name in measured), "finds of the 10 nearest (before)"]
    return f"""# Throughput

{", ".join(f"{name} {value}" for name, value in report["machine"].items())}

`Projection.apply` on {options["rows"]:,} vectors, target normalised: vectors per second, and the speed relative
to a bare `np.matmul` of the same shape, median (min–max) of {options["rounds"]} rounds.

{table(["shape", "matmul", "NumPy", "ONNX", "NumPy ÷ matmul", "ONNX ÷ matmul"], projections)}

A Chroma folder of {options["records"]:,} records, {"{}→{}".format(*database["shape"])}, with documents of
{WORDS_IN_DOCUMENT} words: median (min–max) of {options["repeat"]} runs. lightmigrate keeps a backup, the naive
script keeps nothing. Searches are measured on 200 records.
A client that only opens the database and searches once takes {database["idle_peak_mib"]:.0f} MiB.

{table(head, routes)}
"""


def found_text(route: dict[str, Any]) -> str:
    """What searches through the new index find, and how often the route was the one that was asked for."""
    if "recall" not in route:
        return "–"
    recall, before, as_asked = (route[name]["median"] for name in ("recall", "recall_before", "as_asked"))
    return f"{recall:.3f} ({before:.3f})" + ("" if as_asked else ", gave way to the next route")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers on the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread_text(values: dict[str, float], form: str) -> str:
    """`median (min–max)`."""
    return f"{values['median']:{form}} ({values['min']:{form}}–{values['max']:{form}})"


if __name__ == "__main__":
    main()
