"""The vector indexes of a table: their settings, and how they are built anew for other vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightmigrate.stores.base import Metric

# Lance's names of the distances.
NAMES: Mapping[Metric, str] = {"l2": "l2", "cosine": "cosine", "ip": "dot"}
_METRICS: Mapping[str, Metric] = {"L2": "l2", "COSINE": "cosine", "DOT": "ip"}


@dataclass(frozen=True)
class IndexSpec:
    """The settings of an index.

    Attributes:
        name: its name.
        kind: such as `IVF_PQ`.
        metric: its distance.
        partitions: number of partitions; `None` where it is not known.
        bits: of a compressed number; `None` without compression.
        values_each: numbers that a sub-vector of `IVF_PQ` holds; `None` for other kinds.
        connections: `m` of a graph; `None` without one.
        construction: `ef_construction` of a graph; `None` without one.
    """

    name: str
    kind: str
    metric: Metric
    partitions: int | None
    bits: int | None
    values_each: int | None
    connections: int | None
    construction: int | None

    @property
    def exact(self) -> bool:
        """Whether it holds the vectors as they are, so that distances are right without reading them again."""
        return self.bits is None

    def by(self, distance: Metric | None) -> IndexSpec:
        """The same settings for another distance; `None` keeps it."""
        return self if distance is None else replace(self, metric=distance)

    def settings(self) -> Mapping[str, Any]:
        """What stays the same when the vectors get another dimension or the table more rows."""
        return {
            "name": self.name, "kind": self.kind, "metric": self.metric, "bits": self.bits,
            "connections": self.connections, "construction": self.construction,
        }  # fmt: skip


def indexes_of(dataset: Any, column: str) -> list[IndexSpec]:
    """The vector indexes on a column in a version of a table, by name; only reads."""
    found = []
    for index in dataset.describe_indices():
        details = index.details or {}
        metric = _METRICS.get(str(details.get("metric_type")))
        if list(index.field_names) == [column] and metric is not None:
            found.append(_spec(dataset, index, details, metric, column))
    return sorted(found, key=lambda spec: spec.name)


def _spec(dataset: Any, index: Any, details: Mapping[str, Any], metric: Metric, column: str) -> IndexSpec:
    compression, graph = details.get("compression") or {}, details.get("hnsw") or {}
    parts = compression.get("num_sub_vectors")
    dimension = dataset.schema.field(column).type.list_size
    return IndexSpec(
        name=str(index.name),
        kind=str(index.index_type),
        metric=metric,
        partitions=_partitions(dataset, index),
        bits=compression.get("num_bits"),
        values_each=max(1, dimension // int(parts)) if parts else None,
        connections=graph.get("max_connections"),
        construction=graph.get("construction_ef"),
    )


def _partitions(dataset: Any, index: Any) -> int | None:
    """The number of partitions, where the index has been trained."""
    if not index.num_rows_indexed:
        return None
    centroids = dataset.get_ivf_model(index.name).centroids
    return None if centroids is None else len(centroids)


def create_index(dataset: Any, column: str, spec: IndexSpec) -> None:
    """Build an index with these settings. Writes."""
    dimension, rows = dataset.schema.field(column).type.list_size, dataset.count_rows()
    options: dict[str, Any] = {}
    if spec.values_each is not None:
        options["num_sub_vectors"] = _parts(dimension, spec.values_each)
    if spec.bits is not None and "PQ" in spec.kind:
        options["num_bits"] = spec.bits
    if spec.connections is not None:
        options["m"] = spec.connections
    if spec.construction is not None:
        options["ef_construction"] = spec.construction
    partitions = min(spec.partitions or 1, max(1, rows))
    dataset.create_index(
        column, spec.kind, name=spec.name, metric=NAMES[spec.metric], replace=True, num_partitions=partitions, **options
    )


def _parts(dimension: int, values_each: int) -> int:
    """How many sub-vectors a vector has: as many numbers each as wanted, or the next fewer that divide it."""
    size = next(size for size in range(min(values_each, dimension), 0, -1) if dimension % size == 0)
    return dimension // size
