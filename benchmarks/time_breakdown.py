"""Where a migration's processor time goes, and what it cannot do without: `python benchmarks/time_breakdown.py`.

A database is migrated with its graph kept, and with its index built anew. Then every part of that is done once more by
itself, in a process of its own, so that nothing that runs beside it counts: what Chroma takes to open the database, to
give all records, to search, and to be given all vectors; what copying, projecting, hashing and comparing take. Parts
that cannot be cheaper stand beside a bare loop over the same bytes, or a bare product of the same matrices.

Writes `results/time_breakdown.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import throughput

from lightmigrate import ChromaMigrator
from lightmigrate.files import copy_tree
from lightmigrate.migration.aside.build import FIRST_SEARCHES
from lightmigrate.migration.aside.draft import Draft
from lightmigrate.migration.baseline import Baseline
from lightmigrate.migration.digest import Contents, Digest
from lightmigrate.migration.job import Job
from lightmigrate.migration.recall import QUERIES, Exact
from lightmigrate.migration.verify import Comparison
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.foresight import SearchesIfKept
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.layout import Layout
from lightmigrate.stores.files import IndexRoute, RecordsInFiles

RESULT = Path(__file__).parent / "results" / "time_breakdown.md"
RECORDS, REPEAT, PAGE = 10_000, 3, 1000
ADDRESS = Address(throughput.COLLECTION)


def main() -> None:
    """Measure and write, or be one of the children."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)  # which, and the database
    part = parser.parse_args().part
    if part:
        print(json.dumps(PARTS[part[0]](Path(part[1]))))
        return
    with tempfile.TemporaryDirectory() as home:
        database = Path(home) / "built"
        throughput.build_database(database, RECORDS)
        found = {name: statistics.median(measured(name, database) for _ in range(REPEAT)) for name in PARTS}
    RESULT.write_text(report(found), encoding="utf-8")
    print(report(found))


def measured(name: str, database: Path) -> float:
    """CPU seconds of a part, on a copy, in a process of its own."""
    copy = database.with_name("copy")
    shutil.copytree(database, copy / "database")
    os.sync()
    command = [sys.executable, __file__, "--part", name, str(copy / "database")]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(copy)
    print(name, said.splitlines()[-1], file=sys.stderr, flush=True)
    return float(json.loads(said.splitlines()[-1]))


def timed(work: Callable[[], object]) -> float:
    """CPU seconds, all threads."""
    before = time.process_time()
    work()
    return time.process_time() - before


def migration(route: IndexRoute) -> Callable[[Path], float]:
    """All of it but loading Chroma."""

    def part(database: Path) -> float:
        _, _, projection = throughput.random_projection(throughput.STORED)
        migrator = ChromaMigrator(database)
        return timed(lambda: migrator.migrate_collection(throughput.COLLECTION, projection, index=route))

    return part


def with_all(work: Callable[[list[Page]], object]) -> Callable[[Path], float]:
    """Something that is done to all records, which are read beforehand."""

    def part(database: Path) -> float:
        with ChromaFolderStore(database) as store:
            pages = list(store.collection(ADDRESS).scan(PAGE))
        return timed(lambda: work(pages))

    return part


def opening(database: Path) -> float:
    """To open the database and have the index in memory."""

    def work() -> None:
        with ChromaFolderStore(database) as store:
            store.collection(ADDRESS).nearest(np.ones((1, throughput.STORED[0]), np.float32), 1)

    return timed(work)


def reopening(database: Path) -> float:
    """The same once more."""
    opening(database)
    return opening(database)


def reading(database: Path) -> float:
    """To give all records, a page at a time."""
    with ChromaFolderStore(database) as store:
        collection = store.collection(ADDRESS)
        collection.nearest(np.ones((1, throughput.STORED[0]), np.float32), 1)
        return timed(lambda: sum(len(page) for page in collection.scan(PAGE)))


def searching(database: Path) -> float:
    """To search for 200 stored vectors."""
    with ChromaFolderStore(database) as store:
        collection = store.collection(ADDRESS)
        vectors = next(collection.scan(QUERIES)).vectors
        return timed(lambda: collection.nearest(vectors, 11))


