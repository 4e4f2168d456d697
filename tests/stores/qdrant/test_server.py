"""What is asked of a server over HTTP; see `server` for what that shows and what not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address
from lightmigrate.stores.open import open_database
from lightmigrate.stores.qdrant import collection, exact_copy, open_url
from lightmigrate.stores.qdrant.calls import BYTES_AT_ONCE
from lightmigrate.stores.qdrant.place import KEY_VARIABLE
from lightmigrate.stores.qdrant.store import QdrantStore
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.qdrant.points import assert_same, everything, plain, point_id, use_alias
from tests.stores.qdrant.server import QdrantServer

WRITES = {("PUT", "/points"), ("POST", "/points/delete"), ("PUT", "/points/vectors"), ("PUT", "/index")}
READS = {("POST", "/points"), ("POST", "/points/scroll"), ("POST", "/points/query/batch")}


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    started = QdrantServer(yellow=1)
    yield started
    started.close()


def application(server: QdrantServer) -> QdrantClient:
    """The application's client of the server."""
    host, _, port = server.url.removeprefix("qdrant://").partition(":")
    return QdrantClient(host=host, port=int(port), check_compatibility=False)


def configured(client: QdrantClient, name: str) -> None:
    """A collection with settings of its own."""
    client.create_collection(
        name,
        vectors_config=models.VectorParams(size=OLD_DIM, distance=models.Distance.COSINE, on_disk=True),
        hnsw_config=models.HnswConfigDiff(m=24, ef_construct=77),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.9)
        ),
        shard_number=2,
        on_disk_payload=False,
        strict_mode_config=models.StrictModeConfig(enabled=True, max_query_limit=13, upsert_max_batchsize=7),
    )
    client.create_payload_index(name, "metadata.row", models.PayloadSchemaType.INTEGER)
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    client.create_payload_index(name, "page_content", tenant)


def filled(client: QdrantClient, name: str) -> None:
    """`configured`, with the points of `plain`."""
    source = QdrantClient(":memory:")
    plain(source)
    configured(client, name)
    points, _ = source.scroll("docs", limit=1000, with_vectors=True)
    vectors: list[Any] = [point.vector for point in points]
    client.upsert(
        name,
        [
            models.PointStruct(id=point.id, vector=vector, payload=point.payload)
            for point, vector in zip(points, vectors, strict=True)
        ],
    )


@pytest.mark.parametrize("aliased", [True, False])
def test_a_migration_there_and_back_over_http(server: QdrantServer, aliased: bool) -> None:
    client, projection = application(server), make_projection()
    physical = "docs_v1" if aliased else "docs"
    filled(client, physical)
    if aliased:
        use_alias(client, physical, "docs")
    before, info = everything(client), client.get_collection("docs")
    server.requests.clear()
    server.rejections = 3
    migrator = Migrator(server.url)
    assert str(migrator.path) == server.url
    backup = migrator.migrate_collection("docs", projection).backup_path
    assert str(backup).startswith(f"{server.url}/docs.lightmigrate-old-")
    assert [kept.path for kept in migrator.backups()] == [backup]
    assert server.rejections == 0
    _assert_requests(list(server.requests))
    after, now = everything(client), client.get_collection("docs")
    assert after.keys() == before.keys()
    row = after[str(point_id(8))][1][""]
    expected = projection.apply(make_vectors(9)[8:] / np.linalg.norm(make_vectors(9)[8]))[0]
    np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-5)
    assert isinstance(now.config.params.vectors, models.VectorParams)
    assert now.config.params.vectors.size == NEW_DIM
    now.config.params.vectors.size = OLD_DIM
    assert now.config == info.config
    assert now.payload_schema == info.payload_schema
    migrator.rollback()
    assert_same(everything(client), before)
    assert client.get_collection("docs").config == info.config


def _assert_requests(requests: list[tuple[str, str, dict[str, str]]]) -> None:
    """Every write waits and is ordered, every read asks most replicas, and the exchange is one request of aliases."""
    seen = {request[:2] for request in requests}
    assert {("PUT", "/points"), ("PUT", "/index"), *READS} <= seen
    for method, path, options in requests:
        if (method, path) in WRITES:
            assert (options["wait"], options["ordering"]) == ("true", "strong")
        if (method, path) in READS:
            assert options["consistency"] == "majority"
    changes = [place for place, (_, path, _) in enumerate(requests) if path == "/collections/aliases"]
    deletions = [place for place, request in enumerate(requests) if request[:2] == ("DELETE", "")]
    if deletions:  # two marks; then the journal, the deletion, the alias, and nothing that takes long in between
        assert [changes[2] < deletions[0] < changes[3], len(changes), len(deletions)] == [True, 4, 1]
        between = {request[:2] for request in requests[deletions[0] + 1 : changes[3]]}
        assert between == {("GET", "/collections"), ("GET", "/aliases")}
    else:
        assert len(changes) == 2, "the version's mark, and the exchange"


