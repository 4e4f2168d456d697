"""What Milvus says about a collection: what a copy of it is created with, and what two of them are compared by."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pymilvus import CollectionSchema, DataType

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.base import Metric

METRICS: Mapping[str, Metric] = {"COSINE": "cosine", "L2": "l2", "IP": "ip"}
STATED: Mapping[Metric, str] = {metric: stated for stated, metric in METRICS.items()}

# Milvus Lite compares by this where no index says how.
_DEFAULT_METRIC = "COSINE"

# A server takes no longer vectors (proxy.maxDimension).
LARGEST_DIMENSION = 32768

# Milvus's limit for texts, in bytes.
LONGEST_TEXT = 65_535

_EXACT = {
    DataType.BOOL, DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64, DataType.FLOAT, DataType.DOUBLE,
    DataType.VARCHAR, DataType.JSON, DataType.ARRAY, DataType.FLOAT_VECTOR, DataType.SPARSE_FLOAT_VECTOR,
}  # fmt: skip

# What `describe_index` says beside the parameters of an index.
_STATE = {"total_rows", "indexed_rows", "pending_index_rows", "state", "index_state_fail_reason", "dim"}

DEFAULT_PARTITION = "_default"

# Where a row holds the fields that the schema does not name.
DYNAMIC = "$meta"


@dataclass(frozen=True)
class PlainFields:
    """The names of the fields of a collection that is made for records of another store.

    Attributes:
        record: of the id.
        text: of the text.
        vector: of the vector.
        others: of the JSON object with the application's fields.
    """

    record: str
    text: str
    vector: str
    others: str


@dataclass(frozen=True)
class Description:
    """What a collection is created with.

    Attributes:
        stated: what `describe_collection` says.
        indexes: what `describe_index` says, of every index.
        partitions: the names of its partitions.
        lite: whether it is of Milvus Lite.
    """

    stated: Mapping[str, Any]
    indexes: Sequence[Mapping[str, Any]]
    partitions: Sequence[str]
    lite: bool

    @cached_property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """All fields by name, without the one that holds dynamic fields."""
        return {field["name"]: field for field in self.stated["fields"] if not field.get("is_dynamic")}

    @property
    def name(self) -> str:
        """Its own name, also where it was asked for by an alias."""
        return str(self.stated["collection_name"])

    @property
    def identity(self) -> str:
        """Its own name, and what a server tells it by from a later one of that name."""
        return f"{self.name} {self.stated.get('collection_id', '')}"

    @property
    def dynamic(self) -> bool:
        """Whether records can have fields that the schema does not name."""
        return bool(self.stated.get("enable_dynamic_field"))

    @property
    def dynamic_field(self) -> list[str]:
        """What to ask for to get these fields, where there are any."""
        return [DYNAMIC] if self.dynamic else []

    @cached_property
    def primary(self) -> str:
        """The field of the ids."""
        return next(name for name, field in self.fields.items() if field.get("is_primary"))

    @property
    def has_integer_ids(self) -> bool:
        """Whether ids are integers of 64 bits, not texts."""
        return bool(self.fields[self.primary]["type"] == DataType.INT64)

    @property
    def assigns_ids(self) -> bool:
        """Whether Milvus assigns the ids."""
        return bool(self.stated.get("auto_id") or self.fields[self.primary].get("auto_id"))

    @cached_property
    def computed(self) -> frozenset[str]:
        """The fields that functions of the collection fill, such as BM25."""
        return frozenset(name for function in self._functions for name in function["output_field_names"])

    @property
    def _functions(self) -> Sequence[Mapping[str, Any]]:
        return self.stated.get("functions") or ()

    @cached_property
    def candidates(self) -> list[str]:
        """The names of the vectors that can be migrated: float32, not filled by a function."""
        return sorted(
            name
            for name, field in self.fields.items()
            if field["type"] == DataType.FLOAT_VECTOR and name not in self.computed
        )

    @cached_property
    def divisions(self) -> list[str]:
        """The partitions that the application made, if it made any; in the order of a scan."""
        keyed = any(field.get("is_partition_key") for field in self.fields.values())
        return sorted(self.partitions) if len(self.partitions) > 1 and not keyed else []

    def vector(self, name: str, collection: object) -> str:
        """The field of a vector in an address, where an empty one stands for the only one.

        Args:
            name: as in the address.
            collection: for messages.

        Raises:
            CollectionNotFoundError: there is no such vector, or several and none is named.
        """
        if name in self.candidates:
            return name
        if not name and len(self.candidates) == 1:
            return self.candidates[0]
        others = ", ".join(self.candidates) or "none of type FLOAT_VECTOR that the application fills"
        raise CollectionNotFoundError(f"{collection} has no vector field {name!r}; it has: {others}")

    def dimension(self, vector: str) -> int:
        """Of a vector."""
        return int(self.fields[vector]["params"]["dim"])

    def index(self, field: str) -> Mapping[str, Any] | None:
        """The index of a field; `None` if it has none."""
        return next((index for index in self.indexes if index["field_name"] == field), None)

    def metric(self, vector: str) -> Metric:
        """The distance of a vector; see `stores.base.Metric`."""
        index = self.index(vector) or {}
        return METRICS.get(str(index.get("metric_type") or _DEFAULT_METRIC).upper(), "cosine")

    def refusal(self, vector: str, collection: object, dimension: int | None) -> str | None:
        """Why no exact copy with other vectors can be made, with what helps; `None` if one can."""
        if self.assigns_ids:
            return (
                f"collection {collection} has ids that Milvus assigns (auto_id), and a copy would get other ones: copy "
                "it to a collection whose ids the application gives"
            )
        other = next((name for name, field in self.fields.items() if field["type"] not in _EXACT), None)
        if other is not None or self.stated.get("struct_array_fields") or self.stated.get("struct_fields"):
            kind = "a field of structs" if other is None else f"{_type(self.fields[other])} in field {other}"
            return f"collection {collection} has {kind}, which cannot be copied exactly: copy it without that field"
        nullable = [name for name in self._dense if self.fields[name].get("nullable")]
        if vector in nullable or (nullable and self.lite):
            return (
                f"vector field {(vector if vector in nullable else nullable[0])} of collection {collection} may be "
                "missing (nullable), and records without it cannot be told from others: copy it to a field that may not"
            )
        if self.index(vector) is None and not self.lite:
            return f"vector field {vector} of collection {collection} has no index: create one and load the collection"
        if dimension is not None and dimension > LARGEST_DIMENSION and not self.lite:
            return f"Milvus takes vectors of up to {LARGEST_DIMENSION} numbers, and the new ones have {dimension}"
        return None

    @property
    def _dense(self) -> list[str]:
        return [name for name, field in self.fields.items() if field["type"] == DataType.FLOAT_VECTOR]

    def require_exact(self, vector: str, collection: object, dimension: int | None = None) -> None:
        """Raise `LightmigrateError` where `refusal` says why."""
        if (why := self.refusal(vector, collection, dimension)) is not None:
            raise LightmigrateError(why)

    def schema(self, vector: str, dimension: int) -> CollectionSchema:
        """The schema with another dimension of one vector."""
        stated = dict(self.stated)
        stated["fields"] = [copy.deepcopy(dict(field)) for field in self.fields.values()]
        for field in stated["fields"]:
            if field["name"] == vector:
                field["params"]["dim"] = dimension
        return CollectionSchema.construct_from_dict(stated)

    def options(self) -> dict[str, Any]:
        """The arguments of `create_collection` beside name and schema."""
        options: dict[str, Any] = {"consistency_level": self.stated.get("consistency_level", 0)}
        if properties := self.stated.get("properties"):
            options["properties"] = dict(properties)
        if shards := self.stated.get("num_shards"):
            options["num_shards"] = int(shards)
        if any(field.get("is_partition_key") for field in self.fields.values()) and not self.lite:
            options["num_partitions"] = int(self.stated["num_partitions"])
        return options

    def index_parameters(self, vector: str, distance: Metric | None) -> list[dict[str, Any]]:
        """The arguments of `IndexParams.add_index` of every index, perhaps with another distance of one vector."""
        parameters = []
        for index in self.indexes:
            stated = {key: value for key, value in index.items() if key not in _STATE}
            if distance is not None and index["field_name"] == vector:
                stated["metric_type"] = STATED[distance]
            if stated.get("metric_type") in ("", "NONE"):  # what Milvus Lite says of an index of other values
                del stated["metric_type"]
            parameters.append(stated)
        return sorted(parameters, key=lambda index: str(index["field_name"]))

    def settings(self, vector: str, distance: Metric | None) -> Mapping[str, Any]:
        """Everything but the dimension of a vector, with its own distance or another one; comparable by `==`."""
        fields = {}
        for name, field in self.fields.items():
            plain = {key: str(value) for key, value in field.items() if key not in ("field_id", "params")}
            params = {key: value for key, value in field["params"].items() if (name, key) != (vector, "dim")}
            fields[name] = plain | {"params": params}
        functions = [
            {key: str(value) for key, value in function.items() if key != "id"} for function in self._functions
        ]
        return {
            "fields": fields,
            "dynamic": self.dynamic,
            "functions": functions,
            "description": self.stated.get("description", ""),
            "partitions": self.divisions,
            "indexes": self.index_parameters(vector, distance),
            **self.options(),
        }


def _type(field: Mapping[str, Any]) -> str:
    return str(DataType(field["type"]).name)
