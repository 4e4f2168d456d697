"""The configuration of a collection: what a copy of it is created with, and what two of them are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from qdrant_client import models

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.base import Metric

METRICS: Mapping[models.Distance, Metric] = {
    models.Distance.COSINE: "cosine",
    models.Distance.EUCLID: "l2",
    models.Distance.DOT: "ip",
}
DISTANCES: Mapping[Metric, models.Distance] = {metric: distance for distance, metric in METRICS.items()}

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Configuration:
    """What a collection is configured with.

    Attributes:
        info: what Qdrant says about it.
        indexes: the settings of its payload indexes, by field.
    """

    info: models.CollectionInfo
    indexes: Mapping[str, models.PayloadFieldSchema]

    @property
    def params(self) -> models.CollectionParams:
        """The parameters of its vectors and shards."""
        return self.info.config.params

    @property
    def dense(self) -> Mapping[str, models.VectorParams]:
        """All dense vectors by name, also those of several rows; the unnamed one is called ``."""
        vectors = self.params.vectors
        if vectors is None:
            return {}
        return {"": vectors} if isinstance(vectors, models.VectorParams) else vectors

    @property
    def sparse(self) -> Mapping[str, models.SparseVectorParams]:
        """All sparse vectors by name."""
        return self.params.sparse_vectors or {}

    @property
    def candidates(self) -> list[str]:
        """The names of the vectors that can be migrated: dense, one per record, with a distance that is known."""
        return sorted(
            name
            for name, params in self.dense.items()
            if params.multivector_config is None and params.distance in METRICS
        )

    def vector(self, name: str, collection: object) -> str:
        """The name in Qdrant of a vector in an address, where an empty one stands for the only one.

        Args:
            name: as in the address.
            collection: for messages.

        Raises:
            CollectionNotFoundError: there is no such vector, or several and none is named.
        """
        candidates = self.candidates
        if name in candidates:
            return name
        if not name and len(candidates) == 1:
            return candidates[0]
        others = ", ".join(candidates) or "none of one row and of cosine, Euclid or dot product"
        raise CollectionNotFoundError(f"{collection} has no dense vector {name!r}; it has: {others}")

    def metric(self, vector: str) -> Metric:
        """The distance of a vector."""
        return METRICS[self.dense[vector].distance]

    def require_copyable(self, vector: str, collection: object) -> None:
        """Check that a version of the collection can be created.

        Raises:
            LightmigrateError: it has shard keys, or stores the vector in a type that loses digits.
        """
        if self.params.sharding_method == models.ShardingMethod.CUSTOM:
            raise LightmigrateError(
                f"collection {collection} has shard keys, which a reader does not see: migrate a copy without them"
            )
        datatype = self.dense[vector].datatype
        if datatype is not None and datatype != models.Datatype.FLOAT32:  # others cannot hold projected vectors
            raise LightmigrateError(
                f"collection {collection} stores its vectors as {datatype.value}, and only float32 holds the new ones "
                "exactly: copy it to a collection of float32 first"
            )

    def largest(self, limit: int, *, writing: bool = False) -> int:
        """How many points one request may be about, at most `limit`, where the strict mode allows fewer."""
        strict = self.info.config.strict_mode_config
        if strict is None or not strict.enabled:
            return limit
        most = strict.upsert_max_batchsize if writing else strict.max_query_limit
        return limit if most is None else max(1, min(limit, most))

    def creation(self, vector: str, dimension: int, distance: Metric | None) -> dict[str, Any]:
        """The arguments of `create_collection` for an empty collection with the same configuration.

        Args:
            vector: which vector gets another dimension.
            dimension: its dimension.
            distance: its distance; `None` for the same.
        """
        config, params = self.info.config, self.params
        changed = {"size": dimension} | ({} if distance is None else {"distance": DISTANCES[distance]})
        dense = {name: each.model_copy(update=changed if name == vector else {}) for name, each in self.dense.items()}
        strict = config.strict_mode_config
        return {
            "vectors_config": dense[""] if isinstance(params.vectors, models.VectorParams) else dense,
            "sparse_vectors_config": params.sparse_vectors,
            "shard_number": params.shard_number,
            "sharding_method": params.sharding_method,
            "replication_factor": params.replication_factor,
            "write_consistency_factor": params.write_consistency_factor,
            "on_disk_payload": params.on_disk_payload,
            "payload": params.payload,
            "id_tracker": params.id_tracker,
            "hnsw_config": _as(models.HnswConfigDiff, config.hnsw_config),
            "optimizers_config": _as(models.OptimizersConfigDiff, config.optimizer_config),
            "wal_config": None if config.wal_config is None else _as(models.WalConfigDiff, config.wal_config),
            "quantization_config": config.quantization_config,
            "strict_mode_config": None if strict is None else _as(models.StrictModeConfig, strict),
            "metadata": config.metadata,
        }

    @property
    def reading(self) -> models.CollectionParamsDiff | None:
        """How replicas are read, which only a later request sets; `None` where nothing is set."""
        fan_out = (self.params.read_fan_out_factor, self.params.read_fan_out_delay_ms)
        if fan_out == (None, None):
            return None
        return models.CollectionParamsDiff(read_fan_out_factor=fan_out[0], read_fan_out_delay_ms=fan_out[1])

    def settings(self, vector: str, distance: Metric | None) -> Mapping[str, Any]:
        """Everything but the dimension of a vector, with its own distance or another one; comparable by `==`."""
        config = self.info.config.model_dump(mode="json", exclude_none=True)
        vectors = config["params"]["vectors"]
        own = vectors if isinstance(self.params.vectors, models.VectorParams) else vectors[vector]
        del own["size"]
        own["distance"] = DISTANCES[distance or self.metric(vector)].value
        indexes = {field: _plain(schema) for field, schema in self.indexes.items()}
        return {"config": config, "payload_indexes": indexes}


def _as(model: type[_Model], stated: BaseModel) -> _Model:
    """What a server states, as the argument that asks for the same; fields that only one of them has are left out."""
    fields = stated.model_dump(exclude_none=True)
    return model(**{name: value for name, value in fields.items() if name in model.model_fields})


def _plain(schema: models.PayloadFieldSchema) -> Any:
    return schema.model_dump(mode="json", exclude_none=True) if isinstance(schema, BaseModel) else str(schema)
