"""The ONNX form of a projection: the same function for runtimes that are not Python."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import MissingExtraError, ProjectionFileError
from lightmigrate.files import replacing
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import ByText, Length, Step, Sum
from lightmigrate.projection.terms.base import Term, Texts
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.projection.terms.network import Network
from lightmigrate.projection.unit_sphere import NEAREST, missing_from
from lightmigrate.vectors import SHORTEST, Vectors

# Opset 17 is supported by onnxruntime since 1.12 (2022); IR 8 is its version of the format.
OPSET, IR_VERSION = 17, 8
INFO_KEY, CHECKSUM_KEY = "lightmigrate.info", "lightmigrate.sha256"
NO_CHECKSUM = "0" * 64  # takes the checksum's place while it is computed
# The checksum among the metadata of a model: after its key, in the encoding of protocol buffers.
_STATED = re.compile(re.escape(CHECKSUM_KEY.encode()) + rb"\x12\x40([0-9a-f]{64})", re.DOTALL)

INPUT, OUTPUT = "vectors", "projected"

# What computes a graph: the first that there is. By default onnxruntime has newer GPUs round each factor of a product
# to ten bits (TensorFloat-32); a projected vector would then be NumPy's to four digits, and not to six.
_ENGINES: tuple[tuple[str, dict[str, str]], ...] = (
    ("CUDAExecutionProvider", {"use_tf32": "0"}),
    ("CPUExecutionProvider", {}),
)

# Rows computed at once, so that intermediate results stay in the processor's cache.
BLOCK_ROWS = 1024


@dataclass(frozen=True)
class OnnxStep:
    """A whole ONNX model as one step; onnxruntime computes it, on CUDA when it can.

    Attributes:
        session: an `onnxruntime.InferenceSession`.
        shape: `(d_in, d_out)`.
    """

    session: Any
    shape: tuple[int, int]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Project `(n, d_in)` to a new float32 array `(n, d_out)`."""
        output = np.empty((len(vectors), self.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            output[rows] = self.session.run([OUTPUT], {INPUT: vectors[rows]})[0]
        return output


def read(path: Path) -> tuple[tuple[Step, ...], ProjectionInfo]:
    """Open an ONNX projection; `ProjectionFileError` for an invalid file, `MissingExtraError` without onnxruntime."""
    if not path.is_file():
        raise ProjectionFileError(f"no projection file at {path}")
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    content = path.read_bytes()
    _require_checksum(path, content)  # before onnxruntime, which is not made for damaged files, sees it
    there = onnxruntime.get_available_providers()
    engines = [(name, options) for name, options in _ENGINES if name in there]
    try:
        session = onnxruntime.InferenceSession(content, providers=engines)
        facts = session.get_modelmeta().custom_metadata_map
        info = ProjectionInfo.from_json(json.loads(facts[INFO_KEY]))
        shape = (int(session.get_inputs()[0].shape[1]), int(session.get_outputs()[0].shape[1]))
    except Exception as error:  # noqa: BLE001  # onnxruntime raises a dozen unrelated types for a bad file
        raise ProjectionFileError(
            f"{path.name} is not a lightmigrate projection, or is damaged ({type(error).__name__}); export it again"
        ) from None
    if shape != (info.source.dimension, info.target.dimension):
        raise ProjectionFileError(
            f"{path.name} leads from {shape[0]} to {shape[1]} dimensions, its metadata say from "
            f"{info.source.dimension} to {info.target.dimension}; export it again"
        )
    return (OnnxStep(session, shape),), info


def _require_checksum(path: Path, content: bytes) -> None:
    """Raise `ProjectionFileError` for a file that is not as `write` wrote it."""
    if len(found := _STATED.findall(content)) != 1:
        raise ProjectionFileError(
            f"{path.name} is not a lightmigrate projection, or is damaged (it states no checksum); export it again"
        )
    stated: bytes = found[0]
    checksum = hashlib.sha256(content.replace(stated, NO_CHECKSUM.encode())).hexdigest()
    if checksum.encode() != stated:
        raise ProjectionFileError(
            f"{path.name} was altered: its checksum is {checksum[:12]}…, its metadata say {stated.decode()[:12]}…; "
            "export it again"
        )


def write(path: Path, steps: tuple[Step, ...], info: ProjectionInfo) -> Path:
    """Write a projection to a temporary file and rename it to `path`, an `.onnx` file; returns `path`."""
    sums = [_without_texts(step) for step in steps]
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    build = _Graph()
    value = INPUT
    for step in sums:
        source, value = value, _summed(build, step, value)
        if step.centre is not None:
            value = _extended(build, step.centre, value)
        if step.normalise:
            value = _normalised(build, value)
        if step.length is not None:
            value = build.add("Mul", value, _length(build, step.length, source))
    build.nodes.append(helper.make_node("Identity", [value], [OUTPUT]))
    graph = helper.make_graph(
        build.nodes,
        "projection",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", info.source.dimension])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", info.target.dimension])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in build.constants.items()],
    )
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="lightmigrate",
    )
    facts = {INFO_KEY: json.dumps(info.to_json(), sort_keys=True), CHECKSUM_KEY: NO_CHECKSUM}
    helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    with replacing(path) as file:
        file.write(seal(model.SerializeToString()))
    return path


def _without_texts(step: Step) -> Sum:
    """The function for records without a text: a graph has vectors as its only input."""
    match step:
        case ByText(_, plain):
            return plain
        case Sum():
            return step
    raise ProjectionFileError("a projection read from .onnx cannot be written again; use the .npz it came from")