def inserting(database: Path) -> float:
    """To be given all vectors, and nothing else."""
    with ChromaFolderStore(database) as store:
        pages = list(store.collection(ADDRESS).scan(PAGE))
        weights, _, _ = throughput.random_projection(throughput.STORED)
        target = store.create_with(Address("vectors"), store.collection(ADDRESS).schema())
        nothing = [None] * PAGE

        def work() -> None:
            for page in pages:
                target.add(Page(page.ids, page.vectors @ weights, nothing, nothing))

        return timed(work)


def reading_files(database: Path) -> float:
    """To read all records from the files, texts and payloads too."""
    return with_files(database, lambda files: sum(len(page) for page in files.scan(PAGE)))


def reading_vectors(database: Path) -> float:
    """To read ids and vectors from the files."""
    return with_files(database, lambda files: sum(len(page) for page in files.scan(PAGE, contents=False)))


def with_files(database: Path, work: Callable[[RecordsInFiles], object]) -> float:
    """Something that is done to the records in the files."""
    with ChromaFolderStore(database) as store:
        files = store.records_in_files(ADDRESS)
        assert files is not None
        return timed(lambda: work(files))


def believing(database: Path) -> float:
    """To ask Chroma for 1,000 records, and to compare them with those in the files."""
    with ChromaFolderStore(database) as store:
        store.collection(ADDRESS).nearest(np.ones((1, throughput.STORED[0]), np.float32), 1)
        return timed(lambda: store.records_in_files(ADDRESS))


def foreseeing(database: Path) -> float:
    """To search the graph with the new vectors before it is kept: the first searches, after which it mostly is."""
    _, _, projection = throughput.random_projection(throughput.STORED)
    folder = database.with_name("drafts")
    with ChromaFolderStore(database) as store:
        draft = Draft.write(Job(store.collection(ADDRESS), projection, "refuse"), folder, 0, PAGE, lambda step: None)
    layout = Layout.of(database, ADDRESS)
    assert layout is not None
    return timed(lambda: SearchesIfKept(layout, draft, "cosine").nearest(draft.queries[:FIRST_SEARCHES], 11))


def sampling(database: Path) -> float:
    """To look at samples of the old collection, and at its index."""
    with ChromaFolderStore(database) as store:
        collection = store.collection(ADDRESS)
        collection.nearest(np.ones((1, throughput.STORED[0]), np.float32), 1)
        return timed(lambda: Baseline.of(collection))


def drafting(database: Path) -> float:
    """To write all ids and vectors into files, and to read those twice."""
    _, _, projection = throughput.random_projection(throughput.STORED)
    folder = database.with_name("drafts")
    with ChromaFolderStore(database) as store:
        job = Job(store.collection(ADDRESS), projection, "refuse")
        Draft.write(job, folder, 0, PAGE, lambda step: None)

    def work() -> None:
        draft = Draft.written(folder, 0, projection)
        assert draft is not None
        draft.rows()
        with folder.joinpath("again").open("wb") as lines, folder.joinpath("vectors").open("wb") as numbers:
            for page in draft.pages(PAGE):
                lines.writelines(json.dumps(record).encode() + b"\n" for record in page.ids)
                numbers.write(page.vectors.data)
        Draft.written(folder, 0, projection)

    return timed(work)


def copying(database: Path) -> float:
    """The folder."""
    return timed(lambda: copy_tree(database, database.with_name("aside"), lambda size: None))


def exchanging(database: Path) -> float:
    """The vectors in the index's files."""
    layout = Layout.of(database, ADDRESS)
    assert layout is not None
    index = HnswFiles.open(layout.index)
    new = np.ones((PAGE, throughput.STORED[1]), np.float32)
    aside = database.with_name("aside")
    return timed(
        lambda: index.with_vectors(aside, new.shape[1], lambda _, old: new[: len(old)], normalised=True, at_once=PAGE)
    )


def project(pages: list[Page]) -> None:
    """All vectors."""
    _, _, projection = throughput.random_projection(throughput.STORED)
    for page in pages:
        projection.apply(page.vectors)


def multiply(pages: list[Page]) -> None:
    """The bare product."""
    weights, _, _ = throughput.random_projection(throughput.STORED)
    for page in pages:
        np.matmul(page.vectors, weights)


def digest(pages: list[Page]) -> None:
    """A SHA-256 of the text and the payload of each record, which is written down."""
    found = Digest()
    for page in pages:
        found.add_contents(page)


def compare(pages: list[Page]) -> None:
    """Every id and vector with what it should be, and a SHA-256 of each vector."""
    not_asked = cast(RecordsInFiles, object())  # would be, after all pages
    comparison = Comparison(contents=Contents("", ""), in_files=not_asked)
    for page in pages:
        comparison.add(page, page)


