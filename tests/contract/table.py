"""The contract suite as a table, tests × stores, in Markdown:  python -m tests.contract.table"""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import pytest

from tests.contract.makers import MAKERS

_MARKS = {"passed": "✓", "failed": "✗"}


class Outcomes:
    """A pytest plugin that keeps what came of every test on every store."""

    def __init__(self) -> None:
        self.by_test: dict[str, dict[str, set[str]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test; a test passed when none of its phases failed."""
        match = re.fullmatch(r".*::test_(\w+)\[(.*)\]", report.nodeid)
        store = next((name for name in MAKERS if match and name in match[2]), None)
        if match and store and (report.failed or report.when == "call"):
            self.by_test.setdefault(match[1], {}).setdefault(store, set()).add(report.outcome)

    def markdown(self) -> str:
        """The table; a test counts as passed when it passed with all of its parameters."""
        lines = [f"| | {' | '.join(MAKERS)} |", f"|---|{':-:|' * len(MAKERS)}"]
        for test, stores in self.by_test.items():
            cells = [_cell(stores.get(name, set())) for name in MAKERS]
            lines.append(f"| {test.replace('_', ' ')} | {' | '.join(cells)} |")
        return "\n".join(lines)


def _cell(outcomes: set[str]) -> str:
    worst = min(outcomes, key=lambda outcome: ("failed", "skipped", "passed").index(outcome), default="")
    return _MARKS.get(worst, worst)


def main() -> int:
    """Run the suite and print the table, what pytest says on stderr; the exit status is pytest's."""
    outcomes = Outcomes()
    arguments = [str(Path(__file__).parent), "-q", "--no-header", "--tb=no", "-n", "0"]
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main(arguments, plugins=[outcomes])
    sys.stdout.write(f"{outcomes.markdown()}\n")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