class _Graph:
    """The nodes and constants of a model that is being written."""

    def __init__(self, name: str = "value") -> None:
        self.name = name
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any) -> str:
        """Keep an array; returns its name."""
        name = f"constant{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operation; returns the name of its output."""
        from onnx import helper

        name = f"{self.name}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def as_branch(self, output: str) -> Any:
        """This graph as a branch of an `If`, with the output `output`; its constants belong to the outer graph."""
        from onnx import TensorProto, helper

        shape = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        return helper.make_graph(self.nodes, self.name, [], shape)


def _term(build: _Graph, term: Term, value: str) -> str:
    if isinstance(term, Linear):
        return build.add("MatMul", value, build.constant(term.weights))
    if isinstance(term, Network):
        hidden = build.add("Add", build.add("MatMul", value, build.constant(term.inner)), build.constant(term.shift))
        return build.add("MatMul", build.add("Relu", hidden), build.constant(term.outer))
    if isinstance(term, Kernel):
        # -‖x - z‖² / (2·width²), as a product and two sums of squares, never above zero
        scale = np.float32(1 / (2 * term.width**2))
        products = build.add("MatMul", value, build.constant(term.landmarks.T * (2 * scale)))
        own = build.add("ReduceSum", build.add("Mul", value, value), build.constant(np.array([-1])), keepdims=1)
        theirs = build.constant(scale * np.sum(term.landmarks**2, axis=1))
        exponent = build.add("Sub", build.add("Sub", products, build.add("Mul", own, build.constant(scale))), theirs)
        bounded = build.add("Min", exponent, build.constant(np.float32(0)))
        return build.add("MatMul", build.add("Exp", bounded), build.constant(term.weights))
    raise ProjectionFileError(f"a {term.kind} term cannot be written as ONNX; use the .npz")


def _summed(build: _Graph, step: Sum, value: str) -> str:
    """`bias + Σ terms`. A Gemm adds the bias to the first product without another pass over the result."""
    bias = build.constant(step.bias)
    match step.terms:
        case (Linear(weights), *others):
            first = build.add("Gemm", value, build.constant(weights), bias)
        case others:
            first = bias
    parts = [_term(build, term, value) for term in others]
    return build.add("Sum", first, *parts) if parts else first


def _length(build: _Graph, length: Length, value: str) -> str:
    """The length of each row, `(n, 1)`, or of all, for the input `value` of its step."""
    if length.logarithm is None:
        return build.constant(np.float32(length.shortest))
    bounds = (build.constant(np.float32(np.log(bound))) for bound in (length.shortest, length.longest))
    return build.add("Exp", build.add("Clip", _summed(build, length.logarithm, value), *bounds))


def _extended(build: _Graph, centre: Vectors, value: str) -> str:
    """As `extend_from`, but for a division by the length, which follows."""
    deviations = build.add("Sub", value, build.constant(centre))
    squares = build.add("Mul", deviations, deviations)
    squared = build.add("ReduceSum", squares, build.constant(np.array([-1])), keepdims=1)
    far = build.add("Greater", squared, build.constant(NEAREST**2))
    usual = build.add("And", far, build.add("Less", squared, build.constant(np.float32(np.inf))))
    safe = build.add("Where", usual, squared, build.constant(np.float32(1)))
    along = build.add("MatMul", deviations, build.constant(centre[:, None]))
    missing = build.constant(missing_from(centre))
    inside = build.add("Add", build.add("Mul", along, along), build.add("Mul", safe, missing))
    root = build.add("Sqrt", inside)
    times = build.add(
        "Where",
        build.add("Greater", along, build.constant(np.float32(0))),
        build.add("Div", missing, build.add("Add", root, along)),
        build.add("Div", build.add("Sub", root, along), safe),
    )
    extended = build.add("Add", build.add("Mul", deviations, times), build.constant(centre))
    return build.add("Where", usual, extended, value)


def _normalised(build: _Graph, value: str) -> str:
    # As `normalise_rows`: only batches with rows too long or too short to be squared take the slower branch.
    lengths = build.add("ReduceL2", value, axes=[-1], keepdims=1)
    long_enough = build.add("Greater", build.add("ReduceMin", lengths, keepdims=0), build.constant(SHORTEST))
    short_enough = build.add("Less", build.add("ReduceMax", lengths, keepdims=0), build.constant(np.float32(np.inf)))
    ordinary, extreme = _Graph("ordinary"), _Graph("extreme")
    branches = {
        "then_branch": ordinary.as_branch(ordinary.add("Div", value, lengths)),
        "else_branch": extreme.as_branch(_normalised_extremes(build, extreme, value)),
    }
    return build.add("If", build.add("And", long_enough, short_enough), **branches)


def _normalised_extremes(build: _Graph, branch: _Graph, value: str) -> str:
    # Dividing by the largest number first keeps the squares in the range of float32; the maximum with the smallest
    # float keeps an all-zero row zero.
    tiny = build.constant(np.float32(np.finfo(np.float32).tiny))
    largest = branch.add("ReduceMax", branch.add("Abs", value), axes=[-1], keepdims=1)
    value = branch.add("Div", value, branch.add("Max", largest, tiny))
    squares = branch.add("ReduceSum", branch.add("Mul", value, value), build.constant(np.array([-1])), keepdims=1)
    return branch.add("Div", value, branch.add("Max", branch.add("Sqrt", squares), tiny))


def seal(content: bytes) -> bytes:
    """The bytes of a model with `NO_CHECKSUM` replaced by their SHA-256."""
    return content.replace(NO_CHECKSUM.encode(), hashlib.sha256(content).hexdigest().encode())
