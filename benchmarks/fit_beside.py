"""What a fit takes beside other programs, and beside a model that embeds: `python benchmarks/fit_beside.py`.

A projection is fitted to `--sentences` sentences of the packaged corpus, as in `fit_seconds.py` (`auto` with texts, to
768 numbers): with one thread for the products of matrices, and with one a core; alone, beside two busy processes for
each core, and while all-MiniLM-L6-v2 embeds texts of the same corpus in another thread, 8 at a time. Seconds are those
of the clock, medians of `--repeats` runs by turns. What the model embedded meanwhile is told in seconds that it takes
alone. Nothing else should run. Writes `fit_beside.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
DIMENSION, BESIDE, AT_ONCE, TIMED = 768, ("nothing", "busy processes", "a model"), 8, 200
Row = dict[str, float]


def child(beside: str, sentences: int) -> Row:
    """A fit in this process, whose libraries have the threads that its environment says."""
    import numpy as np  # noqa: F401  # before `fit_seconds`, so that it has the threads that are asked for
    from fit_seconds import frequent_words, parts

    import lightmigrate
    from lightmigrate import WordVectors
    from lightmigrate.training.corpus import draw, packaged_corpus
    from tests.encoders import minilm

    del os.environ["OMP_NUM_THREADS"]  # which `fit_seconds` sets, and which would limit the model
    texts = draw(packaged_corpus(), sentences)
    words = frequent_words(texts)
    given = WordVectors(words.words, parts(words.words, DIMENSION), words.counts, words.documents)
    source, target = parts(texts, 256), parts(texts, DIMENSION)
    model, ended, done = minilm(), threading.Event(), 0
    model.measures_calls = False

    def embed() -> None:
        nonlocal done
        while not ended.is_set():
            model.embed(texts[done % sentences :][:AT_ONCE])
            done += AT_ONCE

    began = time.perf_counter()
    for start in range(0, TIMED if beside == "a model" else 0, AT_ONCE):
        model.embed(texts[start : start + AT_ONCE])
    each = (time.perf_counter() - began) / TIMED
    thread = threading.Thread(target=embed)
    if beside == "a model":
        thread.start()
    began = time.perf_counter()
    with mock.patch("lightmigrate.threads.cores", return_value=1_000_000):  # a fit would leave a core
        lightmigrate.fit(source, target, texts, words=given)
    seconds = time.perf_counter() - began
    ended.set()
    if beside == "a model":
        thread.join()
    return {"seconds": seconds, "embedded": done * each}


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that count, for a block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measured(beside: str, threads: int, sentences: int) -> Row:
    """One fit in a process of its own."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "train", ROOT / "benchmarks")))
    limits = {"OPENBLAS_NUM_THREADS": str(threads)}
    command = [
        sys.executable,
        "-c",
        f"import fit_beside, json; print(json.dumps(fit_beside.child({beside!r}, {sentences})))",
    ]
    with busy(2 * (os.cpu_count() or 1) if beside == "busy processes" else 0):
        done = subprocess.run(
            command, env={**os.environ, **limits, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
        )
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    cases: list[tuple[str, int]] = [(beside, threads) for beside in BESIDE for threads in (1, cores)]
    rows: dict[tuple[str, int], list[Row]] = {case: [] for case in cases}
    for _ in range(options.repeats):
        for case in cases:
            rows[case].append(measured(*case, options.sentences))
            print(*case, rows[case][-1], flush=True)
    (options.results / "fit_beside.md").write_text(table(rows, options.sentences, cores))


def table(rows: dict[tuple[str, int], list[Row]], sentences: int, cores: int) -> str:
    """As Markdown."""

    def median(of: list[Row], what: str) -> str:
        values = sorted(row[what] for row in of)
        return f"{statistics.median(values):.1f} ({values[0]:.1f}–{values[-1]:.1f})" if values[-1] else "–"

    lines: list[Any] = [
        "# A fit beside others",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        f"{sentences:,} sentences, {cores} cores.",
        "",
        "| beside | threads | fit, s | embedded meanwhile, s |",
        "|---|--:|--:|--:|",
    ]
    lines += [
        f"| {beside} | {threads} | {median(of, 'seconds')} | {median(of, 'embedded')} |"
        for (beside, threads), of in rows.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
