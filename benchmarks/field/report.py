"""The tables of `results/chunks/README.md`: `python -m field.report` in `benchmarks/`.

Reads `results/chunks/retention.jsonl`, which `retention.py` wrote with `--results`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "results" / "chunks"
METHODS = ("ridge", "auto, no text", "auto")
Run = dict[str, Any]

HEAD = """# Chunks, short messages and other languages
Written by `python -m field.report` in `benchmarks/`; how the corpora are built stands in `benchmarks/field`. Shares of
what embedding everything gives, nDCG@10, means over seeds; `documents`: of all documents that chunks are parts of;
overlap: how many of the first ten are those that embedding everything finds; expected: what the gate said of `auto`
from sentences of the calibration records. `wordllama` has 256 numbers and is static, `minilm-int8` is all-MiniLM-L6-v2
in 8 bits, `use-multi` the Universal Sentence Encoder (multilingual v3), `e5-small-4bit` multilingual-e5-small in 4 bits
with its prefixes.
"""


def main() -> None:
    """Write the file."""
    runs = [json.loads(line) for line in (FOLDER / "retention.jsonl").read_text(encoding="utf-8").splitlines()]
    (FOLDER / "README.md").write_text("\n".join([HEAD, *projections(runs), "", *added(runs)]) + "\n", encoding="utf-8")


def projections(runs: Sequence[Run]) -> Iterator[str]:
    """All rows projected, on the documents that were not calibrated on."""
    yield "Records that were not calibrated on."
    yield ""
    columns = [*METHODS, "expected of `auto`", "overlap: no text", "with text", "documents, all"]
    yield f"| corpus | old → new | calibrated on | doing nothing | {' | '.join(columns)} | seeds |"
    yield f"|---|---|--:|--:|{'--:|' * (len(columns) + 1)}"
    for corpus, old, new, pairs in sorted({(run["corpus"], run["old"], run["new"], run["pairs"]) for run in runs}):
        own = [
            run for run in runs if (run["corpus"], run["old"], run["new"], run["pairs"]) == (corpus, old, new, pairs)
        ]
        by = {method: [run for run in own if run["method"] == method] for method in METHODS}
        cells = [mean(own, "nothing"), *(mean(by[method], "held_out") for method in METHODS)]
        cells += [mean(by["auto"], "predicted"), mean(by["auto, no text"], "overlap")]
        cells += [mean(by["auto"], "overlap"), mean(by["auto"], "parents")]
        yield f"| {corpus} | {old} → {new} | {pairs:,} | {' | '.join(cells)} | {len(by['auto'])} |"


def added(runs: Sequence[Run]) -> Iterator[str]:
    """What stored texts add to the stored vectors, by language, on the same pages."""
    yield "What texts add on the same pages of help: `auto` less `auto, no text`."
    yield ""
    yield "| language | retention | overlap |"
    yield "|---|--:|--:|"
    for corpus in sorted({run["corpus"] for run in runs if run["corpus"].startswith("help-")}):
        by = {
            method: {run["seed"]: run for run in runs if (run["corpus"], run["method"]) == (corpus, method)}
            for method in ("auto", "auto, no text")
        }
        gains = [
            statistics.mean(run[name] - by["auto, no text"][seed][name] for seed, run in by["auto"].items())
            for name in ("held_out", "overlap")
        ]
        yield f"| {corpus.removeprefix('help-')} | {gains[0]:+.2f} | {gains[1]:+.2f} |"


def mean(runs: Sequence[Run], name: str) -> str:
    """The mean of what the runs have; a dash where none has."""
    values = [run[name] for run in runs if run.get(name) is not None]
    return f"{statistics.mean(values):.2f}" if values else "–"


if __name__ == "__main__":
    main()
