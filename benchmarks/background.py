"""What the background refinement takes beside a plain loop, and what searches wait for meanwhile.

    python benchmarks/background.py [--rows 10000] [--model wordllama|minilm] [--through folder|server]

Real abstracts (repeated with other beginnings where there are too few) in a folder that this process opens, or behind a
real server, whose vectors are projected, and 200 of which are exact. Measured in one run: a plain loop that embeds
everything and adds it to a new database; searches while nothing else happens; the refinement until every row is exact,
with ten searches a second, and what they take; and again with no searches at all. The machine is the one that runs it:
numbers compare within a run only, so the result says how many times as long searches take beside the refinement.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings
from server import server

from lightmigrate import CollectionJob, Migrator, Model, Projection, auto_migrate, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.startup.memory import Memory, Remembered
from lightmigrate.startup.report import StartReport
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import Address
from lightmigrate.training.text_digest import text_digest
from lightmigrate.training.texts import NO_TEXTS
from lightmigrate.vectors import Vectors
from tests.encoders import MiniLMFunction, WordLlamaFunction

EXACT = 200
RESULTS = Path(__file__).parent / "results" / "background.md"
SECONDS_BETWEEN_SEARCHES = 0.1
IDLE_SEARCHES = 300
PERCENTILES = (50, 95, 99, 100)


def processor_seconds() -> float:
    """Of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Place:
    """A database in a folder that this process opens.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def opened(self) -> Any:
        """Chroma's client, as an application opens it."""
        return chromadb.PersistentClient(str(self.folder), Settings(anonymized_telemetry=False))

    def database(self) -> Any:
        """What `lightmigrate` is called with."""
        return self.folder

    def memory(self) -> Memory:
        """What is remembered of its models."""
        return Memory.of_folder(self.folder)


class Served(Place):
    """A database behind a server of its own.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def opened(self) -> Any:
        """Chroma's client, as an application opens it."""
        return chromadb.HttpClient(host="127.0.0.1", port=self._port, settings=Settings(anonymized_telemetry=False))

    def database(self) -> Any:
        """What `lightmigrate` is called with."""
        return self.opened()

    def memory(self) -> Memory:
        """What is remembered of its models."""
        return Memory.of_server(str(Migrator(self.opened()).path))


@contextmanager
def placed(folder: Path, through: str) -> Iterator[Place]:
    """A database that does not exist yet, in a folder or behind a server of that folder."""
    if through == "folder":
        yield Place(folder)
        return
    with server(folder) as (port, _):
        yield Served(port)


def texts_of(rows: int) -> list[str]:
    """Abstracts, each with its number where there are more rows than abstracts."""
    corpus = load_corpus().documents
    return [
        corpus[row % len(corpus)] if row < len(corpus) else f"{row}: {corpus[row % len(corpus)]}" for row in range(rows)
    ]


def add(client: Any, texts: Sequence[str], vectors: Vectors) -> None:
    """A collection, filled as applications do it."""
    notes = client.get_or_create_collection("notes", embedding_function=None)
    start = notes.count()
    ids = [f"n{start + row}" for row in range(len(texts))]
    notes.add(ids=ids, documents=list(texts), embeddings=vectors)


def loop(place: Place, texts: Sequence[str], function: Any) -> tuple[float, float]:
    """Embed everything and add it: seconds, and processor seconds."""
    started, used = time.monotonic(), processor_seconds()
    with place.opened() as client:
        for start in range(0, len(texts), 64):
            part = texts[start : start + 64]
            add(client, part, np.asarray(function(list(part)), np.float32))
    return time.monotonic() - started, processor_seconds() - used


