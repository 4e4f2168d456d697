"""The script that compares a GPU with the processor, on the processor: everything that it does but the GPU itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "cuda.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def test_all_of_it_runs_on_the_processor(tmp_path: Path) -> None:
    done = run("--device", "cpu", "--results", tmp_path, "--pairs", 300, "--rows", 64)
    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = tmp_path.iterdir()
    text = page.read_text()
    assert page.name == "cuda_tried_on_cpu.md"
    assert "no GPU was measured" in text
    assert "Not compared" not in text
    for what in ("fit: auto", "fit: corrected_extract", "training: network", "graph: linear, rows of length 1e+30"):
        assert re.search(rf"^\| {re.escape(what)} \| \d\.\de[-+]\d\d \|", text, re.MULTILINE), what
    assert re.search(r"^\| linear 3072 → 1536 \| 64 \| ([\d,]+ \| ){5}\d+\.\d\d \(", text, re.MULTILINE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    done = run("--results", tmp_path / "results")
    assert done.returncode == 2
    assert "torch finds no CUDA device here; nothing was compared" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_differs_is_not_called_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    cuda = __import__("cuda")
    here = np.array([[3.0, 4.0], [0.6, 0.8], [np.nan, 1.0]], np.float32)
    there = here + np.float32([[4e-4], [2e-4], [0.0]])
    checks = cuda.Checks()
    checks.add("by the length of a row", here[:1], there[:1])
    checks.add("beyond it", here, there)
    checks.add("NaN on one side", here, np.nan_to_num(there))
    assert checks.differing == ["beyond it", "NaN on one side"]
    assert cuda.difference(here[:1], there[:1]) == pytest.approx(8e-5, rel=1e-2)
    with checks.trying("fit: ridge"):
        raise RuntimeError("no kernel image is available\nfor this device")
    assert checks.missing == ["fit: ridge, as RuntimeError: no kernel image is available"]