def nearest(pages: list[Page]) -> None:
    """The true neighbours of 200 vectors."""
    exact = Exact(pages[0].vectors[:QUERIES], "cosine")
    for page in pages:
        exact.add(page.vectors)


PARTS: dict[str, Callable[[Path], float]] = {
    "keep": migration("keep"),
    "rebuild": migration("rebuild"),
    "opening": opening,
    "reopening": reopening,
    "reading": reading,
    "reading files": reading_files,
    "reading vectors": reading_vectors,
    "believing": believing,
    "foreseeing": foreseeing,
    "searching": searching,
    "inserting": inserting,
    "sampling": sampling,
    "drafting": drafting,
    "copying": copying,
    "exchanging": exchanging,
    "projecting": with_all(project),
    "multiplying": with_all(multiply),
    "hashing": with_all(digest),
    "comparing": with_all(compare),
    "neighbours": with_all(nearest),
}

# How often each part occurs in a migration whose graph is kept, and what is said of it.
KEPT = {
    "opening": (1, "Chroma", "the copy, its index into memory"),
    "reopening": (1, "Chroma", "opening it again, so that what is verified is what is on the disk"),
    "believing": (2, "Chroma", "1,000 records, which must be as in the files: before, and to verify"),
    "searching": (2, "Chroma", "200 searches before and after"),
    "sampling": (1, "Chroma", "500 records from all over the collection, 100 searches, which distance it is"),
    "reading files": (1, "lightmigrate", "all records for the draft, and a digest of the tables"),
    "reading vectors": (1, "lightmigrate", "ids and vectors to verify, and that digest again"),
    "hashing": (1, "lightmigrate", "a SHA-256 of each record's text and metadata, to be written down"),
    "drafting": (1, "lightmigrate", "ids and vectors into files, with a checksum, and out of them twice"),
    "comparing": (1, "lightmigrate", "every vector with what it should be, and a SHA-256 of each"),
    "foreseeing": (1, "lightmigrate", "the first searches through the graph as it would be with the new vectors"),
    "neighbours": (2, "lightmigrate", "the true neighbours of 200 vectors, before and after"),
    "projecting": (1, "lightmigrate", "{multiplying:.2f} s of it are the bare product"),
    "exchanging": (1, "lightmigrate", "the vectors in the index's files"),
    "copying": (1, "lightmigrate", "the folder, by the system's own copying where it can"),
}  # fmt: skip


def report(found: dict[str, float]) -> str:
    """The page."""
    lines = []
    for name, (times, whose, said) in KEPT.items():
        seconds, note = times * found[name], said.format(**found)
        lines.append(f"| {name} | {times} | {whose} | {seconds:.2f} | {seconds / found['keep']:.0%} | {note} |\n")
    own = {whose: sum(n * found[name] for name, (n, one, _) in KEPT.items() if one == whose) for whose in
           ("Chroma", "lightmigrate")}  # fmt: skip
    rest = found["keep"] - sum(own.values())
    rest_said = "settings, catalogues, flushing to the disk, the exchange"
    most, ours = RECORDS / own["Chroma"], own["lightmigrate"]
    return f"""# Where a migration's time goes

Processor seconds for {RECORDS:,} records, 1024 → 768, documents of {throughput.WORDS_IN_DOCUMENT} words: medians of
{REPEAT}, each part by itself in a process of its own. Made by `benchmarks/time_breakdown.py`.

## The graph kept: {found["keep"]:.1f} s

| part | times | whose | seconds | share | |
|---|--:|---|--:|--:|---|
{"".join(lines)}| the rest | | | {rest:.2f} | {rest / found["keep"]:.0%} | {rest_said} |

Chroma's own part is {own["Chroma"]:.1f} s, lightmigrate's {ours:.1f} s: {most:,.0f} vectors a processor second would be
possible if the latter took no time. Through Chroma's interface reading everything once takes {found["reading"]:.1f} s,
because it makes a Python float of every number; from the files it takes {found["reading files"]:.1f} s.

## The index built anew: {found["rebuild"]:.1f} s

Giving Chroma the vectors alone takes {found["inserting"]:.1f} s, nearly all of what it takes more: the index's own
insertion, which is Chroma's.
"""


if __name__ == "__main__":
    main()
