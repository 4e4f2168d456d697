"""Kill migrations while Chroma builds an index, and resume each once: `python benchmarks/crash_index.py --kills 200`.

Each kill has a copy of one database, and comes at a random moment between the first record that is written to the new
index and the last: when a random number of records was written, and up to a page's time later. Chroma writes the files
of this index every 100 records, or every 1,000 (its default) of a larger one, so most kills find it writing. What must
be true: the next run ends well, every record has the vector that the projection gives it, and the backup is the old
database, byte for byte.

What came of each kill is a line of `results/crash_index.jsonl`, and is not run again at the same commit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for the tests' processes

from crash import commit_measured  # noqa: E402

from lightmigrate import CollectionJob, Migrator  # noqa: E402
from lightmigrate.progress import Progress  # noqa: E402
from lightmigrate.stores.chroma.client import open_client  # noqa: E402
from lightmigrate.stores.chroma.folder import read_catalog  # noqa: E402
from lightmigrate.stores.chroma.taking_up import is_whole  # noqa: E402
from lightmigrate.stores.files import IndexRoute  # noqa: E402
from tests.databases import make_projection, make_vectors  # noqa: E402
from tests.processes import context, start  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
LINES, TABLE = RESULTS / "crash_index.jsonl", RESULTS / "crash_index.md"

NAME = "notes"

# How long a run may take that nobody kills.
SECONDS = 1800

ROUTES: tuple[IndexRoute, ...] = ("rewrite", "rebuild")


def main() -> int:
    """Kill what has not been killed, and write the table; the exit status is 1 if a run did not end well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="of each route")
    parser.add_argument("--records", type=int, default=1200)
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=ROUTES)
    options = parser.parse_args()
    commit = commit_measured()
    kept = [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []
    lines = [line for line in kept if line["commit"] == commit]
    LINES.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with tempfile.TemporaryDirectory(prefix="lightmigrate-crash-") as folder:
        template = make(Path(folder) / "template" / "chroma_data", options.records)
        for route in options.routes:
            done = {line["seed"] for line in lines if (line["route"], line["records"]) == (route, options.records)}
            for seed in sorted(set(range(options.kills)) - done):
                outcome = kill(template, Path(folder) / "killed", route, random.Random(seed), options.records)
                line = {"commit": commit, "route": route, "records": options.records, "seed": seed, **outcome}
                lines.append(line)
                with LINES.open("a") as file:
                    file.write(f"{json.dumps(line)}\n")
                print(json.dumps(line), flush=True)
                TABLE.write_text(table(lines))
    return int(any(line["fault"] for line in lines))


def make(folder: Path, records: int) -> Path:
    """A database of one collection, whose index Chroma writes to the disk often."""
    page = records_written_at_once(records)
    with open_client(folder) as client:
        collection = client.create_collection(
            NAME,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine", "sync_threshold": page, "batch_size": page // 2}},
        )
        ids = [f"record {number}" for number in range(records)]
        for first in range(0, records, 1000):
            some = ids[first : first + 1000]
            collection.add(ids=some, embeddings=make_vectors(len(some), seed=first), documents=some)
    return folder


def records_written_at_once(records: int) -> int:
    """After so many records Chroma writes the index's files."""
    return 100 if records < 10_000 else 1000


def migrate(database: Path, route: IndexRoute, page: int, told: Connection) -> None:
    """Migrate, or go on; tells every progress, and at the end what is wrong, or nothing."""

    def on_progress(progress: Progress) -> None:
        told.send((progress.step, progress.done))

    migrator = Migrator(database, page_size=page // 2, on_progress=on_progress)
    if migrator.interrupted:
        migrator.resume(index=route)
    else:
        migrator.migrate([CollectionJob(NAME, make_projection())], index=route)
    told.send(("end", 0))


def kill(template: Path, home: Path, route: IndexRoute, chance: random.Random, records: int) -> Mapping[str, Any]:
    """Kill a migration at a random moment while it writes so many records, and resume it once."""
    shutil.copytree(template.parent, home)
    database = home / template.name
    try:
        here, there = context().Pipe()
        process = start(migrate, database, route, records_written_at_once(records), there)
        there.close()
        written = wait_until_written(here, chance.randrange(records), chance.random())
        process.kill()
        process.join()
        torn = is_torn(database)
        here, there = context().Pipe()
        process = start(migrate, database, route, records_written_at_once(records), there)
        there.close()
        with contextlib.suppress(EOFError):
            while here.poll(SECONDS):
                here.recv()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            fault = f"still running after {SECONDS} s"
        else:
            fault = f"exit status {process.exitcode}" if process.exitcode else fault_of(template, database)
        return {"written": written, "torn": torn, "fault": fault}
    finally:
        shutil.rmtree(home)


def wait_until_written(told: Connection, records: int, part: float) -> int:
    """Wait until so many records were written, and a part of a page's time; returns how many were written then."""
    done, last, page_seconds = 0, time.monotonic(), 0.0
    while done < records:
        step, now = told.recv()
        if step == "write":
            page_seconds, last, done = time.monotonic() - last, time.monotonic(), now
    time.sleep(part * page_seconds)
    return done


def is_torn(database: Path) -> bool | None:
    """Whether the files of the index that was being built are of two states; `None` if it was not being built."""
    workspace = database.with_name(f".{database.name}.lightmigrate")
    for folder in (workspace / "new", workspace / "scratch" / "0"):
        for facts in read_catalog(folder) if (folder / "chroma.sqlite3").exists() else ():
            if "-new-" in facts.name or facts.name == "index-only":
                return not is_whole(folder, facts.address)
    return None


def fault_of(template: Path, database: Path) -> str:
    """What is wrong with a database that was migrated; empty if nothing is."""
    (backup,) = Migrator(database).backups()
    if digest(backup.path) != digest(template):
        return "the backup is not the old database"
    with open_client(database) as client:
        found = client.get_collection(NAME, embedding_function=None).get(include=["embeddings", "documents"])
    if found["documents"] != found["ids"] or len(found["ids"]) != len(set(found["ids"])):
        return "other records"
    with open_client(backup.path) as client:
        old = client.get_collection(NAME, embedding_function=None).get(include=["embeddings"])
    if old["ids"] != found["ids"]:
        return "other records"
    expected = make_projection().apply(np.asarray(old["embeddings"], np.float32))
    return "" if np.allclose(found["embeddings"], expected, atol=1e-5) else "other vectors"


def digest(folder: Path) -> str:
    """Of all files of a database, but for what lightmigrate adds."""
    result = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            result.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return result.hexdigest()


def table(lines: list[dict[str, Any]]) -> str:
    """The outcomes, a row for each route and size, in Markdown."""
    rows = [
        f"Kills while Chroma built an index, by `benchmarks/crash_index.py`, commit {lines[0]['commit']}; each was",
        "resumed once. An index that was torn, files of two states, was begun anew; the others were taken up.",
        "",
        "| route | records | kills | torn | whole | between two indexes | ended well |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for route, records in sorted({(line["route"], line["records"]) for line in lines}):
        some = [line for line in lines if (line["route"], line["records"]) == (route, records)]
        states = [sum(line["torn"] is state for line in some) for state in (True, False, None)]
        well = sum(not line["fault"] for line in some)
        rows.append(f"| {route} | {records:,} | {len(some)} | {' | '.join(map(str, states))} | {well} |")
    faults = sorted({line["fault"] for line in lines if line["fault"]})
    return "\n".join([*rows, *(f"\nNot well: {fault}" for fault in faults)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
