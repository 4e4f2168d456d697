"""A start that changes the model beside the loop that people write: `python benchmarks/beside_loop.py DATA [DATA ...]`.

Chunks of three sentences without titles, from the documents of the folders DATA (`*/docs.jsonl`), in a Chroma folder
with the old model's vectors; where they hold fewer than are asked for, chunks of two sentences of the same documents
follow, then of four, of one, and of more. No text is there twice. The application then starts with the new model. In
turn, each in a process of its own, with an empty cache:

- `loop`: read everything, embed it in batches of 500, add it to a new folder. Nothing can be searched until it is done.
  It runs before the start and after it, because the speed of a machine and of a model changes within minutes: both
  times are told, and the start is compared with their mean (one time: `--loop-once`, or before 30 November).
- `start`: `auto_migrate` with the policy's defaults, and the application's client after it; what is left is embedded in
  the background. A model that costs money gets `--max-cost` dollars, or `--max-cost-per-day`.

Told are the seconds until the database answers the new model's queries, until every vector is the model's own, the
dollars, and the share of the ten nearest among all exact vectors that 300 queries (`*/queries.jsonl`) find: in the
loop's index, when the server is up, after 1, 5 and 30 minutes, and in the end (at most `--most-minutes` later). The
JSON has the processor seconds, too, and how many texts and words the model was given as documents. The models are those
of `start_models.py`; vectors of wordllama are replaced, or of `static` where wordllama is the new model. Each result is
added to `beside_loop.jsonl` in the folder given with `--results` as soon as it is there, so that runs of different days
make one table, `beside_loop.md`: the newest result of each size, model and limit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from start_models import MODELS, metered_server, spent

from lightmigrate import Policy, auto_migrate
from lightmigrate.stores.chroma.client import open_client

ROOT = Path(__file__).parents[1]
SIZES = (300, 2400, 16_000)
NEW_MODELS = ("minilm", "wordllama", "e5", "metered")
WITH_TORCH = ("mpnet",)
SENTENCES = (3, 2, 4, 1, 5, 6, 7, 8)  # of a chunk: of three first, of others where there are too few of these
FEWEST_WORDS, QUERIES, NEAREST = 8, 300, 10
MOMENTS = (60, 300, 1800)
PAGE, PAGE_OF_ALL = 500, 5000
WAYS = ("loop", "start", "loop_again")
LOOPS = ("loop", "loop_again")


def chunks(folders: Sequence[Path], most: int) -> list[str]:
    """Different chunks of the documents, in their order."""
    files = [file for folder in folders for file in sorted(folder.glob("*/docs.jsonl"))]
    documents = [
        re.split(r"(?<=[.!?])\s+", json.loads(line)["text"]) for file in files for line in file.read_text().splitlines()
    ]
    found: dict[str, None] = {}
    for together in SENTENCES:
        for sentences in documents:
            for start in range(0, len(sentences), together):
                chunk = " ".join(sentences[start : start + together]).strip()
                if len(chunk.split()) >= FEWEST_WORDS:
                    found[chunk] = None
                if len(found) == most:
                    return list(found)
    raise SystemExit(f"{' and '.join(map(str, folders))} hold {len(found):,} chunks, {most:,} were asked for")


def some_queries(folders: Sequence[Path]) -> list[str]:
    """Some of the queries that people asked."""
    files = [file for folder in folders for file in sorted(folder.glob("*/queries.jsonl"))]
    queries = [json.loads(line)["text"] for file in files for line in file.read_text().splitlines()]
    return [queries[number] for number in np.random.default_rng(0).permutation(len(queries))[:QUERIES]]


def build(folder: Path, texts: Sequence[str], model: Any) -> None:
    """The database as the old model made it."""
    with open_client(folder) as client:
        collection = client.create_collection(
            "docs", embedding_function=model, configuration={"hnsw": {"space": "cosine"}}
        )
        for start in range(0, len(texts), PAGE):
            part = list(texts[start : start + PAGE])
            collection.add([f"d{start + row}" for row in range(len(part))], documents=part)


def loop(folder: Path, new_folder: Path, model: Any) -> None:
    """What people write: everything read, embedded and added to a new folder."""
    with open_client(folder) as old, open_client(new_folder) as new:
        source = old.get_collection("docs", embedding_function=None)
        target = new.create_collection("docs", embedding_function=model, configuration={"hnsw": {"space": "cosine"}})
        for start in range(0, source.count(), PAGE):
            page = source.get(limit=PAGE, offset=start, include=["documents"])
            target.add(page["ids"], documents=page["documents"])


def found_by(collection: Any, queries: Any) -> list[set[str]]:
    """The ids of the nearest records of each query."""
    return [set(ids) for ids in collection.query(query_embeddings=queries, n_results=NEAREST)["ids"]]


def start(
    folder: Path, model: Any, queries: Any, exact: Sequence[set[str]], policy: Policy, most_seconds: float
) -> dict[str, Any]:
    """A server's start, and what it finds from then on."""
    began, used = time.perf_counter(), time.process_time()
    report = auto_migrate(folder, model, policy=policy)
    measured: dict[str, Any] = {"up": time.perf_counter() - began, "processor_up": time.process_time() - used}
    measured |= {"dollars_up": spent(), "action": report.action, "kept": {}}
    if report.action != "migrated":
        raise SystemExit(f"the start ended with {report.action}: {report.error}")
    with open_client(folder) as client:
        collection = client.get_collection("docs", embedding_function=None)

        def look(moment: str) -> None:
            measured["kept"][moment] = kept(found_by(collection, queries), exact)

        look("up")
        refinement = report.refinement
        ended = all(one.exact == one.migrated for one in report.collections)
        if refinement is not None:
            for moment in MOMENTS:
                if refinement.wait(max(0.0, moment - (time.perf_counter() - began))):
                    break
                look(str(moment))
            refinement.wait(max(0.0, most_seconds - (time.perf_counter() - began)))
            measured["state"] = refinement.status.state
            ended = refinement.status.state == "exact"
        took = time.perf_counter() - began if refinement is not None else measured["up"]
        measured |= {"exact": took if ended else None, "processor": time.process_time() - used}
        look("end")
        if refinement is not None:
            refinement.stop()
            refinement.wait(None)
    return measured


