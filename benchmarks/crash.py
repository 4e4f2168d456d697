"""Migrations, rollbacks and refinements of every store, killed: `python benchmarks/crash.py`; hours on two cores.

Each kill has a database of its own, made as an application makes it, and a process of its own: before every step (a
call that writes, an operation on a file), and at random moments; or with `--places` at so many of the steps, all over
the work, a place of every store after the other. `tests/contract/killing.py` says what must be true.

What came of each is a line of `results/crash.jsonl`, and is not run again at the same commit: the script can be
interrupted. It writes the table of `results/crash.md`. `LIGHTMIGRATE_KILLS` says how many random moments.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.contract.killing import What

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for the makers of the contract suite

RESULTS = ROOT / "benchmarks" / "results"
LINES, TABLE = "crash.jsonl", "crash.md"
BEGIN, END = "<!-- stores: written by benchmarks/crash.py -->", "<!-- end of stores -->"

KINDS: tuple[What, ...] = ("migrate", "rollback", "refine")

# A refinement is prepared by a plan, which takes longest: every so many of its steps, and of its random moments.
STRIDES: Mapping[What, int] = {"migrate": 1, "rollback": 1, "refine": 3}

# A step that no work has, so that it ends by itself and says how many there were.
WHOLE = 10**9

# After so many failures of one kind there is something to mend first.
MOST_FAILURES = 5

Line = Mapping[str, Any]


def main() -> int:
    """Kill what has not been killed, and write the table; the exit status is 1 if anything was not as it must be."""
    from tests import surroundings
    from tests.at_end import AT_END
    from tests.contract.makers import MAKERS

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stores", nargs="+", choices=list(MAKERS), help="by default all that outlive their process")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("LIGHTMIGRATE_KILLS", "20")))
    parser.add_argument("--every", type=int, default=1, help="only every n-th of the steps")
    parser.add_argument("--places", type=int, default=0, help="instead: at so many steps, all over the work")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    surroundings.prepare()
    results = Results(options.results, commit_measured())
    works = list(itertools.product(options.stores or MAKERS, options.kinds))
    try:
        if options.places:
            spread(results, works, options.places)
            works = []
        for name, what in works:
            run(results, name, what, options.kills // STRIDES[what], options.every * STRIDES[what])
    finally:
        AT_END.close()
        results.write_table()
    return int(any("failed" in line for line in results.lines))


class Results:
    """What came of every kill, in a file that only grows.

    Args:
        folder: of the results.
        commit: of the code. What an earlier one left of a kind of work is kept until there is something newer.
    """

    def __init__(self, folder: Path, commit: str) -> None:
        self._file, self._table, self._commit = folder / LINES, folder / TABLE, commit
        kept = self._file.read_text().splitlines() if self._file.exists() else []
        self.lines: list[Line] = list(map(json.loads, kept))

    def of(self, store: str, what: What, moment: Mapping[str, int]) -> Line | None:
        """What came of a kill; `None` if it was not made yet."""
        wanted = {"commit": self._commit, "store": store, "what": what, **moment}
        return next((line for line in self.lines if wanted.items() <= line.items()), None)

    def add(self, store: str, what: What, moment: Mapping[str, int], outcome: Mapping[str, Any]) -> Line:
        """Keep what came of a kill."""
        line = {"commit": self._commit, "store": store, "what": what, **moment, **outcome}
        kept = [each for each in self.lines if self._commit == each["commit"] or (store, what) != _group(each)]
        if len(kept) < len(self.lines):
            self._file.write_text("".join(f"{json.dumps(each)}\n" for each in kept))
        self.lines = [*kept, line]
        with self._file.open("a") as file:
            file.write(f"{json.dumps(line)}\n")
        print(json.dumps(line), flush=True)
        return line

    def write_table(self) -> None:
        """Put the table into the page, in the place of an earlier one."""
        before = self._table.read_text() if self._table.exists() else ""
        head, _, rest = before.partition(BEGIN)
        _, _, tail = rest.partition(END)
        self._table.write_text(f"{head.rstrip()}\n\n{BEGIN}\n{table(self.lines)}\n{END}\n{tail.lstrip()}")


def spread(results: Results, works: Sequence[tuple[str, What]], places: int) -> None:
    """Kill several kinds of work before some of their steps, all over them: in the middle, then at quarters, ..."""
    fractions = (odd / 2**power for power in itertools.count(1) for odd in range(1, 2**power, 2))
    for fraction in [1.0, *itertools.islice(fractions, places)]:
        for name, what in works:
            whole = results.of(name, what, {"step": WHOLE}) or _killed(results, name, what, {"step": WHOLE}, None)
            if whole is None or "failed" in whole:
                continue
            moment = {"step": int(whole["steps"] * fraction)}
            if fraction < 1 and results.of(name, what, moment) is None:
                _killed(results, name, what, moment, None)


def run(results: Results, name: str, what: What, kills: int, every: int) -> None:
    """Kill one kind of work on one store before its steps, then at random moments."""
    seconds, failed = 0.0, 0
    for step in itertools.count(0, every):
        line = results.of(name, what, {"step": step}) or _killed(results, name, what, {"step": step}, None)
        if line is None:
            return  # it ends with its process
        failed += "failed" in line
        if failed == MOST_FAILURES:
            return
        if not line["killed"]:
            seconds = float(line["seconds"])
            break
    for seed in range(kills):
        if results.of(name, what, {"seed": seed}) is None:
            _killed(results, name, what, {"seed": seed}, random.Random(seed).uniform(0, seconds))


def _killed(results: Results, name: str, what: What, moment: Mapping[str, int], seconds: float | None) -> Line | None:
    """Make one kill and keep what came of it; `None` for a store that ends with its process."""
    from tests.contract.killing import Moment, kill
    from tests.contract.makers import MAKERS

    with tempfile.TemporaryDirectory() as folder:
        maker = MAKERS[name](Path(folder))
        try:
            if not maker.locator:
                return None
            outcome = kill(maker, what, Moment(moment.get("step"), seconds), Path(folder))
            return results.add(name, what, moment, asdict(outcome))
        except Exception:  # noqa: BLE001  # it is a result, and the others are to be made, too
            traceback.print_exc()
            reason = traceback.format_exc().splitlines()[-1]
            return results.add(name, what, moment, {"failed": reason, "killed": True})
        finally:
            maker.release()


def table(lines: Sequence[Line]) -> str:
    """The outcomes, a row for each store and kind of work, in Markdown."""
    rows = [
        "Every store: kills, and what was found after them. Every run went on to the end, and every way back was "
        "exact, except for those that are counted as failed.",
        "",
        "| store | killed while it was to | commit | before a step | at random | found old | found new | "
        "between two steps | taken up again | failed |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (store, what), some in _grouped(lines):
        killed = [line for line in some if line.get("killed")]
        whole = [line for line in killed if "failed" not in line]
        counts = (
            sum("step" in line for line in killed),
            sum("seed" in line for line in killed),
            sum(not line["new"] for line in whole),
            sum(line["new"] for line in whole),
            sum(line["between"] for line in whole),
            sum(line["resumed"] for line in whole),
            len(killed) - len(whole),
        )
        rows.append(f"| {store} | {what} | {some[-1]['commit']} | {' | '.join(map(str, counts))} |")
    return "\n".join(rows)


def _grouped(lines: Sequence[Line]) -> Iterator[tuple[tuple[str, str], list[Line]]]:
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault(_group(line), []).append(line)
    yield from groups.items()


def _group(line: Line) -> tuple[str, str]:
    """The kind of work that a line is about."""
    return line["store"], line["what"]


def commit_measured() -> str:
    """The commit of the code, with a mark if it was changed since."""
    commit, changed = (
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "lightmigrate", "tests"])
    )
    return f"{commit}, changed" if changed else commit


if __name__ == "__main__":
    sys.exit(main())
