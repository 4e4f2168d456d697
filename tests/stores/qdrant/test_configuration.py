"""The configuration that a server states (as its API documents it) is what a copy is created with."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import models

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.qdrant.configuration import Configuration

# An answer to GET /collections/NAME with everything in it that a collection can be configured with.
STATED: dict[str, Any] = {
    "status": "green",
    "optimizer_status": "ok",
    "indexed_vectors_count": 10,
    "points_count": 10,
    "segments_count": 2,
    "config": {
        "params": {
            "vectors": {
                "text": {
                    "size": 8,
                    "distance": "Euclid",
                    "hnsw_config": {"m": 24, "ef_construct": 200, "on_disk": True},
                    "quantization_config": {"binary": {"always_ram": True}},
                    "on_disk": True,
                },
                "image": {"size": 4, "distance": "Dot", "datatype": "float16"},
                "tokens": {"size": 4, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
            },
            "shard_number": 3,
            "replication_factor": 2,
            "write_consistency_factor": 2,
            "read_fan_out_factor": 1,
            "on_disk_payload": False,
            "sparse_vectors": {"words": {"index": {"on_disk": True}, "modifier": "idf"}},
        },
        "hnsw_config": {"m": 32, "ef_construct": 128, "full_scan_threshold": 5000, "max_indexing_threads": 2,
                        "on_disk": False, "payload_m": 8},
        "optimizer_config": {"deleted_threshold": 0.3, "vacuum_min_vector_number": 500, "default_segment_number": 4,
                             "max_segment_size": 200000, "memmap_threshold": 1000, "indexing_threshold": 9000,
                             "flush_interval_sec": 7, "max_optimization_threads": 1},
        "wal_config": {"wal_capacity_mb": 64, "wal_segments_ahead": 1},
        "quantization_config": {"scalar": {"type": "int8", "quantile": 0.98, "always_ram": True}},
        "strict_mode_config": {"enabled": True, "max_query_limit": 70, "upsert_max_batchsize": 30},
        "metadata": {"owner": "search"},
    },
    "payload_schema": {
        "metadata.source": {"data_type": "keyword", "points": 10,
                            "params": {"type": "keyword", "is_tenant": True, "on_disk": True}},
        "page": {"data_type": "integer", "points": 4},
    },
}  # fmt: skip


@pytest.fixture
def configuration() -> Configuration:
    info = models.CollectionInfo(**STATED)
    return Configuration(info, {name: index.params or index.data_type for name, index in info.payload_schema.items()})


def test_a_copy_is_created_with_everything_but_the_dimension(configuration: Configuration) -> None:
    creation = configuration.creation("text", 12, "cosine")
    request = models.CreateCollection(
        vectors=creation.pop("vectors_config"),
        sparse_vectors=creation.pop("sparse_vectors_config"),
        **creation,
    ).model_dump(mode="json", exclude_none=True)
    config = STATED["config"]
    params, vectors = config["params"], config["params"]["vectors"]
    assert request.pop("vectors") == vectors | {"text": {**vectors["text"], "size": 12, "distance": "Cosine"}}
    assert request.pop("sparse_vectors") == params["sparse_vectors"]
    assert request.pop("optimizers_config") == config["optimizer_config"]
    for name in ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload"):
        assert request.pop(name) == params[name]
    for name in ("hnsw_config", "quantization_config", "strict_mode_config", "metadata"):
        assert request.pop(name) == config[name]
    assert request.pop("wal_config").items() >= config["wal_config"].items()
    assert request == {}
    assert configuration.reading == models.CollectionParamsDiff(read_fan_out_factor=1)


def test_settings_are_everything_but_the_dimension(configuration: Configuration) -> None:
    settings = configuration.settings("text", None)
    assert "size" not in settings["config"]["params"]["vectors"]["text"]
    assert settings["config"]["params"]["vectors"]["image"]["size"] == 4
    assert settings["payload_indexes"]["metadata.source"]["is_tenant"] is True
    assert settings["payload_indexes"]["page"] == "integer"
    assert configuration.settings("text", "l2") == settings
    assert configuration.settings("text", "ip") != settings


def test_the_strict_mode_is_respected(configuration: Configuration) -> None:
    assert configuration.largest(1000) == 70
    assert configuration.largest(1000, writing=True) == 30
    assert configuration.largest(20) == 20


def test_which_vectors_can_be_migrated(configuration: Configuration) -> None:
    assert configuration.candidates == ["image", "text"]
    with pytest.raises(CollectionNotFoundError, match="image, text"):
        configuration.vector("", "docs")
    with pytest.raises(LightmigrateError, match="float16"):
        configuration.require_copyable("image", "docs")
    configuration.require_copyable("text", "docs")
    configuration.params.sharding_method = models.ShardingMethod.CUSTOM
    with pytest.raises(LightmigrateError, match="shard keys"):
        configuration.require_copyable("text", "docs")
