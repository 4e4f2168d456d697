"""The contract suite as a table, tests × stores, in Markdown:  python -m tests.contract.table FILE

Every test runs on every store, one store after the other. What came of a store is kept in pytest's cache folder as soon
as its last test has ended, so that the same command goes on where it was stopped; it begins anew when the code has
changed. After every store the file is written.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["LIGHTMIGRATE_CONTRACT"] = "all"  # before the suite is imported

import pytest

from lightmigrate.version import __version__
from tests.contract.makers import MAKERS

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / ".pytest_cache" / "contract.json"
_MARKS = {"passed": "✓", "failed": "✗"}
_WORST_FIRST = ("failed", "skipped", "passed")


class Outcomes:
    """A pytest plugin that keeps what came of every test on every store, and ends the run when its time is over.

    Args:
        output: the file of the table.
        minutes: after which no other store is begun.
        chosen: the stores to run; all that are not done when it is empty.

    Attributes:
        by_store: of each store that is done, the outcome of each test; `None` for one that it does not have.
    """

    def __init__(self, output: Path, minutes: float, chosen: Sequence[str]) -> None:
        self._output, self._end, self._chosen = output, time.monotonic() + 60 * minutes, chosen
        self._code = _digest()
        self.by_store: dict[str, dict[str, str]] = _kept(self._code)
        self._running: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Only stores that are not done, one after the other."""
        wanted = self._chosen or [name for name in MAKERS if name not in self.by_store]
        chosen = [item for item in items if _store_of(item) in wanted]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = sorted(chosen, key=lambda item: wanted.index(_store_of(item)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """One phase of one test; a test passed when none of its phases failed, with all of its parameters."""
        report = yield
        if report.failed or report.when == "call":
            test = re.sub(r"\[.*|^test_", "", item.name)
            outcomes = {report.outcome, self._running.get(test, "passed")}
            self._running[test] = min(outcomes, key=_WORST_FIRST.index)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Write down what came of a store after its last test."""
        done = yield
        store = _store_of(item)
        if nextitem is None or _store_of(nextitem) != store:
            self.by_store[store], self._running = self._running, {}
            _KEPT.parent.mkdir(exist_ok=True)
            _KEPT.write_text(json.dumps({"code": self._code, "stores": self.by_store}))
            self._output.write_text(self.markdown())
            if nextitem is not None and time.monotonic() > self._end:
                item.session.shouldstop = "its time is over: the same command goes on with the other stores"
        return done

    def markdown(self) -> str:
        """The table."""
        stores = [name for name in MAKERS if name in self.by_store]
        tests = dict.fromkeys(test for name in stores for test in self.by_store[name])
        lines = [
            f"Every test on every store, lightmigrate {__version__}:  make contract",
            "",
            f"| | {' | '.join(stores)} |",
            f"|---|{':-:|' * len(stores)}",
        ]
        for test in tests:
            cells = [_cell(self.by_store[name].get(test)) for name in stores]
            lines.append(f"| {test.replace('_', ' ')} | {' | '.join(cells)} |")
        missing = [name for name in MAKERS if name not in self.by_store]
        if missing:
            lines += ["", f"Not run yet: {', '.join(missing)}."]
        return "\n".join([*lines, ""])


def _store_of(item: pytest.Item) -> str:
    """The name of the maker that a test runs on; empty for one that needs none."""
    callspec: Any = getattr(item, "callspec", None)
    return str(callspec.params.get("maker", "")) if callspec is not None else ""


def _cell(outcome: str | None) -> str:
    return "" if outcome is None else _MARKS.get(outcome, outcome)


def _digest() -> str:
    """Of the code that is tested, and of the suite."""
    digest = hashlib.sha256()
    for folder in ("lightmigrate", "tests/contract", "examples/toy_store"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _kept(code: str) -> dict[str, dict[str, str]]:
    """What an earlier run of the same code has left."""
    try:
        kept: Mapping[str, Any] = json.loads(_KEPT.read_text())
        return dict(kept["stores"]) if kept["code"] == code else {}
    except (OSError, ValueError, KeyError):
        return {}


def main() -> int:
    """Run what is left of the suite; the exit status is pytest's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the file of the table")
    parser.add_argument("--minutes", type=float, default=60, help="after which no other store is begun")
    parser.add_argument("--stores", nargs="*", default=[], choices=list(MAKERS), help="these, done or not")
    chosen = parser.parse_args()
    outcomes = Outcomes(chosen.output, chosen.minutes, chosen.stores)
    arguments = [str(Path(__file__).parent), "-q", "--no-header", "--tb=short", "-n", "0"]
    return int(pytest.main(arguments, plugins=[outcomes]))


if __name__ == "__main__":
    sys.exit(main())
