"""What the statement that created a vec0 table says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Metric

# sqlite-vec's names of distances; without one it is l2.
METRICS: dict[str, Metric] = {"l2": "l2", "cosine": "cosine"}

_STATEMENT = re.compile(r"^\s*create\s+virtual\s+table.*?\busing\s+vec0\s*\((.*)\)\s*;?\s*$", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_VECTOR = re.compile(r"^(\w+)(\s+)(float|f32|int8|i8|bit)\s*\[\s*(\d+)\s*\](.*)$", re.IGNORECASE | re.DOTALL)
_DISTANCE = re.compile(r"\bdistance_metric\s*=\s*(\w+)", re.IGNORECASE)
_KEY = re.compile(r"^(\w+)\s+(integer|text)\s+(primary|partition)\s+key$", re.IGNORECASE)
_OPTION = re.compile(r"^\w+\s*=")
_COLUMN = re.compile(r"^(\+?)\s*(\w+)\s+(\w+)$")

Kind = Literal["key", "partition", "auxiliary", "metadata"]


@dataclass(frozen=True)
class OwnColumn:
    """A column of a vec0 table that is no vector.

    Attributes:
        name: its name.
        type: as declared, in lower case.
        kind: what it is for.
    """

    name: str
    type: str
    kind: Kind


@dataclass(frozen=True)
class Declaration:
    """The arguments of a vec0 table.

    Attributes:
        arguments: all of them, without comments.
        place: which of them is the vector column.
        vector: its name.
        dimension: of its vectors.
        metric: its distance.
        key: the declared primary key; `None` where rows are known by rowid alone.
        own: the other columns, in order.
    """

    arguments: tuple[str, ...]
    place: int
    vector: str
    dimension: int
    metric: Metric
    key: OwnColumn | None
    own: tuple[OwnColumn, ...]

    @property
    def text_keys(self) -> bool:
        """Whether ids are text."""
        return self.key is not None and self.key.type == "text"

    @property
    def key_name(self) -> str:
        """The column that identifies a row."""
        return self.key.name if self.key else "rowid"

    def with_dimension(self, dimension: int, distance: Metric | None = None) -> Declaration:
        """The same with another dimension and perhaps another distance.

        Raises:
            LightmigrateError: sqlite-vec has no such distance.
        """
        if distance is not None and distance not in METRICS.values():
            raise LightmigrateError(f"sqlite-vec has no distance {distance}: choose one of {', '.join(METRICS)}")
        metric = distance or self.metric
        match = _VECTOR.match(self.arguments[self.place])
        assert match is not None  # noqa: S101  # it was parsed
        rest = match[5]
        if distance is not None and distance != self.metric:
            rest = f" distance_metric={distance}{_DISTANCE.sub('', rest).rstrip()}"
        argument = f"{match[1]}{match[2]}{match[3]}[{dimension}]{rest}"
        arguments = (*self.arguments[: self.place], argument, *self.arguments[self.place + 1 :])
        return replace(self, arguments=arguments, dimension=dimension, metric=metric)

    def statement(self, quoted_name: str) -> str:
        """The statement that creates a table like this, under a name that is quoted."""
        return f"CREATE VIRTUAL TABLE {quoted_name} USING vec0({', '.join(self.arguments)})"

    def settings(self) -> list[str]:
        """The arguments without dimension and distance, for comparison."""
        plain = self.with_dimension(0)
        vector = _DISTANCE.sub("", plain.arguments[self.place])
        return [" ".join((vector if n == self.place else text).split()) for n, text in enumerate(plain.arguments)]


def declaration_of(statement: str) -> Declaration | str:
    """What a statement declares, or in a few words why such a table cannot be migrated."""
    match = _STATEMENT.match(statement)
    if match is None:
        return "its declaration cannot be read"
    arguments = tuple(part for text in _COMMENT.sub(" ", match[1]).split(",") if (part := text.strip()))
    vectors: list[tuple[int, re.Match[str]]] = []
    own: list[OwnColumn] = []
    key = None
    for place, argument in enumerate(arguments):
        if found := _VECTOR.match(argument):
            vectors.append((place, found))
        elif found := _KEY.match(argument):
            kind: Kind = "key" if found[3].lower() == "primary" else "partition"
            column = OwnColumn(found[1], found[2].lower(), kind)
            if kind == "key":
                key = column
            else:
                own.append(column)
        elif found := _COLUMN.match(argument):
            own.append(OwnColumn(found[2], found[3].lower(), "auxiliary" if found[1] else "metadata"))
        elif not _OPTION.match(argument):
            return "it has a column of a kind that is not known"
    other = [found for _, found in vectors if found[3].lower() not in ("float", "f32")]
    if other:
        return f"column {other[0][1]} holds {other[0][3].lower()} vectors, which lose what a projection needs"
    if len(vectors) != 1:
        return f"it has {len(vectors)} vector columns, and only tables with 1 can be exchanged"
    place, found = vectors[0]
    stated = _DISTANCE.search(found[5])
    metric = METRICS.get(stated[1].lower() if stated else "l2")
    if metric is None:
        return f"its distance is {stated[1] if stated else ''}, and a projection is judged by {' or '.join(METRICS)}"
    return Declaration(arguments, place, found[1], int(found[4]), metric, key, tuple(own))
