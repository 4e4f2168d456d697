"""A start that changes the model beside the loop that people write: `python benchmarks/beside_loop.py DATA`.

Chunks of three sentences without titles, from the documents of DATA (`*/docs.jsonl`), in a Chroma folder with the old
model's vectors. The application then starts with the new model. In turn, each in a process of its own, with an empty
cache:

- `loop`: read everything, embed it in batches, add it to a new folder. Nothing can be searched until it is done.
- `start`: `auto_migrate` with the policy's defaults, and the application's client after it; what is left is embedded in
  the background.

Told are the seconds until the database answers the new model's queries, until every vector is the model's own, and the
share of the ten nearest among all exact vectors that 300 queries (`*/queries.jsonl`) find: in the loop's index, when
the server is up, after 1, 5 and 30 minutes, and in the end. Models: MiniLM (8 bits, onnxruntime) and wordllama
(static), each the new one after the other. Writes `beside_loop.md` and `.json` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import auto_migrate
from lightmigrate.stores.chroma.client import open_client
from tests.encoders import MiniLMFunction, WordLlamaFunction

ROOT = Path(__file__).parents[1]
SIZES = (300, 2400, 16_000)
SENTENCES, FEWEST_WORDS, QUERIES, NEAREST = 3, 8, 300, 10
MOMENTS = (60, 300, 1800)
PAGE = 500
MODELS: dict[str, Callable[[], Any]] = {"minilm": MiniLMFunction, "wordllama": WordLlamaFunction}
WAYS = ("loop", "start")


def chunks(data: Path, most: int) -> list[str]:
    """Different chunks of the documents, in their order."""
    found: dict[str, None] = {}
    for file in sorted(data.glob("*/docs.jsonl")):
        for line in file.read_text().splitlines():
            sentences = re.split(r"(?<=[.!?])\s+", json.loads(line)["text"])
            for start in range(0, len(sentences), SENTENCES):
                chunk = " ".join(sentences[start : start + SENTENCES]).strip()
                if len(chunk.split()) >= FEWEST_WORDS:
                    found[chunk] = None
                if len(found) == most:
                    return list(found)
    raise SystemExit(f"{data} holds {len(found)} chunks, {most} were asked for")


def build(folder: Path, texts: Sequence[str], model: Any) -> None:
    """The database as the old model made it."""
    with open_client(folder) as client:
        collection = client.create_collection(
            "docs", embedding_function=model, configuration={"hnsw": {"space": "cosine"}}
        )
        for start in range(0, len(texts), PAGE):
            part = list(texts[start : start + PAGE])
            collection.add([f"d{start + row}" for row in range(len(part))], documents=part)


def loop(folder: Path, model: Any) -> None:
    """What people write: everything read, embedded and added to a new folder."""
    with open_client(folder) as old, open_client(folder.parent / "loop") as new:
        source = old.get_collection("docs", embedding_function=None)
        target = new.create_collection("docs", embedding_function=model, configuration={"hnsw": {"space": "cosine"}})
        for start in range(0, source.count(), PAGE):
            page = source.get(limit=PAGE, offset=start, include=["documents"])
            target.add(page["ids"], documents=page["documents"])


def found_by(collection: Any, queries: Any) -> list[set[str]]:
    """The ids of the nearest records of each query."""
    return [set(ids) for ids in collection.query(query_embeddings=queries, n_results=NEAREST)["ids"]]


def start(folder: Path, model: Any, queries: Any, exact: Sequence[set[str]]) -> dict[str, Any]:
    """A server's start, and what it finds from then on."""
    began = time.perf_counter()
    report = auto_migrate(folder, model)
    measured: dict[str, Any] = {"up": time.perf_counter() - began, "action": report.action, "kept": {}}
    with open_client(folder) as client:
        collection = client.get_collection("docs", embedding_function=model)

        def look(moment: str) -> None:
            measured["kept"][moment] = kept(found_by(collection, queries), exact)

        look("up")
        refinement = report.refinement
        if refinement is not None:
            for moment in MOMENTS:
                if refinement.wait(max(0.0, moment - (time.perf_counter() - began))):
                    break
                look(str(moment))
            refinement.wait(None)
        measured["exact"] = time.perf_counter() - began if refinement is not None else measured["up"]
        look("end")
    return measured


