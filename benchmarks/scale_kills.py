"""What is left of a folder whose migration through a Ray cluster is killed: `python benchmarks/scale_kills.py [RUNS]`.

A cluster of three nodes with a core each on this machine (Ray's own `cluster_utils`) migrates a folder of 40 Parquet
files. At a random moment all workers that convert a file are killed with SIGKILL, or a node is, or the driver, in turn.
The same command runs again where the driver is gone. Then every row must be there once, in its order, with the vector
that its old one is projected to; files that had their name at the moment of the kill must be readable. Writes
`scale_kills.md` into the folder given with `--results`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.scale.cluster import (
    VICTIMS,
    a_moment,
    make_folder,
    make_projection,
    migrate_and_kill,
    require_exact,
    running_cluster,
)

FILES = 40


def main() -> None:
    """Kill as often as asked, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int, nargs="?", default=50, help="how often (default %(default)s)")
    parser.add_argument("--results", type=Path, required=True, help="folder for the result")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random, exact, moments = Random(options.seed), Counter[str](), list[int]()
    started = time.monotonic()
    with running_cluster() as cluster:
        for number in range(options.runs):
            victim = VICTIMS[number % len(VICTIMS)]
            with tempfile.TemporaryDirectory() as home:
                folder = Path(home) / "vectors"
                make_folder(folder, FILES)
                projection = make_projection(Path(home) / "projection.npz")
                moments.append(migrate_and_kill(cluster, folder, projection, victim, a_moment(random, FILES)))
                require_exact(folder, projection, FILES)
            exact[victim] += 1
            print(f"{number + 1} of {options.runs}: {victim} killed after {moments[-1]} files", file=sys.stderr)
    title, _, explained = (__doc__ or "").strip().partition("\n")
    rows = "".join(f"| {victim} | {exact[victim]} | {exact[victim]} |\n" for victim in VICTIMS)
    (options.results / "scale_kills.md").write_text(
        f"# {title.partition(':')[0]}\n{title.partition(': ')[2]}\n{explained}\n\n"
        f"Killed after {min(moments)} to {max(moments)} of {FILES} files; seed {options.seed}, "
        f"{(time.monotonic() - started) / 60:.0f} minutes.\n\n| killed | runs | exact |\n|---|--:|--:|\n{rows}",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
