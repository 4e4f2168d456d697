"""How fast many files are converted: `python benchmarks/scale.py --results DIR [--millions 1 4] [--place FOLDER]`.

Parquet files of 125,000 vectors of 384 numbers (float32, fixed-size lists) with an id and a text of six words each are
converted to 768 numbers with a linear projection. In turn, each in processes of its own, on the same files:

- `loop`: what people write: read a file with pyarrow, multiply, write it. Nothing is compared or kept.
- `processes`: `lightmigrate migrate FOLDER --workers 2`: compared bit by bit, flushed, exchanged, with a backup.
- `ray`: the same with `--cluster ray` on a cluster that runs already, with two cores; its start is not counted.
- `lance`: `lightmigrate migrate TABLE.lance --workers 2` on the same rows in a Lance table of as many fragments.
- `ray data`, `daft`: what people write with these libraries instead, in three lines; nothing is compared or kept. Needs
  `pip install 'ray[data]' daft`.

Told are vectors a second, processor seconds for a million vectors, and the most memory (the sum of the shares that
`smaps_rollup` gives, so that shared pages count once) of all processes that take part. Results are added to
`scale.jsonl`; the newest of each size and way is a row of `scale.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lance
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection

OLD, NEW, ROWS = 384, 768, 125_000
WAYS = ("loop", "processes", "ray", "lance", "ray data", "daft")
SCRIPTS = ("loop", "ray data", "daft")  # which people write themselves
WORKERS = 2
LOOK_EVERY = 0.5  # seconds between two looks at memory

HEADING = """# How fast many files are converted
"""


def make(folder: Path, millions: int) -> None:
    """The files; every one has other vectors."""
    folder.mkdir(parents=True)
    words = np.array(["vector", "memory", "agent", "folder", "search", "model", "query", "index"])
    for number in range(millions * 1_000_000 // ROWS):
        random = np.random.default_rng(number)
        vectors = random.standard_normal((ROWS, OLD), np.float32)
        texts = [" ".join(row) for row in words[random.integers(0, len(words), (ROWS, 6))]]
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), OLD)
        ids = [f"{number}-{row}" for row in range(ROWS)]
        table = pa.table({"id": ids, "text": texts, "embedding": column})
        pq.write_table(table, folder / f"part-{number:05}.parquet", row_group_size=25_000, compression="zstd")


def loop(folder: Path, projection: Path) -> None:
    """The script that people write."""
    matrix = np.load(projection.with_suffix(".npy"))
    target = folder.with_name("converted")
    target.mkdir()
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        old = table.column("embedding").combine_chunks().flatten().to_numpy().reshape(-1, OLD)
        new = old @ matrix
        column = pa.FixedSizeListArray.from_arrays(pa.array(new.astype(np.float32).ravel()), NEW)
        table = table.set_column(table.schema.get_field_index("embedding"), "embedding", column)
        pq.write_table(table, target / path.name, compression="zstd")


def with_ray_data(folder: Path, projection: Path) -> None:
    """The same with Ray Data."""
    import ray

    matrix = np.load(projection.with_suffix(".npy"))
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, object_store_memory=10**9)
    read = ray.data.read_parquet(str(folder))
    read.map_batches(lambda table: with_projected(table, matrix), batch_format="pyarrow").write_parquet(
        str(folder.with_name("converted")), compression="zstd"
    )


def with_daft(folder: Path, projection: Path) -> None:
    """The same with Daft."""
    daft: Any = importlib.import_module("daft")
    matrix = np.load(projection.with_suffix(".npy"))

    kind = daft.DataType.fixed_size_list(daft.DataType.float32(), NEW)

    def project(column: Any) -> Any:
        return projected(column.to_arrow(), matrix)

    applied = daft.func.batch(return_dtype=kind)(project)
    frame = daft.read_parquet(f"{folder}/*.parquet")
    frame.with_column("embedding", applied(frame["embedding"])).write_parquet(
        str(folder.with_name("converted")), compression="zstd"
    )


def with_projected(table: Any, matrix: Any) -> Any:
    """A table with projected vectors."""
    column = projected(table.column("embedding").combine_chunks(), matrix)
    return table.set_column(table.schema.get_field_index("embedding"), "embedding", column)


def projected(column: Any, matrix: Any) -> Any:
    """A column of projected vectors."""
    new = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, OLD) @ matrix
    return pa.FixedSizeListArray.from_arrays(pa.array(new.astype(np.float32).ravel()), NEW)


def commands(way: str, folder: Path, projection: Path) -> Sequence[str]:
    """The command of a way."""
    if way in SCRIPTS:
        return [sys.executable, __file__, "--script", way, str(folder), str(projection)]
    words = ["--cluster", "ray"] if way == "ray" else ["--workers", str(WORKERS)]
    program = [sys.executable, "-m", "lightmigrate", "migrate", str(folder), "-p", str(projection)]
    return [*program, *words, "--force", "--yes", "--json"]


class Watched:
    """Processor seconds and the most memory of a process and all below it, and of a cluster."""

    def __init__(self, process: subprocess.Popen[bytes], also: Sequence[psutil.Process]) -> None:
        self._roots = [psutil.Process(process.pid), *also]
        self._ended = threading.Event()
        self._before = {one.pid: _seconds(one) for root in also for one in _all_below(root)}
        self.seconds: dict[int, float] = {}
        self.bytes = 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.is_set():
            memory = 0
            for root in self._roots:
                for one in _all_below(root):
                    with contextlib.suppress(psutil.Error, OSError):
                        self.seconds[one.pid] = _seconds(one) - self._before.get(one.pid, 0.0)
                        memory += _share(one.pid)
            self.bytes = max(self.bytes, memory)
            self._ended.wait(LOOK_EVERY)

    def end(self) -> None:
        """Look no longer."""
        self._ended.set()
        self._thread.join()


def _all_below(root: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return []


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _share(pid: int) -> int:
    """Bytes of memory of a process; of what several share, its part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def cluster(way: str) -> Iterator[tuple[Mapping[str, str], list[psutil.Process]]]:
    """The environment of a command, and the processes of a cluster where the way needs one."""
    if way != "ray":
        yield os.environ, []
        return
    from ray.cluster_utils import Cluster

    head = {"num_cpus": WORKERS, "include_dashboard": False, "object_store_memory": 200 * 2**20}
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        known = [psutil.Process(one.process.pid) for each in started.head_node.all_processes.values() for one in each]
        yield {**os.environ, "RAY_ADDRESS": started.address}, known
    finally:
        started.shutdown()