def run_alone(way: str, place: Path, model: str) -> dict[str, Any]:
    """One way in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(place / f"cache-{way}"), "ANONYMIZED_TELEMETRY": "False"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    command = [sys.executable, __file__, "--alone", way, "--place", str(place), "--model", model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def alone(way: str, place: Path, model_name: str) -> dict[str, Any]:
    """What `run_alone` runs."""
    model = MODELS[model_name]()
    if way == "loop":
        began = time.perf_counter()
        loop(place / "db", model)
        return {"exact": time.perf_counter() - began}
    queries = json.loads((place / "queries.json").read_text())
    embedded = [list(map(float, vector)) for vector in model(queries)]
    with open_client(place / "loop") as client:
        collection = client.get_collection("docs", embedding_function=None)
        exact, by_loop = nearest(collection, embedded), found_by(collection, embedded)
    return {**start(place / "db", model, embedded, exact), "loop_kept": kept(by_loop, exact)}


def nearest(collection: Any, queries: Any) -> list[set[str]]:
    """The ids of the truly nearest records of each query, by comparing it with all."""
    stored = collection.get(include=["embeddings"])
    rows, asked = (np.asarray(vectors, dtype=np.float32) for vectors in (stored["embeddings"], queries))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first = np.argsort(-(asked @ rows.T), axis=1)[:, :NEAREST]
    return [{stored["ids"][row] for row in found} for found in first.tolist()]


def kept(found: Sequence[set[str]], exact: Sequence[set[str]]) -> float:
    """The share of the nearest that was found."""
    return sum(len(here & there) for here, there in zip(found, exact, strict=True)) / (NEAREST * len(exact))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="A start that changes the model beside the loop.")
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="the new models")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--alone", choices=WAYS)
    parser.add_argument("--place", type=Path)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments.alone, arguments.place, arguments.model)))
        return
    texts = chunks(arguments.data, max(arguments.sizes))
    queries = [
        json.loads(line)["text"]
        for file in sorted(arguments.data.glob("*/queries.jsonl"))
        for line in file.read_text().splitlines()
    ]
    chosen = np.random.default_rng(0).permutation(len(queries))[:QUERIES]
    rows = []
    for size in arguments.sizes:
        for new in arguments.models:
            (old,) = [name for name in MODELS if name != new]
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                build(place / "db", texts[:size], MODELS[old]())
                (place / "queries.json").write_text(json.dumps([queries[row] for row in chosen]))
                measured = {way: run_alone(way, place, new) for way in WAYS}
            rows.append({"size": size, "old": old, "new": new, "load": round(os.getloadavg()[0], 1), **measured})
            print(json.dumps(rows[-1]), flush=True)
            (arguments.results / "beside_loop.json").write_text(json.dumps(rows, indent=1) + "\n")
            (arguments.results / "beside_loop.md").write_text(table(rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "# A start that changes the model, beside the loop",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        "| chunks | old → new | loop, s | up, s | exact, s | exact / loop | found, loop | up | 1, 5, 30 min | end |",
        "|--:|---|--:|--:|--:|--:|--:|--:|---|--:|",
    ]
    for row in rows:
        ours, found = row["start"], row["start"]["kept"]
        later = ", ".join(f"{found[str(moment)]:.2f}" if str(moment) in found else "–" for moment in MOMENTS)
        lines.append(
            f"| {row['size']:,} | {row['old']} → {row['new']} | {row['loop']['exact']:.1f} | {ours['up']:.1f} | "
            f"{ours['exact']:.1f} | {ours['exact'] / row['loop']['exact']:.2f} | {ours['loop_kept']:.2f} | "
            f"{found['up']:.2f} | {later} | {found['end']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