@pytest.fixture
def small_requests(server: QdrantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes a thirty-second of what a real one takes, and requests as much smaller."""
    server.largest = 2**20
    for module in (collection, exact_copy):
        monkeypatch.setattr(module, "BYTES_AT_ONCE", BYTES_AT_ONCE // 32)


@pytest.mark.usefixtures("small_requests")
def test_large_points_are_copied_in_requests_that_a_server_takes(server: QdrantServer) -> None:
    client = application(server)
    params = models.VectorParams(size=OLD_DIM, distance=models.Distance.COSINE)
    client.create_collection("docs", vectors_config=params)
    for row, vector in enumerate(make_vectors(12).tolist()):
        payload = {"page_content": f"text {row}", "attachment": "x" * 100_000}
        client.upsert("docs", [models.PointStruct(id=row, vector=vector, payload=payload)])
    Migrator(server.url, page_size=20).migrate_collection("docs", make_projection())
    (backup,) = Migrator(server.url).backups()
    for name in ("docs", backup.name):
        assert sum(len(payload["attachment"]) for payload, _ in everything(client, name).values()) == 1_200_000


@pytest.mark.usefixtures("small_requests")
def test_vectors_are_replaced_in_requests_that_a_server_takes(server: QdrantServer) -> None:
    client, rows, dimension = application(server), 900, 100
    params = models.VectorParams(size=dimension, distance=models.Distance.DOT)
    server.create_filled("docs", params, np.zeros((rows, dimension), np.float32))
    docs = QdrantStore(client).collection(Address("docs"))
    new = make_vectors(rows, dimension)
    docs.replace_vectors([str(row) for row in range(rows)], new)
    assert docs.records(["0", "899"]).vectors.tobytes() == new[[0, 899]].tobytes()


def test_a_server_that_is_too_old_is_refused_before_anything_is_written() -> None:
    server = QdrantServer(version="1.12.6")
    try:
        configured(application(server), "docs")
        server.requests.clear()
        with pytest.raises(DatabaseError, match=r"version 1\.12\.6, and 1\.13 or newer"):
            Migrator(server.url).migrate_collection("docs", make_projection())
        assert {method for method, _, _ in server.requests} <= {"GET", "POST"}
    finally:
        server.close()


def test_the_key_comes_from_the_environment_and_is_not_sent_in_the_clear(
    server: QdrantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "s3cret")
    store = open_url(server.url)
    assert store.collections() == []
    assert "s3cret" in server.keys
    assert "s3cret" not in str(store) + repr(store)
    store.close()
    with pytest.raises(DatabaseError, match=r"without encryption: give qdrant\+https://db\.example:6333"):
        open_url("qdrant://db.example")


@pytest.mark.parametrize(
    "url",
    [
        "qdrant://",
        "qdrant://user:s3cret@host",
        "qdrant://host:port",
        "qdrant://host:99999",
        "qdrant://host/name",
        "qdrant://host?api_key=s3cret",
        "qdrant://ho st",
    ],
)
def test_an_address_of_another_form_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DatabaseError, match=KEY_VARIABLE) as refused:
        open_database(url)
    assert "s3cret" not in str(refused.value)


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(DatabaseError, match=r"no Qdrant server can be used at 127\.0\.0\.1:1 "):
        open_url("qdrant://127.0.0.1:1")


def test_an_unknown_collection_and_a_refused_request_are_said_without_what_they_hold(server: QdrantServer) -> None:
    store = open_url(server.url)
    assert isinstance(store, QdrantStore)
    with pytest.raises(DatabaseError, match="no collection nothing"):
        store.collection(Address("nothing"))
    with pytest.raises(DatabaseError, match="404") as refused:
        store.calls.remove("nothing", [12345])
    assert "12345" not in str(refused.value)
    store.close()


def test_where_a_client_leads_is_said_without_its_key(tmp_path: Path) -> None:
    key = "s3cret"
    clients = [
        (
            QdrantClient(url="https://u:s3cret@db.example:443", api_key=key, check_compatibility=False),
            "+https://db.example:443",
        ),
        (QdrantClient(host="db", port=7000, check_compatibility=False), "://db:7000"),
        (QdrantClient("http://db.example", check_compatibility=False), "://db.example:6333"),
    ]
    for client, place in clients:
        assert str(QdrantStore(client)) == f"qdrant{place}"
    folder = QdrantClient(path=str(tmp_path / "db"))
    store = QdrantStore(folder)
    assert (str(store), store.folder) == (str(tmp_path / "db"), tmp_path / "db")
    folder.close()
    assert QdrantStore(QdrantClient(":memory:")).folder is None
