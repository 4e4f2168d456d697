"""How fast is a projection? `python benchmarks/projection.py [FOLDER]` writes `projection.json` and `projection.md`.

1. An affine projection by NumPy and by onnxruntime, beside a bare `np.matmul` of the same shape. They take turns, and
   each ratio compares neighbours in time, so that a machine that drifts cancels out.
2. The other terms, on documents of 200 words.

Only speed is measured, so matrices and vectors are random.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from lightmigrate import Model, Projection
from lightmigrate.demo.data import load_corpus
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.base import Term, Texts
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.projection.terms.lexical import Lexical, Vocabulary
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import Vectors

SEED = 0
SHAPES = ((384, 768), (1024, 768), (1024, 1536), (3072, 1536))
BATCHES = (256, 2_000, 10_000, 50_000)
TERMS_SHAPE, TERMS_BATCH, LANDMARKS, WORDS = (1024, 768), 2_000, 1_000, 200
# One timing takes about so long, by doing the work several times; and so many there are of each.
SECONDS, ROUNDS, FEWEST_ROUNDS, MOST_SECONDS = 0.03, 31, 7, 10.0
# Seconds between two timings: the threads of OpenBLAS and onnxruntime spin for a while after their work.
PAUSE = 0.15
ENVIRONMENT = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

Call = Callable[[], Any]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure how fast projections are.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "results")
    folder = parser.parse_args().folder
    report: dict[str, Any] = {"machine": machine()}  # first, because it reads the load
    report["affine"] = [measure_affine(shape, batch) for shape in SHAPES for batch in BATCHES]
    report["terms"] = measure_terms()
    report["machine"]["load after"] = load()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "projection.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "projection.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))


def by_turns(calls: Mapping[str, Call], rows: int, bare: str, pause: float = PAUSE) -> dict[str, Any]:
    """Vectors per second of each call, and its speed as a share of the `bare` one's in the same turn.

    Args:
        calls: by their names.
        rows: how many vectors each call projects.
        bare: the name of one of them.
        pause: seconds between two timings.
    """
    slowest = 0.0
    for call in calls.values():  # the first call warms up, the second says how long one takes
        call()
        started = time.perf_counter()
        call()
        slowest = max(slowest, time.perf_counter() - started)
    times = max(1, round(SECONDS / slowest))
    rounds = min(ROUNDS, max(FEWEST_ROUNDS, round(MOST_SECONDS / (len(calls) * (slowest * times + pause)))))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(pause)
            started = time.perf_counter()
            for _ in range(times):
                call()
            seconds[name].append((time.perf_counter() - started) / times)
    found: dict[str, Any] = {"rows": rows, "rounds": rounds}
    for name, own in seconds.items():
        ratios = [one / other for one, other in zip(seconds[bare], own, strict=True)]
        found[name] = {
            "vectors_per_second": spread([rows / one for one in own]),
            f"ratio_to_{bare}": spread(ratios),
            "ratio_of_best": min(seconds[bare]) / min(own),
        }
    return found


def random_affine(shape: tuple[int, int]) -> tuple[Vectors, Vectors, Projection]:
    """Random W `(d_in, d_out)` and b `(d_out,)`, and both as a projection into a normalised space."""
    rng = np.random.default_rng(SEED)
    weights = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(shape[0]))
    bias = 0.01 * rng.standard_normal(shape[1], dtype=np.float32)
    return weights, bias, Projection.affine(weights, bias, source=Model("old", shape[0]), target=Model("new", shape[1]))


def random_vectors(rows: int, dimension: int) -> Vectors:
    """Random vectors."""
    return np.random.default_rng(SEED + 1).standard_normal((rows, dimension), dtype=np.float32)


def exported(projection: Projection) -> Projection:
    """The same projection, read from ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        return Projection.load(projection.export_onnx(Path(folder) / "projection.onnx"))


def measure_affine(shape: tuple[int, int], batch: int) -> dict[str, Any]:
    """Time a bare product, NumPy's `apply` and ONNX's `apply` by turns."""
    weights, _, projection = random_affine(shape)
    vectors, onnx = random_vectors(batch, shape[0]), exported(projection)
    calls: dict[str, Call] = {
        "matmul": lambda: np.matmul(vectors, weights),
        "numpy": lambda: projection.apply(vectors),
        "onnx": lambda: onnx.apply(vectors),
    }
    return {"shape": list(shape), **by_turns(calls, batch, "matmul")}


