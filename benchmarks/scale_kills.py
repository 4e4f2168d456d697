"""What is left of a folder whose migration through a Ray cluster is killed: `python benchmarks/scale_kills.py [RUNS]`.

A cluster of three nodes with a core each on this machine (Ray's own `cluster_utils`) migrates a folder of 40 Parquet
files. At a random moment all workers that convert a file are killed with SIGKILL, or a node is, or the driver, in turn.
The same command runs again where the driver is gone. Then every row must be there once, in its order, with the vector
that its old one is projected to; files that had their name at the moment of the kill must be readable. Every run is a
line of `scale_kills.jsonl` in the folder given with `--results`, and is not made again; `scale_kills.md` is the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.scale.cluster import (
    VICTIMS,
    a_moment,
    make_folder,
    migrate_and_kill,
    projection_at,
    require_exact,
    running_cluster,
)

FILES = 40


def main() -> None:
    """Kill as often as asked, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int, nargs="?", default=50, help="how often (default %(default)s)")
    parser.add_argument("--results", type=Path, required=True, help="folder for the result")
    options = parser.parse_args()
    lines = options.results / "scale_kills.jsonl"
    done = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    with running_cluster() as cluster:
        for number in range(len(done), options.runs):
            victim, random = VICTIMS[number % len(VICTIMS)], Random(number)
            with tempfile.TemporaryDirectory() as home:
                folder = Path(home) / "vectors"
                make_folder(folder, FILES)
                projection = projection_at(Path(home) / "projection.npz")
                files = migrate_and_kill(cluster, folder, projection, victim, a_moment(random, FILES))
                require_exact(folder, projection, FILES)
            done.append({"run": number, "victim": victim, "files": files})
            with lines.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(done[-1]) + "\n")
            print(f"{number + 1} of {options.runs}: {victim} killed after {files} files", file=sys.stderr)
            lines.with_suffix(".md").write_text(table(done), encoding="utf-8")


def table(done: Sequence[Mapping[str, Any]]) -> str:
    """What was killed, as Markdown; a run whose end was not exact ends the benchmark."""
    title, _, explained = (__doc__ or "").strip().partition("\n")
    rows = [
        f"| {victim} | {len(moments)} | {min(moments)} to {max(moments)} of {FILES} | {len(moments)} |"
        for victim in VICTIMS
        if (moments := [one["files"] for one in done if one["victim"] == victim])
    ]
    return "\n".join([
        f"# {title.partition(':')[0].rstrip('?')}", explained.strip(), "", "| killed | runs | after files | exact |",
        "|---|--:|---|--:|", *rows, "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