def measure(way: str, folder: Path, projection: Path, millions: int) -> dict[str, Any]:
    """Convert a copy of the files that shares their content, in one way."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as place, cluster(way) as (environment, also):
        copy = Path(place) / "vectors"
        if way == "lance":
            copy = copy.with_suffix(".lance")
            for path in sorted(folder.glob("*.parquet")):
                file = pq.ParquetFile(path)
                lance.write_dataset(file.iter_batches(8_192), copy, file.schema_arrow, mode="append")
        else:
            shutil.copytree(folder, copy, copy_function=os.link)
        os.sync()
        started = time.monotonic()
        process = subprocess.Popen(commands(way, copy, projection), env=environment, stdout=subprocess.DEVNULL)
        watched = Watched(process, also)
        status = process.wait()
        seconds = time.monotonic() - started
        watched.end()
        if status:
            raise SystemExit(f"{way} ended with {status}")
        return {
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "millions": millions,
            "way": way,
            "seconds": round(seconds, 1),
            "processor": round(sum(watched.seconds.values()), 1),
            "mebibytes": round(watched.bytes / 2**20),
        }


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The newest result of each size and way, as Markdown."""
    newest = {(one["millions"], one["way"]): one for one in lines}
    rows = ["| million vectors | way | vectors/s | of the loop's | processor s / million | memory, MiB | measured |"]
    rows.append("|--:|---|--:|--:|--:|--:|---|")
    for (millions, way), one in sorted(newest.items(), key=lambda item: (item[0][0], WAYS.index(item[0][1]))):
        base = newest.get((millions, "loop"))
        ratio = f"{base['seconds'] / one['seconds']:.2f}" if base else ""
        rows.append(
            f"| {millions} | {way} | {millions * 1e6 / one['seconds']:,.0f} | {ratio} "
            f"| {one['processor'] / millions:.0f} | {one['mebibytes']:,} | {one['date']} |"
        )
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="folder for the results")
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--place", type=Path, help="folder for the files: 6 GB for a million, 24 GB for four")
    parser.add_argument("--script", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.script:
        way, folder, projection = options.script
        {"loop": loop, "ray data": with_ray_data, "daft": with_daft}[way](Path(folder), Path(projection))
        return
    with tempfile.TemporaryDirectory(dir=options.place) as home:
        random = np.random.default_rng(1)
        matrix = (random.standard_normal((OLD, NEW)) / np.sqrt(OLD)).astype(np.float32)
        made = Projection.affine(matrix, np.zeros(NEW, np.float32), source=Model("old", OLD), target=Model("new", NEW))
        projection = made.save(Path(home) / "projection.npz")
        np.save(projection.with_suffix(".npy"), matrix)
        for millions in options.millions:
            folder = Path(home) / f"{millions}" / "vectors"
            make(folder, millions)
            for way in options.ways:
                result = measure(way, folder, projection, millions)
                print(result, file=sys.stderr)
                if options.results:
                    lines = options.results / "scale.jsonl"
                    with lines.open("a", encoding="utf-8") as stream:
                        stream.write(json.dumps(result) + "\n")
                    known = [json.loads(line) for line in lines.read_text().splitlines()]
                    explained = (__doc__ or "").partition("\n")[2].strip()
                    (options.results / "scale.md").write_text(f"{HEADING}{explained}\n\n{table(known)}", "utf-8")
            shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main()
