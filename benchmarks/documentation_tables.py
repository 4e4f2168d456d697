"""Fill the tables of README and documentation from `results/*.json`: `python benchmarks/documentation_tables.py`.

`results/plans.md` is written anew, too.

With `--check` nothing is written: the exit code is 1 when a page has another table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora import UPGRADE
from packaged import ON_PACKAGED, RESULTS, interval, spread
from packaged import read as runs_of_packaged
from plan_end_to_end import outcome, summary
from plan_end_to_end import read as runs_of_plans
from plan_end_to_end import table as table_of_plans
from retention_report import grouped, mean
from retention_report import read as runs_of_retention
from soak_report import index_of, inserting, migrating
from store_report import stores_table

HERE = Path(__file__).parent
ROOT = HERE.parent
METHODS = ("isotrieve", "original design", "ridge", "auto, no text", "lexical, no word vectors", "auto")
CHUNKS = ("cranfield-3", "cranfield-8", "scifact-1", "scifact-3-part")
PAIR = ("corpus", "old", "new")
LONG, SHORT = "universal-sentence-encoder-multilingual-v3", "USE-multilingual-v3"
ROUTES = {
    "keep": "lightmigrate: graph kept, everything verified, with backup",
    "keep-full": "the same, everything read back through Chroma (`--verify full`)",
    "rebuild": "`--index rebuild`: a new index, records not touched",
    "rewrite": "`--index rewrite`: every record anew, public interface only",
    "keep-unverified": "graph kept, not verified",
    "naive": "the original design: get all, delete, add in hundreds",
}


def main() -> None:
    """Replace what stands between the markers."""
    parser = argparse.ArgumentParser(description="Fill the tables of README and documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a page has another table")
    check = parser.parse_args().check
    pages = {page: filled(page) for page in PAGES} | {page: make() for page, make in WHOLE.items()}
    for page, text in pages.items():
        path = ROOT / page
        if not check:
            path.write_text(text, encoding="utf-8")
        elif text != path.read_text(encoding="utf-8"):
            raise SystemExit(f"{page} has other tables than the results: run  python {Path(__file__).name}")


def filled(page: str) -> str:
    """The text of a page with its tables as the results give them; only reads."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, make in PAGES[page].items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, found, rest = text.partition(begin)
        if not found or end not in rest:
            raise SystemExit(f"{page} has no place for {name}")
        text = before + begin + make() + rest[rest.index(end) :]
    return text


def numbers_table() -> str:
    """What the README says in five numbers."""
    plans = runs_of_plans()
    rate = read("throughput")["database"]["routes"]["keep"]["ratio_to_naive"]["cpu_seconds"]["median"]
    largest = max(read("soak"), key=lambda run: int(run["rows"]))
    held = sum(run["expected"][1] <= run["kept"] <= run["expected"][2] for run in plans)
    rows = [
        ("searches keep for 30 % of the cost, abstracts with titles", *_kept_for(plans, 0.3, ("cranfield",))),
        ("the same, chunks without titles", *_kept_for(plans, 0.3, CHUNKS)),
        ("plans whose 95 % interval held what was kept", f"**{held} of {len(plans)}**", "plans"),
        ("processor time of a verified migration, of the usual script's", f"**{rate:.2f}**", "throughput"),
        (
            f"memory above an idle client, {largest['rows']:,} records of 1,024 numbers",
            f"**{largest['above_idle_mib']} MiB**",
            "soak",
        ),
    ]
    lines = ["| | | measured by |", "|---|---|---|"]
    for what, value, result in rows:
        script = {"plans": "plan_end_to_end"}.get(result, result)
        lines.append(
            f"| {what} | {value} | [`{script}.py`](benchmarks/{script}.py), "
            f"[{result}.md](benchmarks/results/{result}.md) |"
        )
    return "\n".join(lines) + "\n"


