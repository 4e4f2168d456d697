"""Indexes on vectors: their settings as the catalog gives them, and the same index for another column or dimension."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Metric

# What an index is on: the column itself; the column cast to `vector(n)` or `halfvec(n)`; or its bits.
Cast = Literal["", "vector", "halfvec", "binary"]

# The names of operator classes, without the type that they begin with.
_CLASSES: dict[str, Metric] = {"l2_ops": "l2", "cosine_ops": "cosine", "ip_ops": "ip"}

# The limits of pgvector's indexes by the type of what they are on.
MOST_DIMENSIONS = {"vector": 2000, "halfvec": 4000, "binary": 64000}

_METHODS = ("hnsw", "ivfflat")

_CAST = re.compile(r"^\(?(?P<column>.+?)\)?::(?:[^.():]+\.)?(?P<type>vector|halfvec)\((?P<n>\d+)\)$")
_BINARY = re.compile(r"^\(?(?:[^.():]+\.)?binary_quantize\((?P<column>.+?)\)\)?::bit\((?P<n>\d+)\)$")

# Stands for the column in a predicate.
_COLUMN = "\x00"


@dataclass(frozen=True)
class IndexSpec:
    """The settings of an index.

    Attributes:
        method: such as `hnsw`.
        operators: the operator class.
        options: parameters (`m=16`), sorted.
        cast: what it is on; see `Cast`.
        dimension: of the cast; 0 without one.
        predicate: of a partial index, as SQL; empty for one on all rows.
    """

    method: str
    operators: str
    options: tuple[str, ...]
    cast: Cast = ""
    dimension: int = 0
    predicate: str = ""

    @property
    def metric(self) -> Metric | None:
        """The distance it is for; `None` for another one than those of `Metric`."""
        kind, _, name = self.operators.partition("_")
        return _CLASSES.get(name) if kind in ("vector", "halfvec") else None

    def by(self, distance: Metric | None) -> IndexSpec:
        """The same settings for another distance; `None` keeps it, and an index without a `Metric` stays as it is."""
        if distance is None or self.metric is None:
            return self
        return replace(self, operators=f"{self.operators.partition('_')[0]}_{distance}_ops")

    def of(self, kind: str, dimension: int) -> IndexSpec:
        """The same settings for a column of another dimension.

        An index on more numbers than pgvector's indexes take is one on the column cast to `halfvec`.

        Args:
            kind: the column's type, `vector` or `halfvec`.
            dimension: of its vectors.

        Raises:
            LightmigrateError: no index takes so many.
        """
        if self.method not in _METHODS:
            return self
        spec, indexed = self, self.cast or kind
        if indexed == "vector" and dimension > MOST_DIMENSIONS["vector"]:
            half = "halfvec_" + self.operators.partition("_")[2]
            spec, indexed = replace(self, cast="halfvec", operators=half), "halfvec"
        if dimension > MOST_DIMENSIONS[indexed]:
            raise LightmigrateError(
                f"pgvector's indexes take {MOST_DIMENSIONS[indexed]:,} dimensions, not {dimension:,}: drop the index, "
                "or choose a model of fewer dimensions"
            )
        return replace(spec, dimension=dimension) if spec.cast else spec

    def settings(self) -> dict[str, object]:
        """What does not depend on the dimension: comparable with the settings of the same index of another model."""
        return {
            "method": self.method,
            "operators": re.sub("^halfvec_", "vector_", self.operators),
            "options": list(self.options),
            "binary": self.cast == "binary",
            "partial": self.predicate,
        }

    def expression(self, column: sql.Composable) -> sql.Composed:
        """What it is on, as SQL; a query that orders by the distance of exactly this uses it."""
        form = {"": "{}", "vector": "{}::vector({})", "halfvec": "{}::halfvec({})"}
        cast = form.get(self.cast, "binary_quantize({})::bit({})")
        return sql.SQL(cast).format(column, sql.Literal(self.dimension))

    def where(self, column: sql.Identifier) -> str:
        """The predicate for a column, as SQL; empty for none."""
        return self.predicate.replace(_COLUMN, column.as_string())


@dataclass(frozen=True)
class Index:
    """An index that names a vector column.

    Attributes:
        name: its name.
        column: number of the vector column.
        valid: whether queries use it.
        on_column: whether it is on the vectors, rather than naming them in its condition or beside another column.
        spec: its settings; `None` for one that cannot be built for another column.
    """

    name: str
    column: int
    valid: bool
    on_column: bool
    spec: IndexSpec | None


def spec_of(
    column: str, method: str, operators: str, options: list[str], expression: str | None, predicate: str | None
) -> IndexSpec | None:
    """The settings of an index as the catalog describes it; `None` for one on another expression of the column.

    Args:
        column: name of the vector column.
        method: name of the index method.
        operators: name of the operator class.
        options: parameters.
        expression: what it is on, as SQL; `None` for the column itself.
        predicate: of a partial index, as SQL.
    """
    quoted = sql.Identifier(column).as_string()
    names = (column, quoted)
    cast: Cast = ""
    dimension = 0
    if expression is not None:
        matched = _CAST.match(expression) or _BINARY.match(expression)
        if matched is None or matched["column"] not in names:
            return None
        cast = "binary" if "type" not in matched.groupdict() else "vector" if matched["type"] == "vector" else "halfvec"
        dimension = int(matched["n"])
    where = predicate or ""
    for name in names:
        where = where.replace(f"({name} IS NOT NULL)", f"({_COLUMN} IS NOT NULL)")
    if re.search(rf'(?<![\w"]){re.escape(column)}(?![\w"])', where) or quoted in where:
        return None
    return IndexSpec(method, operators, tuple(sorted(options)), cast, dimension, where)
