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
METHODS = ("ridge", "kernel", "lexical", "auto")
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
    """The upgrades, that is the pairs where the new model searches better, with 1,000 calibration documents."""
    rows: list[dict[str, Any]] = [row for row in read("retention") if row["pairs"] == 1000]
    lines = [f"| corpus | upgrade | doing nothing | {' | '.join(METHODS)} |", f"|---|---|---|{'---|' * len(METHODS)}"]
    pair = itemgetter("dataset", "old", "new")
    for (dataset, old, new), group in itertools.groupby(sorted(rows, key=pair), key=pair):
        runs = list(group)
        nothing = statistics.mean(run["nothing"] for run in runs)
        if nothing < 1:
            cells = [_mean_and_spread([r["held_out"] for r in runs if r["method"] == name]) for name in METHODS]
            lines.append(f"| {dataset} | {old} → {new} | **{nothing:.2f}** | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_and_spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.pstdev(values):.2f}"


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
