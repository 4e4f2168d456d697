"""Does a GPU give what the processor gives, and how fast? `python benchmarks/cuda.py [--device cpu]`.

Every way in which the product computes on a GPU, beside the same on the processor with NumPy:

1. `Projection.apply` of a graph that onnxruntime computes (package `onnxruntime-gpu`), for every kind of projection
   that can be written as one, and for rows that are zero, not a number, or too long or short to be squared.
2. `lightmigrate.fit` of torch tensors, by every method: what both projections make of documents that neither has seen.
3. The layer and the network of the training package, trained on both.

No number may differ by more than 1e-4 of the length of its row. Then vectors per second: a bare product on the card,
the graph on the card with its vectors already there, copies to the card and back alone, and `Projection.apply`, which
copies, too. Takes some minutes; writes `cuda.md`.

`--device cpu` runs all of it on the processor, to try the script where there is no GPU: it prints its page, and writes
it, as `cuda_tried_on_cpu.md`, only with `--results`. Ends with 1 if something differs, with 2 if something could not be
compared.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import itertools
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from projection import by_turns, exported, random_affine, random_vectors, spread_text, table

from lightmigrate import Model, Projection, WordVectors, fit
from lightmigrate.demo.data import load_corpus, load_model, load_projection
from lightmigrate.demo.replay import ReplayedModel
from lightmigrate.estimators.extracts import Extracts, OtherExtracts
from lightmigrate.estimators.methods import EXTRACT_METHODS, TEXT_METHODS, Method
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.onnx import INPUT, OUTPUT, OnnxStep
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.projection.terms.words import words_of
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.vectors import Vectors

RESULTS = Path(__file__).parent / "results"
CUDA = "CUDAExecutionProvider"
TOLERANCE = 1e-4
SHAPES = ((384, 768), (1024, 768), (1024, 1536), (3072, 1536))
LANDMARKS = 1_000
EXTRACT = ExtractRule(20)
# Lengths of rows: too short and too long to be squared in float32, and ordinary.
LENGTHS = (0.0, 1e-30, 1e-12, 1.0, 1e12, 1e30)
LONGEST = 600.0  # seconds; a run that takes more says so


@dataclass
class Checks:
    """What was compared, as it becomes known.

    Attributes:
        rows: what, the largest difference, and seconds on the processor and on the device where it was fitted.
        missing: what could not be compared, and why.
    """

    rows: list[tuple[str, float, tuple[float, float] | None]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, what: str, here: Vectors, there: Vectors, seconds: tuple[float, float] | None = None) -> None:
        """Compare what the processor gave with what the device gave."""
        self.rows.append((what, difference(here, there), seconds))
        print(f"{what}: {self.rows[-1][1]:.1e}", flush=True)

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Note what fails, and go on: a GPU is not there every day."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the libraries' own, of any kind
            self.missing.append(f"{what}, as {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")
            print(self.missing[-1], flush=True)

    @property
    def differing(self) -> list[str]:
        """What differs by too much."""
        return [what for what, found, _ in self.rows if not found <= TOLERANCE]


def main() -> int:
    """Compare, measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--results", type=Path)
    # Fewer pairs than dimensions do not determine a rotation: the rest of it is what a library happens to make of it.
    parser.add_argument("--pairs", type=int, default=400, help="pairs that are fitted to, 300 to 600")
    parser.add_argument(
        "--rows", type=int, nargs="*", default=[2_000, 50_000], help="vectors that are projected at once"
    )
    options = parser.parse_args()
    if (why := why_not(options.device)) is not None:
        print(f"{why}; nothing was compared, measured or written. To try this script without a GPU: --device cpu")
        return 2
    began, checks = time.monotonic(), Checks()
    compare_fits(options.device, options.pairs, checks)
    trained = compare_training(options.device, options.pairs, checks)
    speeds: list[dict[str, Any]] = []
    if (why := why_no_graphs(options.device)) is None:
        compare_graphs(options.pairs, trained, checks)
        for (name, shape, projection), rows in itertools.product(speed_shapes(), options.rows):
            with checks.trying(f"speed: {name}, {rows:,} rows"):
                speeds.append(measure(options.device, name, shape, projection, rows, checks))
    else:
        checks.missing.append(f"graphs, as {why}")
    text = page(options.device, checks, speeds, time.monotonic() - began)
    folder = options.results or (RESULTS if options.device == "cuda" else None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        name = "cuda.md" if options.device == "cuda" else "cuda_tried_on_cpu.md"
        (folder / name).write_text(text, encoding="utf-8")
    print(text)
    return 1 if checks.differing else 2 if checks.missing else 0


def why_not(device: str) -> str | None:
    """Why nothing can be compared here."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (the extra `train`)"
    import torch

    return "torch finds no CUDA device here" if device == "cuda" and not torch.cuda.is_available() else None


def why_no_graphs(device: str) -> str | None:
    """Why no graph runs on the device."""
    import onnxruntime

    if device == "cpu":
        return None
    if CUDA not in onnxruntime.get_available_providers():
        return f"onnxruntime {onnxruntime.__version__} offers no {CUDA}; install onnxruntime-gpu in its place"
    _, _, projection = random_affine(SHAPES[0])
    used = session_of(exported(projection)).get_providers()  # it takes the processor where its libraries do not load
    return None if used[0] == CUDA else f"onnxruntime {onnxruntime.__version__} fell back to {used[0]}"


def difference(here: Vectors, there: Vectors) -> float:
    """The largest difference of two numbers, as a share of the length of their row where that is above 1."""
    if here.shape != there.shape or not np.array_equal(np.isnan(here), np.isnan(there)):
        return np.inf
    known = ~np.isnan(here).any(axis=1)
    lengths = np.maximum(1, np.linalg.norm(here[known].astype(np.float64), axis=1, keepdims=True))
    apart = np.abs(here[known].astype(np.float64) - there[known]) / lengths
    return float(apart.max(initial=0.0))


def compare_fits(device: str, pairs: int, checks: Checks) -> None:
    """Fit NumPy arrays here and torch tensors there, by every method, to all kinds of lengths, and to residuals."""
    import torch

    corpus = load_corpus()
    X, Y, texts = corpus.old_documents[:pairs], corpus.new_documents[:pairs], corpus.documents[:pairs]
    fresh = corpus.old_documents[600:], corpus.documents[600:]
    words, extracts = known_words(load_model(corpus, "all-MiniLM-L6-v2"), pairs)
    spread = (0.5 + np.random.default_rng(0).random((pairs, 1), np.float32)) * Y
    cases: dict[str, tuple[Method, Vectors, dict[str, Any]]] = {
        method: (method, Y, {"extracts": extracts} if method in EXTRACT_METHODS else {}) for method in get_args(Method)
    }
    cases["auto, with extracts"] = ("auto", Y, {"extracts": extracts})
    cases["kernel, lengths that differ"] = ("kernel", spread, {})
    cases["lexical, with a prior"] = ("lexical", Y, {"prior": load_projection()})
    for name, (method, target, more) in cases.items():
        read = texts if method in ("auto", *TEXT_METHODS) else None
        fitted = functools.partial(fit, texts=read, method=method, words=words, **more)
        with checks.trying(f"fit: {name}"):
            here, taken = timed(functools.partial(fitted, X, target))
            tensors = [torch.as_tensor(rows, dtype=torch.float64, device=device) for rows in (X, target)]
            there, needed = timed(functools.partial(fitted, *tensors))
            chosen = [projection.info.training["method"] for projection in (here, there)]
            said = name if chosen[0] == chosen[1] else f"{name}, which chose {chosen[0]} here and {chosen[1]} there"
            checks.add(f"fit: {said}", here.apply(*fresh), there.apply(*fresh), (taken, needed))


def known_words(model: ReplayedModel, pairs: int) -> tuple[WordVectors, Extracts]:
    """Words that the recorded model has embedded, and extracts, for which the sum of their words' vectors stands.

    The recording has no extract of every document; it is only asked whether two computations of the same agree.
    """
    corpus, counter = load_corpus(), WordCounter()
    for text in corpus.documents:
        counter.add(text)
    frequent = counter.frequent()
    known = [number for number, word in enumerate(frequent.words) if model.knows(word)]
    words = [frequent.words[number] for number in known]
    vectors = model.embed(words)
    place = {word: number for number, word in enumerate(words)}

    def embed(extracts: Sequence[str]) -> Vectors:
        summed = np.zeros((len(extracts), vectors.shape[1]), np.float32)
        for row, text in enumerate(extracts):
            summed[row] = vectors[[place[word] for word in words_of(text) if word in place]].sum(axis=0)
        return summed

    others = slice(600, 800)
    embedded = embed([EXTRACT.of(text) for text in corpus.documents])
    more = OtherExtracts(corpus.old_documents[others], corpus.documents[others], embedded[others])
    counts = [frequent.counts[number] for number in known]
    return WordVectors(words, vectors, counts, frequent.documents), Extracts(EXTRACT, embedded[:pairs], embed, more)


def timed(call: Callable[[], Projection]) -> tuple[Projection, float]:
    """What a call gives, and its seconds."""
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def compare_training(device: str, pairs: int, checks: Checks) -> Projection:
    """Train the layer and the network on both; returns the network that the processor trained."""
    from lightmigrate_train import fit_linear, fit_mlp

    corpus = load_corpus()
    X, Y, fresh = corpus.old_documents[:pairs], corpus.new_documents[:pairs], corpus.old_documents[600:]
    models: dict[str, Any] = {"source_model": Model("old", X.shape[1]), "target_model": Model("new", Y.shape[1])}
    trainings: dict[str, Callable[..., Projection]] = {
        "linear layer, 30 epochs": functools.partial(fit_linear, X, Y, epochs=30, **models),
        "network": functools.partial(fit_mlp, X, Y, **models),
    }
    for name, train in trainings.items():
        here, taken = timed(functools.partial(train, device="cpu"))
        with checks.trying(f"training: {name}"):
            there, needed = timed(functools.partial(train, device=device))
            checks.add(f"training: {name}", here.apply(fresh), there.apply(fresh), (taken, needed))
    return here


def compare_graphs(pairs: int, network: Projection, checks: Checks) -> None:
    """Graphs of every kind of projection beside their own `apply` by NumPy."""
    corpus = load_corpus()
    X, Y, fresh = corpus.old_documents[:pairs], corpus.new_documents[:pairs], corpus.old_documents[600:]
    directions = fresh / np.linalg.norm(fresh, axis=1, keepdims=True)
    ridge, kernel = fit(X, Y, method="ridge"), fit(X, Y, method="kernel")
    spread = (0.5 + np.random.default_rng(0).random((pairs, 1), np.float32)) * Y
    graphs: dict[str, tuple[Projection, Vectors]] = {
        "ridge": (ridge, fresh),
        "kernel": (kernel, fresh),
        "kernel, one length that is not 1": (fit(X, 3 * Y, method="kernel"), fresh),
        "kernel, lengths that differ": (fit(X, spread, method="kernel"), fresh),
        "network": (network, fresh),
        "two after each other": (ridge.then(fit(Y, X, method="ridge", source_model=ridge.info.target)), fresh),
    }
    for d_in, d_out in SHAPES:
        graphs[f"linear, {d_in} → {d_out}"] = random_affine((d_in, d_out))[2], random_vectors(3_000, d_in)
    W = random_affine((X.shape[1], 384))[0]
    plain = Projection.affine(W, np.zeros(384), source=Model("old", X.shape[1]), target=Model("new", 384))
    for length in LENGTHS:
        graphs[f"linear, rows of length {length:g}"] = plain, (length * directions).astype(np.float32)
    holed = fresh.copy()
    holed[::7, 3] = np.nan
    graphs["ridge, rows with NaN"] = ridge, holed
    for name, (projection, vectors) in graphs.items():
        with checks.trying(f"graph: {name}"):
            checks.add(f"graph: {name}", projection.apply(vectors), exported(projection).apply(vectors))


def session_of(projection: Projection) -> Any:
    """The session of onnxruntime of a projection that was read from ONNX."""
    (step,) = projection.steps
    assert isinstance(step, OnnxStep)
    return step.session


def speed_shapes() -> list[tuple[str, tuple[int, int], Projection]]:
    """Projections that are measured: matrices, and one with a kernel."""
    named = [(f"linear {d_in} → {d_out}", (d_in, d_out), random_affine((d_in, d_out))[2]) for d_in, d_out in SHAPES]
    d_in, d_out = SHAPES[1]
    W, b, _ = random_affine((d_in, d_out))
    kernel = Kernel(random_vectors(LANDMARKS, d_in), random_vectors(LANDMARKS, d_out), float(np.sqrt(d_in)))
    info = ProjectionInfo(Model("old", d_in), Model("new", d_out))
    both = Projection((Sum(b, (Linear(W), kernel), True),), info)
    return [*named, (f"kernel of {LANDMARKS:,} landmarks, {d_in} → {d_out}", (d_in, d_out), both)]


def measure(
    device: str, name: str, shape: tuple[int, int], projection: Projection, rows: int, checks: Checks
) -> dict[str, Any]:
    """Vectors per second of one projection, by turns; the processor alone, after that."""
    import torch

    def waited() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    vectors, graph = random_vectors(rows, shape[0]), exported(projection)
    W = torch.as_tensor(random_affine(shape)[0], device=device)
    there = torch.as_tensor(vectors).to(device, copy=True)
    result = torch.empty((rows, shape[1]), dtype=torch.float32, device=device)

    def bound(session: Any) -> Callable[[], None]:
        """A call of a graph whose vectors and results stay on the device."""
        binding = session.io_binding()
        for bind, key, tensor in ((binding.bind_input, INPUT, there), (binding.bind_output, OUTPUT, result)):
            bind(key, device, 0, np.float32, tuple(tensor.shape), tensor.data_ptr())

        def call() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return call

    def product() -> None:
        torch.matmul(there, W, out=result)
        waited()

    def copies() -> None:
        torch.as_tensor(vectors).to(device, copy=True)
        result.to("cpu", copy=True)
        waited()

    on_device = bound(session_of(graph))
    on_device()
    checks.add(f"graph: {name}, {rows:,} rows at once", projection.apply(vectors), result.cpu().numpy())
    calls: Mapping[str, Callable[[], Any]] = {
        "product": product,
        "graph": on_device,
        "copies": copies,
        "apply": lambda: graph.apply(vectors),
    }
    here = by_turns({"NumPy": lambda: projection.apply(vectors)}, rows, "NumPy")
    return {"name": name, "rows": rows, **by_turns(calls, rows, "product", pause=0.0), "NumPy": here["NumPy"]}


def page(device: str, checks: Checks, speeds: Sequence[dict[str, Any]], seconds: float) -> str:
    """What was found, as Markdown."""
    columns = ("product", "graph", "copies", "apply", "NumPy")
    fast = [
        [row["name"], f"{row['rows']:,}"]
        + [f"{row[name]['vectors_per_second']['median']:,.0f}" for name in columns]
        + [spread_text(row["graph"]["ratio_to_product"])]
        for row in speeds
    ]
    found = [
        [what, f"{apart:.1e}", *(("", "") if times is None else (f"{each:.2f}" for each in times))]
        for what, apart, times in checks.rows
    ]
    head = "# On a GPU" if device == "cuda" else "# The script for a GPU, tried on the processor: no GPU was measured"
    largest = max((apart for _, apart, _ in checks.rows), default=0.0)
    said = f"{len(checks.rows)} comparisons, the largest difference {largest:.1e}"
    wrong = f" Too different: {', '.join(checks.differing)}." if checks.differing else ""
    missing = f" Not compared: {'; '.join(checks.missing)}." if checks.missing else ""
    late = f", more than {LONGEST:.0f}" if seconds > LONGEST else ""
    speed = f"""
Vectors per second, median. *product*: a matrix of the same shape, vectors and results on the device. *graph*: the
projection by onnxruntime, in the same way, all rows at once. *copies*: vectors to the device and results back, nothing
computed. *apply*: `Projection.apply` from memory to memory, copies included. *NumPy*: the same on the processor.

{table(["projection", "rows", *columns, "graph ÷ product"], fast)}
""" if speeds else ""  # fmt: skip
    return f"""{head}
By `benchmarks/cuda.py`, in {seconds:.0f} s{late}. {machine(device)}.

{said} of the length of a row; {TOLERANCE:g} is allowed.{wrong}{missing}

{table(["compared", "difference", "s, processor", "s, device"], found)}
{speed}"""


def machine(device: str) -> str:
    """What the numbers depend on, without saying whose machine it is."""
    import onnxruntime
    import torch

    card = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, " if device == "cuda" else ""
    return (
        f"{card}{os.cpu_count()} {platform.machine()} cores, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    )


if __name__ == "__main__":
    sys.exit(main())