def run_alone(way: str, place: Path, arguments: argparse.Namespace, model: str) -> dict[str, Any]:
    """One way in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(place / f"cache-{way}"), "ANONYMIZED_TELEMETRY": "False"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    command = [sys.executable, __file__, "--alone", way, "--place", str(place), "--model", model]
    command += ["--most-minutes", str(arguments.most_minutes)]
    with ExitStack() as stack:
        if model == "metered":
            environment.update(stack.enter_context(metered_server(arguments.call_seconds)))
            for option in ("max_cost", "max_cost_per_day"):
                if (dollars := getattr(arguments, option)) is not None:
                    command += [f"--{option.replace('_', '-')}", str(dollars)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def alone(way: str, place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """What `run_alone` runs."""
    model = MODELS[arguments.model]()
    given = count_given(type(model))
    if way in LOOPS:
        began, used = time.perf_counter(), time.process_time()
        loop(place / "before", place / way, model)
        took = {"exact": time.perf_counter() - began, "processor": time.process_time() - used}
        return {**took, **given, "dollars": spent()}
    queries = json.loads((place / "queries.json").read_text())
    embedded = [list(map(float, vector)) for vector in model.embed_query(queries)]
    before = spent()
    given |= dict.fromkeys(given, 0)
    with open_client(place / "loop") as client:
        collection = client.get_collection("docs", embedding_function=None)
        exact, by_loop = nearest(collection, embedded), found_by(collection, embedded)
    policy = Policy(max_cost=arguments.max_cost, max_cost_per_day=arguments.max_cost_per_day)
    measured = start(place / "db", model, embedded, exact, policy, 60 * arguments.most_minutes)
    dollars = {"dollars_up": measured["dollars_up"] - before, "dollars": spent() - before}
    return {**measured, **given, **dollars, "loop_kept": kept(by_loop, exact)}


def count_given(kind: Any) -> dict[str, int]:
    """How many texts and words models of this class are given as documents from now on."""
    given, embed = {"texts": 0, "words": 0}, kind.__call__

    def counting(self: Any, input: Sequence[str]) -> Any:
        given["texts"] += len(input)
        given["words"] += sum(len(text.split()) for text in input)
        return embed(self, input)

    kind.__call__ = counting
    return given


def nearest(collection: Any, queries: Any) -> list[set[str]]:
    """The ids of the truly nearest records of each query, by comparing it with all."""
    ids: list[str] = []
    pages = []
    for offset in range(0, collection.count(), PAGE_OF_ALL):
        page = collection.get(limit=PAGE_OF_ALL, offset=offset, include=["embeddings"])
        ids += page["ids"]
        pages.append(np.asarray(page["embeddings"], dtype=np.float32))
    rows, asked = np.concatenate(pages), np.asarray(queries, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first = np.argpartition(-(asked @ rows.T), NEAREST, axis=1)[:, :NEAREST]
    return [{ids[row] for row in found} for found in first.tolist()]


def kept(found: Sequence[set[str]], exact: Sequence[set[str]]) -> float:
    """The share of the nearest that was found."""
    return sum(len(here & there) for here, there in zip(found, exact, strict=True)) / (NEAREST * len(exact))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="A start that changes the model beside the loop.")
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument(
        "--models", nargs="+", choices=NEW_MODELS + WITH_TORCH, default=NEW_MODELS, help="the new models"
    )
    parser.add_argument("--call-seconds", type=float, default=0.3, help="what every call of the metered model takes")
    parser.add_argument("--max-cost", type=float, help="dollars that a start with the metered model may spend")
    parser.add_argument("--max-cost-per-day", type=float, help="dollars that its refinement may spend a day")
    parser.add_argument("--most-minutes", type=float, default=600, help="how long a refinement is waited for")
    parser.add_argument("--loop-once", action="store_true", help="not again after the start, which may take hours")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--alone", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments.alone, arguments.place, arguments)))
        return
    if "metered" in arguments.models and arguments.max_cost is None and arguments.max_cost_per_day is None:
        arguments.max_cost = 1.0
    texts = chunks(arguments.data, max(arguments.sizes))
    queries = some_queries(arguments.data)
    lines = arguments.results / "beside_loop.jsonl"
    for size in arguments.sizes:
        for new in arguments.models:
            old = "static" if new == "wordllama" else "wordllama"
            row: dict[str, Any] = {
                "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
                "size": size,
                "old": old,
                "new": new,
            }
            if new == "metered":
                names = ("call_seconds", "max_cost", "max_cost_per_day")
                row |= {name: getattr(arguments, name) for name in names}
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                build(place / "db", texts[:size], MODELS[old]())
                shutil.copytree(place / "db", place / "before")  # what the loop reads; the start changes the other one
                (place / "queries.json").write_text(json.dumps(queries))
                ways = WAYS[:-1] if arguments.loop_once else WAYS
                row |= {way: run_alone(way, place, arguments, new) for way in ways}
            row["load"] = round(os.getloadavg()[0], 1)
            print(json.dumps(row), flush=True)
            with lines.open("a") as file:
                file.write(json.dumps(row) + "\n")
            (arguments.results / "beside_loop.md").write_text(table(lines.read_text().splitlines()))


def table(lines: Sequence[str]) -> str:
    """The newest result of each size and model as Markdown; lines are of JSON, the oldest first."""
    newest = {
        (row["size"], row["new"], row.get("max_cost"), row.get("max_cost_per_day")): row
        for row in map(json.loads, lines)
    }
    rows = sorted(newest.values(), key=lambda row: (row["size"], row["new"]))
    shown = [
        "# A start that changes the model, beside the loop",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        "| chunks | old → new | loop, s | up, s | exact, s | exact / loop | loop, $ | up, $ | exact, $ | found, loop "
        "| up | 1, 5, 30 min | end | load | measured |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|---|",
    ]
    for row in rows:
        ours, found = row["start"], row["start"]["kept"]
        exact, loops = ours["exact"], [row[way]["exact"] for way in LOOPS if way in row]
        by_loop = statistics.mean(loops)
        seconds = ["–", "–"] if exact is None else [f"{exact:.1f}", f"{exact / by_loop:.2f}"]
        dollars = [
            _dollars(row["loop"].get("dollars")),
            _dollars(ours.get("dollars_up")),
            _dollars(ours.get("dollars")),
        ]
        later = ", ".join(f"{found[str(moment)]:.2f}" if str(moment) in found else "–" for moment in MOMENTS)
        cells = [
            f"{row['size']:,}", f"{row['old']} → {row['new']}", ", ".join(f"{one:.1f}" for one in loops),
            f"{ours['up']:.1f}", *seconds, *dollars, f"{ours['loop_kept']:.2f}", f"{found['up']:.2f}", later,
            f"{found['end']:.2f}", f"{row['load']}", row["date"],
        ]  # fmt: skip
        shown.append(f"| {' | '.join(cells)} |")
    return "\n".join(shown) + "\n"


def _dollars(dollars: float | None) -> str:
    return f"{dollars:.4f}" if dollars else "–"


if __name__ == "__main__":
    main()
