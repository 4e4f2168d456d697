"""pgvector's distance operators, and what they return as a `Metric`."""

from __future__ import annotations

from collections.abc import Mapping

from lightmigrate.stores.base import Metric

OPERATORS: Mapping[Metric, str] = {"l2": "<->", "cosine": "<=>", "ip": "<#>"}


def as_metric(metric: Metric, distance: float) -> float:
    """Convert pgvector's distance to `Metric`: its `<->` is not squared, its `<#>` is the negative inner product."""
    return distance * distance if metric == "l2" else 1 + distance if metric == "ip" else distance
