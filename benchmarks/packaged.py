"""What the packaged projections keep of retrieval: `python benchmarks/packaged.py --data DATA_DIR`.

What DATA_DIR and `--encoded` hold stands in `corpora.py`. Every packaged projection is applied to every corpus that has
vectors by both its models; nDCG@10 by human judgements is measured beside doing nothing and embedding again. None of
these corpora was used to train the projections, but `chat`. For upgrades, pairs whose new model searches better, 500 of
the corpus's own documents are then calibrated on, with the packaged projection as `prior` and without, and the other
documents measured (`--seeds` times).

Appends to `results/packaged.jsonl` as it goes and skips what stands there; writes `results/packaged.md`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpora import Corpus, corpora
from general.models import FOLDERS, MINILM

import lightmigrate
from lightmigrate import Projection
from lightmigrate.registry.library import PACKAGED
from lightmigrate.registry.registry import Registry

RESULTS = Path(__file__).parent / "results"
CALIBRATION = 500

# With the packaged projection as prior or without; texts and word vectors read or not.
ALONE, ON_PACKAGED = "500 alone", "500 on packaged"
ALONE_BLIND, ON_PACKAGED_BLIND = "500 alone, no texts", "500 on packaged, no texts"
CALIBRATED = {
    ALONE: (False, True),
    ON_PACKAGED: (True, True),
    ALONE_BLIND: (False, False),
    ON_PACKAGED_BLIND: (True, False),
}
Run = dict[str, Any]

# What the projections were trained on, of the corpora that `field/` builds.
TRAINED_ON = {"chat"}

# Folders of the data with a model whose weights have fewer bits, where its own is not there.
IN_FEWER_BITS = {"minilm-int8": MINILM}


def main() -> None:
    """Measure what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="without it: only write the table")
    parser.add_argument("--encoded", type=Path, help="without it: calibration without word vectors")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    options = parser.parse_args()
    if options.data:
        done = {_key(run) for run in read(options.results)}
        for corpus in corpora(options.data, options.encoded):
            for run in measure(corpus, options.seeds, done):
                print(*run.values(), flush=True)
                with (options.results / "packaged.jsonl").open("a") as file:
                    file.write(json.dumps(run) + "\n")
    (options.results / "packaged.md").write_text(report(read(options.results)), encoding="utf-8")


def measure(corpus: Corpus, seeds: int, done: set[Any]) -> Iterator[Run]:
    """One run for each projection as it is, then the calibrated ones; those in `done` are left out."""
    names = {name: folder for folder, name in IN_FEWER_BITS.items() if folder in corpus.models}
    names |= {name: folder for name, folder in FOLDERS.items() if folder in corpus.models}
    pairs = []
    for entry in Registry(PACKAGED).entries():
        if entry.source["name"] not in names or entry.target["name"] not in names:
            continue
        old, new = names[entry.source["name"]], names[entry.target["name"]]
        run: Run = {
            "corpus": corpus.name,
            "old": entry.source["name"],
            "new": entry.target["name"],
            "sha256": entry.sha256,
        }
        projection = Projection.load(PACKAGED / entry.file)
        migrated = projection.apply(corpus.documents[old], corpus.texts)
        kept = lightmigrate.measure_retention(
            old_queries=corpus.queries[old],
            new_queries=corpus.queries[new],
            old_documents=corpus.documents[old],
            new_documents=corpus.documents[new],
            migrated_documents=migrated,
            relevant=corpus.relevant,
        )
        bare = {**run, "method": "packaged", "seed": 0}
        if _key(bare) not in done:
            yield {**bare, **_rounded(kept.to_json())}
        if kept.nothing_retention.value < 1:
            pairs.append((run, old, new, projection, migrated))
    for seed in range(seeds):
        for run, old, new, projection, migrated in pairs:
            fitted, held_out = corpus.split(CALIBRATION, seed)
            for method, (builds_on, reads) in CALIBRATED.items():
                own = {**run, "method": method, "seed": seed}
                if _key(own) in done:
                    continue
                found = lightmigrate.fit(
                    corpus.documents[old][fitted],
                    corpus.documents[new][fitted],
                    [corpus.texts[row] for row in fitted] if reads else None,
                    words=corpus.words(new) if reads else None,
                    prior=projection if builds_on else None,
                    seed=seed,
                    source_model=projection.info.source,
                    target_model=projection.info.target,
                )
                calibrated = corpus.measure(old, new, found.apply(corpus.documents[old], corpus.texts), held_out)
                bare_there = corpus.measure(old, new, migrated, held_out)
                yield {
                    **own,
                    "held_out": round(calibrated.retention.value, 4),
                    "nothing_held_out": round(calibrated.nothing_retention.value, 4),
                    "packaged_held_out": round(bare_there.retention.value, 4),
                }