def measure_terms() -> dict[str, Any]:
    """Time single terms, and all of them together, on the abstracts of the demo, made equally long."""
    (d_in, d_out), rng = TERMS_SHAPE, np.random.default_rng(SEED)
    words = " ".join(load_corpus().documents).split()
    starts = rng.integers(0, len(words) - WORDS, TERMS_BATCH)
    texts: Texts = [" ".join(words[start : start + WORDS]) for start in starts.tolist()]
    vocabulary = Vocabulary.of(load_corpus().documents)
    terms: dict[str, tuple[Term, ...]] = {
        "linear": (Linear(rng.standard_normal((d_in, d_out), dtype=np.float32)),),
        "kernel": (
            Kernel(random_vectors(LANDMARKS, d_in), rng.standard_normal((LANDMARKS, d_out), dtype=np.float32), 32.0),
        ),
        "lexical": (Lexical(vocabulary, rng.standard_normal((len(vocabulary.stems), d_out), dtype=np.float32), d_in),),
    }
    terms["all three"] = tuple(term for own in terms.values() for term in own)
    info = ProjectionInfo(Model("old", d_in), Model("new", d_out))
    vectors, bias = random_vectors(TERMS_BATCH, d_in), np.zeros(d_out, np.float32)
    projections = {name: Projection((Sum(bias, own, True),), info) for name, own in terms.items()}
    calls: dict[str, Call] = {
        name: lambda projection=projection: projection.apply(vectors, texts)  # type: ignore[misc]
        for name, projection in projections.items()
    }
    sizes = {"landmarks": LANDMARKS, "stems": len(vocabulary.stems), "words": WORDS}
    return {"shape": list(TERMS_SHAPE), **sizes, **by_turns(calls, TERMS_BATCH, "linear")}


def providers() -> list[str]:
    """What onnxruntime can compute with."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def load() -> float:
    """Processes that ran or waited to run, over the last minute."""
    return round(os.getloadavg()[0], 1)


def machine() -> dict[str, Any]:
    """What the numbers depend on, without saying whose machine it is."""
    blas = cast(Any, np.show_config(mode="dicts"))["Build Dependencies"]["blas"]
    return {
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "load before": load(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "onnxruntime")},
        "onnxruntime computes with": " ".join(providers()),
        "blas": f"{blas['name']} {blas['version']}",
        **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    affine = [
        ["{}→{}".format(*row["shape"]), f"{row['rows']:,}"]
        + [f"{row[name]['vectors_per_second']['median']:,.0f}" for name in ("matmul", "numpy", "onnx")]
        + [spread_text(row["numpy"]["ratio_to_matmul"]), f"{row['numpy']['ratio_of_best']:.2f}"]
        + [spread_text(row["onnx"]["ratio_to_matmul"]), f"{row['onnx']['ratio_of_best']:.2f}"]
        + [f"{row['onnx']['ratio_of_best'] / row['numpy']['ratio_of_best']:.2f}"]
        for row in report["affine"]
    ]
    terms = report["terms"]
    speeds = [
        [name, *(f"{number:,.0f}" for number in terms[name]["vectors_per_second"].values())]
        for name in ("linear", "kernel", "lexical", "all three")
    ]
    head = ["shape", "rows", "matmul", "NumPy", "ONNX"]
    head += ["NumPy ÷ matmul", "of best", "ONNX ÷ matmul", "of best", "ONNX ÷ NumPy, of best"]
    return f"""# Projections

{", ".join(f"{name} {value}" for name, value in report["machine"].items())}

An affine projection into a normalised space, `Projection.apply`: vectors per second, and the speed relative to a bare
`np.matmul` of the same shape in the same turn, median (min–max) of {FEWEST_ROUNDS} to {ROUNDS} turns; and that of the
best turn of each, which other programs disturb least.

{table(head, affine)}

Terms, {"{}→{}".format(*terms["shape"])}, {terms["rows"]:,} rows with documents of {terms["words"]} words,
{terms["landmarks"]:,} landmarks, {terms["stems"]:,} stems: vectors per second.

{table(["term", "median", "slowest", "fastest"], speeds)}
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers on the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread_text(values: dict[str, float]) -> str:
    """`median (min–max)`."""
    return f"{values['median']:.2f} ({values['min']:.2f}–{values['max']:.2f})"


if __name__ == "__main__":
    main()