def _kept_for(plans: list[dict[str, Any]], budget: float, corpora: Sequence[str]) -> tuple[str, str]:
    """What was kept of corpora, smallest and largest mean over seeds, beside doing nothing; and its result file."""
    kept, nothing = [], []
    for name in corpora:
        runs = [run for run in plans if (run["corpus"], run["budget"]) == (name, budget)]
        kept.append(statistics.mean(run["kept"] for run in runs))
        nothing.append(statistics.mean(run["nothing"] for run in runs))
    return f"**{_range(kept)}** (doing nothing: {_range(nothing)})", "plans"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def retention_table() -> str:
    """The upgrades, that is the pairs where the new model searches better, with 1,000 calibration documents."""
    lines = [f"| corpus | upgrade | doing nothing | {' | '.join(METHODS)} |", f"|---|---|---|{'---|' * len(METHODS)}"]
    for (corpus, old, new), runs in grouped([run for run in runs_of_retention() if run["pairs"] == 1000], *PAIR):
        if (nothing := mean(runs, "nothing")) < UPGRADE:
            cells = [_mean_and_spread([run["held_out"] for run in runs if run["method"] == name]) for name in METHODS]
            lines.append(f"| {corpus} | {old} → {new} | **{nothing:.2f}** | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_and_spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.pstdev(values):.2f}" if values else "–"


def packaged_table() -> str:
    """Every packaged projection on both corpora, and what the user's own documents add to upgrades."""
    runs = runs_of_packaged(RESULTS)
    names = sorted({run["corpus"] for run in runs})
    heads = [f"{name}: {what}" for name in names for what in ("nothing", "packaged", "+ 500 own")]
    lines = [f"| old → new | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for (old, new), mine in grouped(runs, "old", "new"):
        cells = []
        for name in names:
            here = [run for run in mine if run["corpus"] == name]
            bare = [run for run in here if run["method"] == "packaged"]
            cells += [f"**{bare[0]['nothing_retention']['value']:.2f}**", interval(bare[0]["retention"])]
            cells.append(spread([run for run in here if run["method"] == ON_PACKAGED], "held_out"))
        lines.append(f"| {old} → {new} | {' | '.join(cells)} |")
    return "\n".join(lines).replace(LONG, SHORT) + "\n"


def throughput_table() -> str:
    """Projection beside a bare matrix product, and the whole migration beside the naive route."""
    report = read("throughput")
    lines = ["| projection | NumPy vectors/s | of a bare matrix product | ONNX |", "|---|---|---|---|"]
    for row in report["projection"]:
        speed = row["numpy"]["vectors_per_second"]
        shares = [row[engine]["ratio_to_matmul"]["median"] for engine in ("numpy", "onnx")]
        lines.append(f"| {row['shape'][0]} → {row['shape'][1]} | {speed:,.0f} | {shares[0]:.2f} | {shares[1]:.2f} |")
    for of_size in (report, read("throughput_100000")):
        records = of_size["settings"]["records"]
        lines += ["", f"| migration, {records:,} records, 1024 → 768 | vectors/s | CPU time ÷ naive | peak memory |"]
        lines.append("|---|---|---|---|")
        for name, route in of_size["database"]["routes"].items():
            speed, cpu = route["vectors_per_second"]["median"], route["ratio_to_naive"]["cpu_seconds"]["median"]
            lines.append(f"| {ROUTES[name]} | {speed:,.0f} | {cpu:.2f} | {route['peak_mib']['median']:,.0f} MiB |")
    return "\n".join(lines) + "\n"


def sizes_table() -> str:
    """Time and memory by the number of records."""
    lines = ["| records | CPU time for a record | Chroma's own insertion | index | memory above an idle client |"]
    lines.append("|--:|--:|--:|---|--:|")
    for one in read("soak"):
        lines.append(
            f"| {one['rows']:,} | {migrating(one) / 1000:.2f} ms | {inserting(one) / 1000:.2f} ms | {index_of(one)} | "
            f"{one['above_idle_mib']:,} MiB |"
        )
    return "\n".join(lines) + "\n"


def server_sentence() -> str:
    """How a migration over HTTP compares with the script people write, and how the least that anyone can do does."""
    sizes = read("server")["sizes"]
    ours, floor = (
        " and ".join(_ratio(one["times_as_fast"][route]) for one in sizes) for route in ("lightmigrate", "adding")
    )
    records = " and ".join(f"{one['records']:,}" for one in sizes)
    return (
        f"Over HTTP it is {ours} times as fast as that script with {records} records.\n"
        f"Adding the same records, nothing read and nothing compared, is {floor} times as fast.\n"
    )


def _ratio(one: Any) -> str:
    """Median, smallest and largest."""
    return f"{one['median']:.2f} ({one['min']:.2f}–{one['max']:.2f})"


def read(name: str) -> Any:
    """One result file."""
    return json.loads((HERE / "results" / f"{name}.json").read_text())


# Page, name of the place between two markers, and what stands there.
PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"numbers": numbers_table},
    "docs/results/index.md": {"retention": retention_table},
    "docs/results/budgets.md": {"plans": lambda: f"{summary(runs_of_plans())}\n{outcome(runs_of_plans())}\n"},
    "docs/results/packaged.md": {"packaged": packaged_table},
    "docs/results/speed.md": {
        "throughput": throughput_table,
        "sizes": sizes_table,
        "server": server_sentence,
        "stores": lambda: stores_table(read("stores")["runs"]),
    },
}

# Pages of results that are nothing but a table.
WHOLE: Mapping[str, Callable[[], str]] = {"benchmarks/results/plans.md": lambda: table_of_plans(runs_of_plans())}

if __name__ == "__main__":
    main()