def projected(place: Place, texts: Sequence[str], function: Any) -> None:
    """A database whose rows are projected to the space of `function`, but for some, as the first step leaves it."""
    corpus = load_corpus()
    old = np.tile(corpus.old_documents, (-(-len(texts) // len(corpus.documents)), 1))[: len(texts)]
    with place.opened() as client:
        for start in range(0, len(texts), 1000):
            add(client, texts[start : start + 1000], old[start : start + 1000])
    some = list(texts[:EXACT])
    provider = Cached(ChromaProvider(function))
    new = provider.embed(some)
    projection: Projection = fit(old[:EXACT], new, method="ridge", source_model=Model("old", old.shape[1]),
                                 target_model=provider.model)  # fmt: skip
    target = TargetModel(function, None, None)
    quality = {"value": 0.5, "low": 0.4, "high": 0.6}
    facts = {
        "model": provider.name, "provider": target.opened_by, "dimension": new.shape[1], "reads_texts": False,
        "texts_file": NO_TEXTS.to_json(), "expected": [(0.0, quality), (1.0, {"value": 1.0, "low": 1.0, "high": 1.0})],
    }  # fmt: skip
    embedded = EmbeddedTexts(provider, {text_digest(text) for text in some}, frozenset(), facts)
    migrator = Migrator(place.database())
    migrator.migrate([CollectionJob(Address("notes"), projection, function, embedded=embedded)], False, force=True)
    known = {Remembered("same", "they were migrated to this model"): migrator.collections()}
    place.memory().learn(known, target)


def searched(client: Any, queries: Vectors, report: StartReport | None, most: int) -> list[float]:
    """Ten searches a second until the refinement has ended, or so many; the seconds of each."""
    notes = client.get_collection("notes", embedding_function=None)
    taken: list[float] = []
    while len(taken) < most:
        if report is not None and report.refinement is not None and report.refinement.wait(SECONDS_BETWEEN_SEARCHES):
            break
        if report is None:
            time.sleep(SECONDS_BETWEEN_SEARCHES)
        row = len(taken) % len(queries)
        started = time.monotonic()
        notes.query(query_embeddings=queries[row : row + 1], n_results=10)
        taken.append(time.monotonic() - started)
    return taken


def refined(place: Place, function: Any, queries: Vectors, with_searches: bool) -> tuple[float, float, list[float]]:
    """Refine everything: seconds, processor seconds, and the seconds of each search."""
    report = auto_migrate(place.database(), function, refine="background")
    assert report.refinement is not None, report
    with place.opened() as client:
        started, used = time.monotonic(), processor_seconds()
        taken = searched(client, queries, report, 10**9) if with_searches else []
        report.refinement.wait()
        seconds = time.monotonic() - started
    assert report.refinement.status.state == "exact", report.refinement.status
    return seconds, processor_seconds() - used, taken


def latencies(taken: Sequence[float]) -> str:
    """Median, 95th and 99th percentile and maximum, in milliseconds."""
    return " / ".join(f"{1000 * part:.0f}" for part in np.percentile(taken, PERCENTILES))


def ratios(beside: Sequence[float], alone: Sequence[float]) -> str:
    """The same of some searches, divided by that of others."""
    parts = zip(np.percentile(beside, PERCENTILES), np.percentile(alone, PERCENTILES), strict=True)
    return " / ".join(f"{with_it / without:.1f}" for with_it, without in parts)


def main() -> None:
    """Measure, print a table, and add it to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--model", choices=("wordllama", "minilm"), default="wordllama")
    parser.add_argument("--through", choices=("folder", "server"), default="folder")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the Markdown file that results are added to")
    chosen = parser.parse_args()
    function = WordLlamaFunction() if chosen.model == "wordllama" else MiniLMFunction()
    texts = texts_of(chosen.rows)
    queries = np.asarray(function(texts[:100]), np.float32)
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = str(Path(place) / "cache")
        os.environ["XDG_DATA_HOME"] = str(Path(place) / "data")
        loop_seconds, loop_used = loop(Place(Path(place) / "loop"), texts, function)
        with placed(Path(place) / "quiet", chosen.through) as database:
            projected(database, texts, function)
            with database.opened() as client:
                idle = searched(client, queries, None, IDLE_SEARCHES)
            quiet = refined(database, function, queries, with_searches=False)
        os.environ["XDG_CACHE_HOME"] = str(Path(place) / "other_cache")
        with placed(Path(place) / "busy", chosen.through) as database:
            projected(database, texts, function)
            busy = refined(database, function, queries, with_searches=True)
    lines = [
        f"\n## {chosen.rows:,} abstracts, {chosen.model}, a {chosen.through}; {os.cpu_count()} processors, Python "
        f"{platform.python_version()}, chromadb {chromadb.__version__}, load {os.getloadavg()[1]:.0f}",
        "| | seconds | processor seconds | search, ms: median / 95 % / 99 % / longest |",
        "|---|---|---|---|",
        f"| plain loop that embeds and adds | {loop_seconds:.0f} | {loop_used:.0f} | none possible |",
        f"| searches alone | | | {latencies(idle)} |",
        f"| refined, no searches | {quiet[0]:.0f} | {quiet[1]:.0f} | – |",
        f"| refined, ten searches a second | {busy[0]:.0f} | {busy[1]:.0f} | {latencies(busy[2])} |",
        f"| times as long as alone | | | {ratios(busy[2], idle)} |",
    ]
    print("\n".join(lines))
    if not chosen.results.exists():
        chosen.results.write_text(
            "# Refining in the background\nBy `benchmarks/background.py`, which says what is measured.\n"
        )
    with chosen.results.open("a") as file:
        file.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
