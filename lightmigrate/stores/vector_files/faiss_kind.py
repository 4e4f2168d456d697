"""What kind of FAISS index a file holds, and a new one of that kind for other vectors. Loads faiss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import faiss
import numpy as np

from lightmigrate.stores.base import Metric
from lightmigrate.vectors import Vectors

# A description of an index as JSON: `kind`, its parameters, and the description of an index inside it.
Kind = Mapping[str, Any]

METRICS: Mapping[int, Metric] = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "ip"}

# Training vectors for each list of an inverted file, above the 39 that FAISS asks for; and for a codec.
_PER_LIST, _FOR_CODEC = 64, 65536

_LOSSY: Mapping[str, str] = {
    "SQ": "scalar quantisation",
    "PQ": "product quantisation",
    "PCA": "fewer dimensions by PCA",
}


def describe(index: Any) -> Kind:
    """The kind of an index; `{"kind": NAME}` alone for one that `build` does not know."""
    own = faiss.downcast_index(index)
    name = type(own).__name__
    if name in ("IndexFlat", "IndexFlatL2", "IndexFlatIP"):
        return {"kind": "Flat"}
    if name in ("IndexIDMap", "IndexIDMap2"):
        return {"kind": name.removeprefix("Index"), "inside": describe(own.index)}
    if name == "IndexHNSWFlat":
        graph = own.hnsw
        sizes = {"M": graph.nb_neighbors(1), "efConstruction": graph.efConstruction, "efSearch": graph.efSearch}
        return {"kind": "HNSWFlat", **sizes}
    if name in ("IndexIVFFlat", "IndexIVFScalarQuantizer", "IndexIVFPQ"):
        lists = {"nlist": own.nlist, "nprobe": own.nprobe, "map": int(own.direct_map.type), **_codec(own, name)}
        return {"kind": name.removeprefix("Index"), **lists, "inside": describe(own.quantizer)}
    if name in ("IndexScalarQuantizer", "IndexPQ"):
        return {"kind": name.removeprefix("Index"), **_codec(own, name)}
    if name == "IndexPreTransform" and own.chain.size() == 1:
        transform = faiss.downcast_VectorTransform(own.chain.at(0))
        if type(transform).__name__ == "PCAMatrix":
            pca = {"d_out": transform.d_out, "eigen_power": transform.eigen_power, "rotated": transform.random_rotation}
            return {"kind": "PCA", **pca, "inside": describe(own.index)}
    return {"kind": name, "unknown": True}


def _codec(index: Any, name: str) -> dict[str, Any]:
    if "ScalarQuantizer" in name:
        return {"qtype": int(index.sq.qtype)}
    if "PQ" in name:
        return {"m": index.pq.M, "nbits": index.pq.nbits}
    return {}


def unknown(kind: Kind) -> str:
    """The name of an index in a description that `build` does not know; empty when it knows all."""
    if kind.get("unknown"):
        return str(kind["kind"])
    return unknown(kind["inside"]) if "inside" in kind else ""


def lossy(kind: Kind) -> str:
    """How an index of this kind stores vectors inexactly; empty where it stores them exactly."""
    if "qtype" in kind:
        return _LOSSY["SQ"]
    if "nbits" in kind:
        return _LOSSY["PQ"]
    if kind["kind"] == "PCA":
        return _LOSSY["PCA"]
    return lossy(kind["inside"]) if kind["kind"] in ("IDMap", "IDMap2") else ""


def refuse_dimension(kind: Kind, dimension: int) -> str | None:
    """Why an index of this kind cannot hold vectors of a dimension; `None` where it can."""
    if "m" in kind and dimension % kind["m"]:
        return f"its product quantiser has {kind['m']} parts, and {dimension} dimensions cannot be divided by that"
    if kind["kind"] == "PCA":
        if kind["d_out"] > dimension:
            return f"its PCA has {kind['d_out']} dimensions, and the new vectors only {dimension}"
        return refuse_dimension(kind["inside"], kind["d_out"])
    return refuse_dimension(kind["inside"], dimension) if kind["kind"] in ("IDMap", "IDMap2") else None


def build(kind: Kind, dimension: int, metric: Metric) -> Any:
    """An empty, untrained index of this kind."""
    measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    makers: Mapping[str, Callable[[], Any]] = {
        "Flat": lambda: faiss.IndexFlatL2(dimension) if metric == "l2" else faiss.IndexFlatIP(dimension),
        "IDMap": lambda: _labelled(faiss.IndexIDMap, kind, dimension, metric),
        "IDMap2": lambda: _labelled(faiss.IndexIDMap2, kind, dimension, metric),
        "HNSWFlat": lambda: _graph(faiss.IndexHNSWFlat(dimension, kind["M"], measure), kind),
        "IVFFlat": lambda: _lists(faiss.IndexIVFFlat, kind, dimension, metric, measure),
        "IVFScalarQuantizer": lambda: _lists(
            faiss.IndexIVFScalarQuantizer, kind, dimension, metric, kind["qtype"], measure
        ),
        "IVFPQ": lambda: _lists(faiss.IndexIVFPQ, kind, dimension, metric, kind["m"], kind["nbits"], measure),
        "ScalarQuantizer": lambda: faiss.IndexScalarQuantizer(dimension, kind["qtype"], measure),
        "PQ": lambda: faiss.IndexPQ(dimension, kind["m"], kind["nbits"], measure),
        "PCA": lambda: _reduced(kind, dimension, metric),
    }
    return makers[kind["kind"]]()


def _labelled(cls: Any, kind: Kind, dimension: int, metric: Metric) -> Any:
    index = cls(_owned(build(kind["inside"], dimension, metric)))
    index.own_fields = True
    return index


def _graph(index: Any, kind: Kind) -> Any:
    index.hnsw.efConstruction, index.hnsw.efSearch = kind["efConstruction"], kind["efSearch"]
    return index


def _lists(cls: Any, kind: Kind, dimension: int, metric: Metric, *parameters: int) -> Any:
    index = cls(_owned(build(kind["inside"], dimension, metric)), dimension, kind["nlist"], *parameters)
    index.own_fields = True
    index.nprobe = kind["nprobe"]
    if kind["inside"]["kind"] == "HNSWFlat":
        index.quantizer_trains_alone = 2
    return index


def _reduced(kind: Kind, dimension: int, metric: Metric) -> Any:
    transform = faiss.PCAMatrix(dimension, kind["d_out"], kind["eigen_power"], kind["rotated"])
    index = faiss.IndexPreTransform(_owned(transform), _owned(build(kind["inside"], kind["d_out"], metric)))
    index.own_fields = True
    return index


def _owned(part: Any) -> Any:
    """A part that the index which it is given to deletes; Python must not."""
    part.this.disown()
    return part


def training_size(kind: Kind) -> int:
    """How many vectors an index of this kind should be trained with; 0 for one that needs no training."""
    own: int = _PER_LIST * kind["nlist"] if "nlist" in kind else 0
    own = max(own, _FOR_CODEC if lossy(kind) else 0)
    return max(own, training_size(kind["inside"]) if "inside" in kind else 0)


def least_training(kind: Kind) -> int:
    """Fewest vectors that FAISS trains an index of this kind with."""
    own: int = max(kind.get("nlist", 0), 2 ** kind["nbits"] if "nbits" in kind else 0, 1)
    return max(own, least_training(kind["inside"]) if "inside" in kind else 0)


def train(index: Any, kind: Kind, sample: Vectors) -> None:
    """Train an index, where its kind needs that, with vectors `(n, d)`; few vectors are repeated."""
    if not index.is_trained and len(sample):
        copies = -(-least_training(kind) // len(sample))
        index.train(np.ascontiguousarray(np.tile(sample, (copies, 1))))


def codec_error(kind: Kind, vectors: Vectors) -> float | None:
    """How far a codec of this kind puts vectors like these `(n, d)`, on average and relative to their length.

    The vectors have been through such a codec already, which would give them back unchanged: they are turned first.
    `None` for a PCA, whose loss cannot be seen in what is left.
    """
    if kind["kind"] in ("IDMap", "IDMap2"):
        return codec_error(kind["inside"], vectors)
    if kind["kind"] == "PCA" or len(vectors) < 2:
        return None
    turned, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((vectors.shape[1], vectors.shape[1])))
    wanted = np.ascontiguousarray(vectors @ turned, np.float32)
    plain = {key: value for key, value in kind.items() if key in ("qtype", "m", "nbits")}
    codec = build({"kind": "PQ" if "m" in plain else "ScalarQuantizer", **plain}, vectors.shape[1], "l2")
    train(codec, plain | {"kind": "codec"}, wanted)
    stored = codec.sa_decode(codec.sa_encode(wanted))
    lengths = np.maximum(np.linalg.norm(wanted, axis=1), np.finfo(np.float32).tiny)
    return float((np.linalg.norm(stored - wanted, axis=1) / lengths).mean())
