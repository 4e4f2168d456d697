"""What `migration/pace.py` foretells with: `python benchmarks/pace.py` measures `results/pace.json`.

Migrates databases of several sizes, dimensions and lengths of text, each with its graph kept and with its index built
anew, and fits the seconds by least relative squares. Every migration is timed in units of this machine's probe, so that
the coefficients are those of no machine. The last column of what is printed is how far the fit is off.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soak

from lightmigrate import ChromaMigrator, Model, Projection
from lightmigrate.files import tree_bytes
from lightmigrate.migration.duration import Work, machine_seconds
from lightmigrate.stores.files import IndexRoute

RESULT = Path(__file__).parent / "results" / "pace.json"
# records, dimension, target dimension, words in a document
SHAPES = (
    (500, 1024, 768, 40),
    (2000, 1024, 768, 40),
    (5000, 384, 384, 200),
    (5000, 768, 1536, 40),
    (10_000, 384, 384, 5),
    (10_000, 384, 768, 40),
    (10_000, 1024, 768, 200),
    (20_000, 768, 768, 20),
    (20_000, 1024, 384, 80),
    (40_000, 384, 384, 20),
)


def main() -> None:
    """Measure, fit, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fit-only", action="store_true", help="fit what was measured before")
    runs = json.loads(RESULT.read_text())["runs"] if parser.parse_args().fit_only else measure()
    kept = [run for run in runs if run["taken"] == "keep"]
    rebuilt = [run for run in runs if run["taken"] == "rebuild"]
    coefficients = {"kept": fit([Work(**run["work"]).terms() for run in kept], [run["units"] for run in kept])}
    extra = [run["units"] - np.dot(Work(**run["work"]).terms(), coefficients["kept"]) for run in rebuilt]
    index = [Work(**run["work"]).index_terms() for run in rebuilt]
    coefficients["rebuilt"] = fit(index, extra, [run["units"] for run in rebuilt])
    RESULT.write_text(json.dumps({"coefficients": coefficients, "runs": runs}, indent=1) + "\n")
    print(json.dumps(coefficients))
    for run in runs:
        work = Work(**run["work"])
        said = np.dot(work.terms(), coefficients["kept"])
        if run["taken"] == "rebuild":
            said += np.dot(work.index_terms(), coefficients["rebuilt"])
        print(run["asked"], run["taken"], run["work"], f"{run['seconds']:.1f} s", f"{said / run['units'] - 1:+.0%}")


def measure() -> list[dict[str, Any]]:
    """Every shape by both routes."""
    runs = []
    with tempfile.TemporaryDirectory() as home:
        for shape in SHAPES:
            database = Path(home) / "built"
            soak.WORDS = shape[3]
            soak.insert(database, 0, *shape[:2])
            for route in ("keep", "rebuild"):
                runs.append(migrate(database, Path(home) / "copy", shape, route))
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
            shutil.rmtree(database)
    return runs


def migrate(database: Path, copy: Path, shape: tuple[int, int, int, int], route: IndexRoute) -> dict[str, Any]:
    """One migration of a copy."""
    rows, dimension, target, _ = shape
    shutil.copytree(database, copy)
    os.sync()
    weights = np.random.default_rng(2).normal(size=(dimension, target)) / dimension**0.5
    models = Model("old", dimension), Model("new", target)
    projection = Projection.affine(weights, np.zeros(target), source=models[0], target=models[1])
    unit, started = machine_seconds(), time.perf_counter()
    result = ChromaMigrator(copy).migrate_collection(soak.COLLECTION, projection, index=route)
    seconds = time.perf_counter() - started
    unit = (unit + machine_seconds()) / 2
    size = tree_bytes(database, lambda path: True)
    for folder in copy.parent.glob("*_backup_*"):
        shutil.rmtree(folder)
    shutil.rmtree(copy)
    work = {"stored_bytes": size, "collections": [[rows, dimension, target]]}
    return {"asked": route, "taken": result.index, "work": work, "seconds": seconds, "units": seconds / unit}


def fit(terms: list[list[float]], values: list[float], whole: list[float] | None = None) -> list[float]:
    """Coefficients, none below zero, of least squares relative to the values, or to the whole they are parts of."""
    scale = np.array(whole or values)
    X, y = np.array(terms) / scale[:, None], np.array(values) / scale
    best, least = np.zeros(X.shape[1]), np.inf
    for chosen in itertools.product((False, True), repeat=X.shape[1]):
        used = np.flatnonzero(chosen)
        found = np.linalg.lstsq(X[:, used], y, rcond=None)[0]
        error = float(np.square(X[:, used] @ found - y).sum())
        if (found >= 0).all() and error < least:
            least, best = error, np.zeros(X.shape[1])
            best[used] = found
    return [float(f"{one:.3g}") for one in best]


if __name__ == "__main__":
    main()
