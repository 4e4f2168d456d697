"""Fill the tables of the README from `results/*.json`: `python benchmarks/readme.py`."""

from __future__ import annotations

import itertools
import json
import statistics
from operator import itemgetter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
ROUTES = {
    "migrate": "lightmigrate, everything verified, with backup",
    "migrate-unverified": "lightmigrate, not verified",
    "naive": "naive: get all, delete, add in hundreds",
}


def main() -> None:
    """Replace what stands between the markers."""
    text = README.read_text(encoding="utf-8")
    for name, table in (("retention", retention_table()), ("throughput", throughput_table())):
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, found, rest = text.partition(begin)
        if not found or end not in rest:
            raise SystemExit(f"README.md has no place for {name}")
        text = before + begin + table + rest[rest.index(end) :]
    README.write_text(text, encoding="utf-8")


def retention_table() -> str:
    """The upgrades, that is the pairs where the new model searches better, at 1,000 calibration documents."""
    rows: list[dict[str, Any]] = [row for row in read("retention") if row["pairs"] == 1000]
    lines = ["| corpus | upgrade | doing nothing | migrated (ridge) |", "|---|---|---|---|"]
    for key, group in itertools.groupby(rows, key=itemgetter("dataset", "old", "new")):
        runs = list(group)
        nothing, kept = (statistics.mean(run[name] for run in runs) for name in ("nothing", "held_out"))
        if nothing < 1:
            spread = statistics.pstdev(run["held_out"] for run in runs)
            lines.append(f"| {key[0]} | {key[1]} → {key[2]} | **{nothing:.2f}** | **{kept:.2f}** ± {spread:.2f} |")
    return "\n".join(lines) + "\n"


def throughput_table() -> str:
    """Projection beside a bare matrix product, and the whole migration beside the naive route."""
    report = read("throughput")
    lines = ["| projection | NumPy vectors/s | of a bare matrix product | ONNX |", "|---|---|---|---|"]
    for row in report["projection"]:
        speed = row["numpy"]["vectors_per_second"]
        shares = [row[engine]["ratio_to_matmul"]["median"] for engine in ("numpy", "onnx")]
        lines.append(f"| {row['shape'][0]} → {row['shape'][1]} | {speed:,.0f} | {shares[0]:.2f} | {shares[1]:.2f} |")
    records = report["settings"]["records"]
    lines += ["", f"| migration, {records:,} records, 1024 → 768 | vectors/s | CPU time ÷ naive | peak memory |"]
    lines.append("|---|---|---|---|")
    for name, route in report["database"]["routes"].items():
        speed, cpu = route["vectors_per_second"]["median"], route["ratio_to_naive"]["cpu_seconds"]["median"]
        lines.append(f"| {ROUTES[name]} | {speed:,.0f} | {cpu:.2f} | {route['peak_mib']['median']:,.0f} MiB |")
    return "\n".join(lines) + "\n"


def read(name: str) -> Any:
    """One result file."""
    return json.loads((HERE / "results" / f"{name}.json").read_text())


if __name__ == "__main__":
    main()
