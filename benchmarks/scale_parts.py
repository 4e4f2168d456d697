"""Where the processor time of a conversion goes, and what a billion vectors take: `python benchmarks/scale_parts.py`.

One Parquet file (float32 in fixed-size lists, zstd, an id and a text beside) is converted by one process with one
thread, from 384 to 768 numbers and from 1,024 to 1,024, and then the parts of that one by one, each five times; the
least counts:

- `read`: pages of the old vectors are decompressed and decoded by pyarrow.
- `project`: matrix product, bias and length.
- `compress`: pages of the new vectors are put together and compressed.
- `write`: the bytes are handed to the system.
- `check`: what was written is read back, decompressed and compared.
- `hash`: its SHA-256.
- `rest`: of the whole, what is none of these: other columns, Python, the footer, flushing.

A script that promises nothing does without `check` and `hash`, so `read` to `write` are the floor. From the whole and
from the bytes of the files follows what a billion vectors of 1,024 numbers take: core hours, and hours where the
storage gives so many gigabytes a second, read and written together, to all machines. The result is
`results/scale_parts.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.scale.convert import Conversion, convert
from lightmigrate.scale.folder_place import FolderDestination
from lightmigrate.scale.manifest import Done
from lightmigrate.stores.open import open_units
from lightmigrate.stores.units import UnitFolder
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns
from lightmigrate.stores.vector_files.parquet_footer import PLAIN, Footer
from lightmigrate.stores.vector_files.parquet_pages import PageWriter
from lightmigrate.stores.vector_files.table import Options

ROWS, BLOCK, TIMES = 50_000, 4_096, 5
DIMENSIONS = ((384, 768), (1_024, 1_024))
PARTS = ("read", "project", "compress", "write", "check", "hash", "rest")
FLOOR = PARTS[:4]
CORES, MACHINES, GIGABYTES = 16, (1, 2, 4, 8), (0.5, 2, 8)
ZSTD = 6
RESULT = Path(__file__).parent / "results" / "scale_parts.md"


def least(work: Callable[[], object]) -> float:
    """Processor seconds for a million vectors, of several runs the least."""
    seconds = []
    for _ in range(TIMES):
        before = time.process_time()
        work()
        seconds.append(time.process_time() - before)
    return min(seconds) / ROWS * 1e6


def measure(home: Path, old: int, new: int) -> tuple[dict[str, float], int, int]:
    """Processor seconds of each part, and the bytes of the file before and after, all for a million vectors."""
    random = np.random.default_rng(1)
    vectors = random.standard_normal((ROWS, old), np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), old)
    table = {"id": [f"{row}" for row in range(ROWS)], "text": ["six words of a text here"] * ROWS, "embedding": column}
    source = home / f"{old}" / "part.parquet"
    source.parent.mkdir()
    pq.write_table(pa.table(table), source, row_group_size=25_000, compression="zstd")
    matrix = (random.standard_normal((old, new)) / np.sqrt(old)).astype(np.float32)
    made = Projection.affine(matrix, np.zeros(new, np.float32), source=Model("old", old), target=Model("new", new))
    file = made.save(home / f"{old}.npz")
    target = home / f"{old}-new"
    folder = open_units(str(source.parent))
    assert isinstance(folder, UnitFolder)
    task = Conversion(folder, source.name, FolderDestination(target, home / "manifest"), file, "refuse")

    def whole() -> None:
        assert isinstance(convert(task), Done)

    parts = {"whole": least(whole)}
    columns = ParquetColumns(source, Options())

    def blocks() -> Iterator[Any]:
        for batch in columns.batches(BLOCK, columns=["embedding"]):
            yield columns.vectors_in(batch.column(0))[0]

    parts["read"] = least(lambda: [None for _ in blocks()])
    projected = [made.apply(block) for block in blocks()]
    parts["project"] = least(lambda: [None for block in blocks() if made.apply(block) is None]) - parts["read"]
    with source.open("rb") as opened:
        leaf = Footer.read(opened.fileno(), source.stat().st_size).leaf("embedding")
    writer = PageWriter(leaf, ZSTD, PLAIN)
    present = [np.ones(len(block), np.bool_) for block in projected]
    pairs = list(zip(projected, present, strict=True))
    parts["compress"] = least(lambda: [None for pair in pairs for _ in writer.pages(*pair)])
    stored = [page.header + bytes(page.body) for pair in pairs for page in writer.pages(*pair)]

    def write() -> None:
        with (home / "written").open("wb") as out:
            for page in stored:
                out.write(page)
                out.flush()

    parts["write"] = least(write)

    def check() -> None:
        with (home / "written").open("rb") as written:
            for pair in pairs:
                for page in writer.pages(*pair):
                    data = written.read(len(page.header) + page.body.size)
                    assert writer.is_read_back(page, data)

    parts["check"] = least(check) - parts["compress"]
    parts["hash"] = least(lambda: [hashlib.sha256(page).digest() for page in stored])
    parts["rest"] = parts["whole"] - sum(parts[name] for name in PARTS[:-1])
    after = (target / source.name).stat().st_size
    return parts, round(source.stat().st_size / ROWS * 1e6), round(after / ROWS * 1e6)


def tables(measured: dict[tuple[int, int], tuple[dict[str, float], int, int]]) -> str:
    """What was measured, and what follows, as Markdown."""
    rows = ["| numbers | " + " | ".join(PARTS) + " | whole | floor | GB before | GB after |", "|---|" + "--:|" * 11]
    for (old, new), (parts, before, after) in measured.items():
        floor = sum(parts[name] for name in FLOOR)
        each = " | ".join(f"{parts[name]:.1f}" for name in (*PARTS, "whole"))
        rows.append(f"| {old:,} → {new:,} | {each} | {floor:.1f} | {before / 1e9:.2f} | {after / 1e9:.2f} |")
    parts, before, after = measured[DIMENSIONS[-1]]
    core_hours, gigabytes = parts["whole"] * 1_000 / 3_600, (before + after) / 1e6
    lines = [
        "Processor seconds and gigabytes for a million vectors:", "", *rows, "",
        f"A billion vectors of 1,024 numbers take {core_hours:.0f} core hours, read {before / 1e6:,.0f} GB and write "
        f"{after / 1e6:,.0f} GB. Hours, where the cores of so many machines ({CORES} each) or the storage are the "
        "limit (**bold**: the storage is):", "",
        "| machines | " + " | ".join(f"{each:g} GB/s" for each in GIGABYTES) + " |", "|--:|" + "--:|" * len(GIGABYTES),
    ]  # fmt: skip
    for machines in MACHINES:
        cells = []
        for rate in GIGABYTES:
            by_cores, by_storage = core_hours / CORES / machines, gigabytes / rate / 3_600
            cells.append(f"**{by_storage:.1f}**" if by_storage > by_cores else f"{by_cores:.1f}")
        lines.append(f"| {machines} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, help="folder for the files: 2 GB")
    options = parser.parse_args()
    settings = {**dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"), "MIMALLOC_PURGE_DELAY": "-1"}
    if not settings.items() <= os.environ.items():  # as workers have them, and read when libraries are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **settings})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory(dir=options.place) as home:
        measured = {each: measure(Path(home), *each) for each in DIMENSIONS}
    explained = (__doc__ or "").partition("\n")[2].strip()
    RESULT.write_text(f"# Where the processor time of a conversion goes\n{explained}\n\n{tables(measured)}", "utf-8")


if __name__ == "__main__":
    main()
