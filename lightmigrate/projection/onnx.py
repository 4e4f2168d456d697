"""The ONNX form of a projection: the same function for runtimes that are not Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import MissingExtraError, ProjectionFileError
from lightmigrate.files import replacing
from lightmigrate.projection.archive import open_sums
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import Step
from lightmigrate.projection.terms import Affine, Texts
from lightmigrate.projection.vectors import Vectors

# Opset 17 is read by every onnxruntime since 1.12 (2022); IR 8 belongs to it.
OPSET, IR_VERSION = 17, 8
INFO_KEY = "lightmigrate.info"
INPUT, OUTPUT = "vectors", "projected"


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
        """Map `(n, d_in)` to a new float32 array `(n, d_out)`."""
        output = self.session.run([OUTPUT], {INPUT: vectors})[0]
        return np.ascontiguousarray(output, dtype=np.float32)


def read(path: Path) -> tuple[tuple[Step, ...], ProjectionInfo]:
    """Open an ONNX projection; `ProjectionFileError` when it is none, `MissingExtraError` without the runtime."""
    if not path.is_file():
        raise ProjectionFileError(f"no projection file at {path}")
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(str(path), providers=providers)
        header = session.get_modelmeta().custom_metadata_map[INFO_KEY]
    except Exception as error:  # noqa: BLE001  # onnxruntime raises a dozen unrelated types for a bad file
        raise ProjectionFileError(
            f"{path.name} is not a lightmigrate projection, or is damaged ({type(error).__name__}); export it again"
        ) from None
    info = ProjectionInfo.from_json(json.loads(header))
    return (OnnxStep(session, (info.source.dimension, info.target.dimension)),), info


def write(path: Path, steps: tuple[Step, ...], info: ProjectionInfo) -> Path:
    """Write a projection to an `.onnx` file, aside and renamed; returns `path`."""
    sums = open_sums(steps)
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    nodes: list[Any] = []
    constants: dict[str, Any] = {"tiny": np.float32(np.finfo(np.float32).tiny), "last_axis": np.array([-1])}
    value = INPUT

    def add(operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"value{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    for index, step in enumerate(sums):
        parts = []
        for number, term in enumerate(step.terms):
            if not isinstance(term, Affine):
                raise ProjectionFileError(f"a {term.kind} term cannot be written as ONNX; use the .npz")
            for name, array in term.arrays().items():
                constants[f"{index}.{number}.{name}"] = array
            product = add("MatMul", value, f"{index}.{number}.weights")
            parts.append(add("Add", product, f"{index}.{number}.bias"))
        value = parts[0] if len(parts) == 1 else add("Sum", *parts)
        if step.normalise:
            squares = add("ReduceSum", add("Mul", value, value), "last_axis", keepdims=1)
            # Max with the smallest float keeps an all-zero row zero, as NumPy's side does
            value = add("Div", value, add("Max", add("Sqrt", squares), "tiny"))
    nodes.append(helper.make_node("Identity", [value], [OUTPUT]))
    graph = helper.make_graph(
        nodes,
        "projection",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", info.source.dimension])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", info.target.dimension])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="lightmigrate",
    )
    helper.set_model_props(model, {INFO_KEY: json.dumps(info.to_json(), sort_keys=True)})
    onnx.checker.check_model(model)
    with replacing(path) as file:
        file.write(model.SerializeToString())
    return path
