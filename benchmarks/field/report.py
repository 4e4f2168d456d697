"""The tables of `results/chunks/README.md`: `python -m field.report` in `benchmarks/`.

Reads `results/chunks/retention.jsonl`, which `retention.py` wrote with `--results`; `retention_before.jsonl`, which is
of 27 November; and `retention_words.jsonl`, which is of the same day and of the first code that takes texts without
spaces apart.
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
    before, words = read("retention_before.jsonl"), read("retention_words.jsonl")
    parts = [HEAD, "## On 29 November", *projections(read("retention.jsonl"), [*before, *words])]
    parts += ["", "## On 27 November", *projections(before)]
    parts += ["", "## With words in texts without spaces", *projections(words), "", *added()]
    (FOLDER / "README.md").write_text("\n".join(parts) + "\n", encoding="utf-8")


def projections(runs: Sequence[Run], before: Sequence[Run] = ()) -> Iterator[str]:
    """All rows projected, on the documents that were not calibrated on; beside the last of the runs before."""
    yield "Records that were not calibrated on."
    yield ""
    columns = [
        *METHODS,
        "expected of `auto`",
        *(["`auto` before"] if before else []),
        "overlap: no text",
        "with text",
        "documents, all",
    ]
    yield f"| corpus | old → new | calibrated on | doing nothing | {' | '.join(columns)} | seeds |"
    yield f"|---|---|--:|--:|{'--:|' * (len(columns) + 1)}"
    for corpus, old, new, pairs in sorted({(run["corpus"], run["old"], run["new"], run["pairs"]) for run in runs}):
        own, earlier = (
            [run for run in some if (run["corpus"], run["old"], run["new"], run["pairs"]) == (corpus, old, new, pairs)]
            for some in (runs, before)
        )
        by = {method: [run for run in own if run["method"] == method] for method in METHODS}
        cells = [mean(own, "nothing"), *(mean(by[method], "held_out") for method in METHODS)]
        cells.append(mean(by["auto"], "predicted"))
        if before:
            last = {run["seed"]: run for run in earlier if run["method"] == "auto"}
            cells.append(mean(list(last.values()), "held_out"))
        cells += [mean(by["auto, no text"], "overlap"), mean(by["auto"], "overlap")]
        cells += [mean(by["auto"], "parents")]
        yield f"| {corpus} | {old} → {new} | {pairs} | {' | '.join(cells)} | {len(by['auto'])} |"


def added() -> Iterator[str]:
    """What stored texts add to the stored vectors, by language, on the same pages."""
    before, after = read("retention_before.jsonl"), read("retention_words.jsonl")
    yield "What texts add to retention (to overlap): `auto` less `auto, no text`, the same seeds and pages of help."
    yield ""
    yield "| language | before | with words in texts without spaces |"
    yield "|---|--:|--:|"
    for corpus in sorted({run["corpus"] for run in before if run["corpus"].startswith("help-")}):
        alone = {run["seed"]: run for run in before if run["corpus"] == corpus and run["method"] == "auto, no text"}
        cells = []
        for runs in (before, after):
            with_text = [run for run in runs if run["corpus"] == corpus and run["method"] == "auto"]
            gains = [
                statistics.mean(run[name] - alone[run["seed"]][name] for run in with_text)
                for name in ("held_out", "overlap")
                if with_text
            ]
            cells.append("{:+.2f} ({:+.2f})".format(*gains) if gains else "the same")
        yield f"| {corpus.removeprefix('help-')} | {' | '.join(cells)} |"


def mean(runs: Sequence[Run], name: str) -> str:
    """The mean of what the runs have; a dash where none has."""
    values = [run[name] for run in runs if run.get(name) is not None]
    return f"{statistics.mean(values):.2f}" if values else "–"


def read(name: str) -> list[Run]:
    """The runs of a file; none where it is not there."""
    path = FOLDER / name
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
