"""Fill the tables of the README from `results/*.json`: `python benchmarks/readme.py`."""

from __future__ import annotations

import itertools
import json
import re
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


def main() -> None:
    """Replace what stands between the markers."""
    text = README.read_text(encoding="utf-8")
    for name, table in (("retention", retention_table()), ("throughput", throughput_table())):
        pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
        text, found = re.subn(pattern, lambda match, rows=table: match[1] + rows + match[2], text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"README.md has {found} places for {name}, not 1")
    README.write_text(text, encoding="utf-8")


def retention_table() -> str:
    """The upgrades, that is the pairs where the new model searches better, at 1,000 calibration documents."""
    rows = [row for row in read("retention") if row["pairs"] == 1000]
    lines = ["| corpus | upgrade | doing nothing | migrated (ridge) |", "|---|---|---|---|"]
    for key, group in itertools.groupby(rows, key=lambda row: (row["dataset"], row["old"], row["new"])):
        runs = list(group)
        nothing, kept = (statistics.mean(run[name] for run in runs) for name in ("nothing", "held_out"))
        if nothing < 1:
            spread = statistics.pstdev(run["held_out"] for run in runs)
            lines.append(f"| {key[0]} | {key[1]} → {key[2]} | **{nothing:.2f}** | **{kept:.2f}** ± {spread:.2f} |")
    return "\n".join(lines) + "\n"


def throughput_table() -> str:
    """Projection beside a bare matrix product, and the whole migration beside the naive route."""
    results = read("throughput")
    lines = ["| projection, 2 cores | vectors/s | share of a bare matrix product |", "|---|---|---|"]
    for row in results["projection"]:
        lines.append(f"| {row['shape']} {row['engine']} | {row['vectors_per_second']:,.0f} | {row['ratio']:.2f} |")
    lines += ["", "| whole migration | vectors/s | CPU-seconds against naive | peak memory |", "|---|---|---|---|"]
    for row in results["end_to_end"]:
        lines.append(
            f"| {row['route']} | {row['vectors_per_second']:,.0f} | {row['cpu_ratio']:.2f} | {row['peak_mib']:,.0f} MiB |"
        )
    return "\n".join(lines) + "\n"


def read(name: str) -> Any:
    """One result file."""
    return json.loads((HERE / "results" / f"{name}.json").read_text())


if __name__ == "__main__":
    main()
