"""The tests that touch Chroma, under every version of it that is supported: `python tests/versions.py [VERSION ...]`.

Each version is laid over this environment for its run, and its default routes must be taken, not only survived: the
tests tell the routes apart. Writes `benchmarks/results/versions.md`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HOUSE = Path(__file__).parents[1]
RESULT = HOUSE / "benchmarks" / "results" / "versions.md"
VERSIONS = ("1.5.2", "1.5.4", "1.5.5", "1.5.6", "1.5.7", "1.5.8", "1.5.9")
# What some of them import and this environment, which has the newest, has not got.
NEEDED = ("posthog<6",)
TESTS = ("tests/migration/test_routes.py", "tests/migration/test_migrate.py", "tests/stores", "tests/migration/shadow")


def main() -> None:
    """Run them, print and write what came of it."""
    rows = [(version, *outcome(version)) for version in sys.argv[1:] or VERSIONS]
    table = "".join(f"| {version} | {passed} | {failed} |\n" for version, passed, failed in rows)
    RESULT.write_text(
        f"`make versions`: {', '.join(f'`{test}`' for test in TESTS)} under each supported version of Chroma.\n\n"
        f"| chromadb | passed | failed |\n|---|--:|--:|\n{table}"
    )
    print(table)
    sys.exit(any(failed != "0" for _, _, failed in rows))


def outcome(version: str) -> tuple[str, str]:
    """How many tests passed, and how many did not."""
    with tempfile.TemporaryDirectory() as overlay:
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", overlay]
        subprocess.run([*install, "--no-deps", f"chromadb=={version}"], check=True)
        subprocess.run([*install, *NEEDED], check=True)
        environment = {**os.environ, "PYTHONPATH": overlay}
        seen = subprocess.run(
            [sys.executable, "-c", "import chromadb; print(chromadb.__version__)"],
            env=environment, stdout=subprocess.PIPE, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        if seen != version:
            raise SystemExit(f"chromadb {seen} was found instead of {version}")
        command = [sys.executable, "-m", "pytest", *TESTS]
        said = subprocess.run(command, cwd=HOUSE, env=environment, stdout=subprocess.PIPE, text=True).stdout
    print(f"{version}: {said.splitlines()[-1]}", file=sys.stderr, flush=True)
    counts = {what: number for number, what in re.findall(r"(\d+) (passed|failed|error)", said)}
    bad = int(counts.get("failed", 0)) + int(counts.get("error", 0))
    return counts.get("passed", "0"), str(bad) if "passed" in counts else "all"


if __name__ == "__main__":
    main()
