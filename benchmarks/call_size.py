"""How many texts a model is best given at once: `python benchmarks/call_size.py DATA --results FOLDER`.

Chunks as in `beside_loop.py`, 1,000 of them at random, by the models of `start_models.py` that are named: texts of like
length together, in calls of so many; then through `ChromaProvider`, which finds a size of its own while it embeds
(`providers/call_size.py`), the first calls included. Told are milliseconds for each text, of the clock and of the
processor. Writes `call_size.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from beside_loop import chunks
from start_models import MODELS

from lightmigrate.providers.chroma import ChromaProvider

TEXTS, CHUNKS = 1000, 16_000
SIZES = (1, 2, 4, 8, 16, 32, 64, 256)


def measured(act: Callable[[], object], texts: int) -> str:
    """Milliseconds for a text."""
    clock, processor = time.perf_counter(), time.process_time()
    act()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return f"{1000 * clock / texts:.2f} | {1000 * processor / texts:.2f}"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="How many texts a model is best given at once.")
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=("minilm", "e5", "static"))
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    all_texts = chunks(arguments.data, CHUNKS)
    chosen = np.random.default_rng(0).choice(len(all_texts), arguments.texts, replace=False)
    texts = sorted((all_texts[number] for number in chosen), key=len)
    lines = ["# How many texts a model is best given at once", "", (__doc__ or "").split("\n\n", 1)[1].strip(), ""]
    lines += ["| model | texts of a call | clock, ms | processor, ms |", "|---|--:|--:|--:|"]
    for name in arguments.models:
        function = MODELS[name]()
        function(texts[:64])  # loads it

        def by(size: int, function: Callable[[list[str]], object] = function) -> None:
            for start in range(0, len(texts), size):
                function(texts[start : start + size])

        for size in SIZES:
            lines.append(f"| {name} | {size} | {measured(lambda: by(size), len(texts))} |")  # noqa: B023
            print(lines[-1], flush=True)
        provider = ChromaProvider(function)
        lines.append(f"| {name} | found | {measured(lambda: provider.embed_each(texts), len(texts))} |")  # noqa: B023
        print(lines[-1], flush=True)
    (arguments.results / "call_size.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