def read(results: Path) -> list[Run]:
    """All runs of the projections that are packaged now."""
    path = results / "packaged.jsonl"
    current = {entry.sha256 for entry in Registry(PACKAGED).entries()}
    runs: list[Run] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [run for run in runs if run["sha256"] in current]


def report(runs: Sequence[Run]) -> str:
    """The tables of `results/packaged.md`."""
    seen = sorted(TRAINED_ON & {run["corpus"] for run in runs})
    but = f", except {', '.join(seen)}, which they were trained on: its numbers say nothing of other texts" * bool(seen)
    lines = [
        "Written by `benchmarks/packaged.py`. Retention: nDCG@10 by human judgements as a share of embedding "
        "everything again, with 95 % bootstrap intervals over the queries. The packaged projections have seen "
        f"nothing of these corpora{but}. Expected: what their header says, measured by the gate on families of genres "
        "that were left out.",
        "",
        *bare_table(runs),
        "",
    ]
    if any("held_out" in run for run in runs):
        lines += [
            f"## What {CALIBRATION} documents of the user's own add",
            "Upgrades only. Retention among the documents that were not calibrated on, so the numbers of doing nothing "
            "and of the packaged projection differ from those above. Alone, or with the packaged one as `prior`; "
            "texts and the new model's word vectors read, or the stored vectors alone. Mean over seeds ± standard "
            "deviation.",
            "",
            *calibrated_table(runs),
            "",
        ]
    return "\n".join(lines)


def bare_table(runs: Sequence[Run]) -> list[str]:
    """Every pair on every corpus."""
    expected = {(entry.source["name"], entry.target["name"]): entry.quality for entry in Registry(PACKAGED).entries()}
    lines = [
        "| corpus | old → new | nDCG@10 nothing | packaged | embedded again | doing nothing keeps | packaged keeps "
        "| overlap@10 | expected |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in sorted(runs, key=lambda run: (run["corpus"], run["old"], run["new"])):
        if run["method"] == "packaged":
            quality = expected[run["old"], run["new"]]["expected_retention"]
            scores = " | ".join(f"{run[name]['value']:.3f}" for name in ("nothing", "migrated", "reembedded"))
            lines.append(
                f"| {run['corpus']} | {run['old']} → {run['new']} | {scores} "
                f"| {interval(run['nothing_retention'])} | {interval(run['retention'])} | {run['overlap']:.2f} "
                f"| {interval(quality)} |"
            )
    return lines


def calibrated_table(runs: Sequence[Run]) -> list[str]:
    """Upgrades, with the user's own documents."""
    lines = [
        f"| corpus | upgrade | doing nothing | packaged | {' | '.join(CALIBRATED)} | seeds |",
        f"|---|---|---|---|{'---|' * len(CALIBRATED)}---|",
    ]
    for corpus, old, new in sorted({(run["corpus"], run["old"], run["new"]) for run in runs if "held_out" in run}):
        mine = [run for run in runs if (run["corpus"], run["old"], run["new"]) == (corpus, old, new)]
        own = {name: [run for run in mine if run["method"] == name] for name in CALIBRATED}
        bare = [spread(own[ALONE], name) for name in ("nothing_held_out", "packaged_held_out")]
        cells = [*bare, *(spread(rows, "held_out") for rows in own.values())]
        lines.append(f"| {corpus} | {old} → {new} | {' | '.join(cells)} | {len(own[ALONE])} |")
    return lines


def interval(estimate: Any) -> str:
    """`0.81 [0.77, 0.85]`."""
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def spread(runs: Sequence[Run], name: str) -> str:
    """`0.81 ± 0.02`."""
    values = [run[name] for run in runs]
    return f"{statistics.mean(values):.2f} ± {statistics.pstdev(values):.2f}" if values else "–"


def _rounded(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: _rounded(value) for name, value in said.items()}
    return round(said, 4) if isinstance(said, float) else said


def _key(run: Run) -> tuple[Any, ...]:
    return tuple(run[name] for name in ("corpus", "sha256", "method", "seed"))


if __name__ == "__main__":
    main()
