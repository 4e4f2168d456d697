"""A dataset in an object store, migrated by processes: what the commands do, and what they refuse."""

from __future__ import annotations

import io
import json
import logging
import random
import re
from pathlib import Path

import fsspec
import lance
import numpy as np
import pyarrow as pa
import pytest

from lightmigrate.cli.app import main
from lightmigrate.errors import DatabaseError, RefusedError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.objects.folder import ObjectFolder
from lightmigrate.objects.pointer import Pointer, dataset_path
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.scale.migration import FolderMigrator
from lightmigrate.scale.object_place import ObjectPlace
from lightmigrate.stores.base import Address, Store
from lightmigrate.stores.open import open_database
from tests.cli.calls import refused, run
from tests.databases import make_projection
from tests.scale.here import Here, in_this_process
from tests.scale.object_server import (
    KEY_ID,
    SECRET,
    SLOW_DOWN,
    TOKEN,
    Answer,
    ObjectServer,
    Requested,
    objects_in,
)
from tests.scale.objects import NEW, OLD, ROWS, Dataset, client, file_of, ids_of, vectors_of

FORCED = MigrationOptions(force=True)


def ended(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> str:
    """What a command printed on stderr, on one line, that ends with a code."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    assert ended.value.code == code
    return " ".join(capsys.readouterr().err.split())


def test_a_dataset_is_looked_at_migrated_and_put_back(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    address = dataset.address
    seen = run(capsys, "doctor", address)
    assert f"vectors {3 * ROWS} {OLD}" in seen
    assert "an exchange is one step" in seen
    assert "lightmigrate.objects.dataset_path" in seen
    assert f"{3 * ROWS} {OLD} → {NEW}" in run(capsys, "plan", address, "-p", dataset.projection)
    assert "not migrated" in run(capsys, "status", address)
    assert "nothing to compare" in refused(capsys, "verify", address)
    assert "has no backup" in refused(capsys, "rollback", address, "--yes")
    assert dataset_path(address) == address
    assert list(objects_in(dataset.bucket)) == sorted(f"vectors/{name}" for name in dataset.first), "they only read"

    migrated = run(capsys, *dataset.words("--workers", 2))
    assert "180 vectors in 3 files, 8 → 12 dimensions" in migrated
    assert dataset.require_whole()
    live = dataset_path(address)
    assert f"read it from {live}" in migrated
    assert "vectors of b" in run(capsys, "status", address)
    assert "bit by bit" in run(capsys, "verify", address)
    assert f"vectors {3 * ROWS} {NEW}" in run(capsys, "doctor", address)
    assert len(dataset.noted()) == 3

    run(capsys, "rollback", address, "--yes")
    assert dataset_path(address) == address
    assert f"vectors {3 * ROWS} {OLD}" in run(capsys, "doctor", address)
    run(capsys, "rollback", address, "--yes")
    assert dataset_path(address) == live
    assert "original" in run(capsys, "clean", address)
    run(capsys, "clean", address, "--yes")
    assert not objects_in(f"{dataset.bucket}/vectors")
    assert "bit by bit" in run(capsys, "verify", address)
    assert list(Path(dataset.projection.parent / "scratch").iterdir()) == []


@in_this_process
def test_a_dataset_is_copied_to_another_database(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "180 records" in run(capsys, "migrate", dataset.address, "--to", f"lance://{tmp_path}/there", "--yes")
    table = lance.dataset(tmp_path / "there" / "vectors.lance").to_table()
    held = dict(zip(table["id"].to_pylist(), table["vector"].to_pylist(), strict=True))
    parts = [data for name, data in dataset.first.items() if name.endswith(".parquet")]
    ids = [record for data in parts for record in ids_of(data)]
    assert np.array_equal([held[record] for record in ids], np.concatenate([vectors_of(data) for data in parts]))
    assert objects_in(dataset.bucket) == {f"vectors/{name}": data for name, data in dataset.first.items()}


def test_without_our_package_three_lines_find_it(dataset: Dataset) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "object-stores.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "fsspec" in block)
    code = code.replace("s3://bucket/vectors", dataset.address)
    for _ in range(2):
        fsspec.filesystem("s3").invalidate_cache()
        names: dict[str, object] = {}
        exec(code, names)
        assert f"s3://{names['path']}" == dataset_path(dataset.address)
        if dataset_path(dataset.address) == dataset.address:
            FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
    assert dataset_path(dataset.address) != dataset.address


@in_this_process
def test_arrays_with_their_texts_are_migrated_too(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"{dataset.bucket}/arrays"
    vectors = np.random.default_rng(1).standard_normal((ROWS, OLD)).astype(np.float32)
    for number in range(2):
        file, labels = io.BytesIO(), io.BytesIO()
        np.save(file, vectors + number)
        np.save(labels, np.arange(ROWS))
        client().pipe_file(f"{place}/shard-{number}/vectors.npy", file.getvalue())
        client().pipe_file(f"{place}/shard-{number}/labels.npy", labels.getvalue())
        lines = "".join(json.dumps({"id": f"{number}-{row}", "text": "words"}) + "\n" for row in range(ROWS))
        client().pipe_file(f"{place}/shard-{number}/vectors.jsonl", lines.encode())
    address = f"s3://{place}"
    assert f"arrays {2 * ROWS} {OLD}" in run(capsys, "doctor", address)
    words = ["migrate", address, "-p", dataset.projection, "--workers", 1, "--force", "--yes"]
    assert "in 2 files" in run(capsys, *words)
    new = objects_in(dataset_path(address).removeprefix("s3://"))
    assert len(new) == 6
    stored = np.load(io.BytesIO(new["shard-1/vectors.npy"]))
    assert np.allclose(stored, Projection.load(dataset.projection).apply(vectors + 1), atol=1e-6)
    assert np.array_equal(np.load(io.BytesIO(new["shard-1/labels.npy"])), np.arange(ROWS))


@in_this_process
def test_a_sample_is_read_by_parts(dataset: Dataset, server: ObjectServer, capsys: pytest.CaptureFixture[str]) -> None:
    large = {f"part-{number}.parquet": file_of(number, 20_000, 64, 5_000) for number in range(4)}
    for name, data in large.items():
        client().pipe_file(f"{dataset.bucket}/large/{name}", data)
    server.requests.clear()
    wide = make_projection(1, Model("a", 64), Model("b", NEW)).save(dataset.projection.parent / "wide.npz")
    run(capsys, "plan", f"s3://{dataset.bucket}/large", "-p", wide)
    read = [request for request in server.requests if request.path.endswith(".parquet") and request.method == "GET"]
    assert all(request.ranged for request in read)
    assert sum(request.bytes for request in read) < sum(map(len, large.values())) / 2


@in_this_process
def test_a_put_that_fails_is_named_and_the_next_run_does_it_alone(
    dataset: Dataset, server: ObjectServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(request: Requested) -> Answer | None:
        is_it = request.method == "PUT" and request.path.endswith("year=2021/part-0.parquet")
        return ("500 Internal Server Error", b"<Error><Code>InternalError</Code></Error>") if is_it else None

    server.before = broken
    said = refused(capsys, *dataset.words("--workers", 1))
    assert re.search(r"1 of 3 files were not converted.*year=2021/part-0\.parquet: .*cannot be written", said)
    assert not dataset.require_whole()
    assert "has converted 2" in run(capsys, "status", dataset.address)
    server.calm()
    assert "2 of the files were converted by an interrupted run" in run(capsys, *dataset.words("--workers", 1))
    puts = [request.path for request in server.requests if request.method == "PUT" and ".parquet" in request.path]
    assert {path.rpartition("/year=")[2] for path in puts} == {"2021/part-0.parquet", "2021/part-0.parquet.json"}
    assert dataset.require_whole()


@in_this_process
def test_a_store_that_wants_fewer_requests_gets_them_later(
    dataset: Dataset, server: ObjectServer, capsys: pytest.CaptureFixture[str]
) -> None:
    choose = random.Random(3)
    server.before = lambda request: ("503 Slow Down", SLOW_DOWN) if choose.random() < 0.3 else None
    assert "in 3 files" in run(capsys, *dataset.words("--workers", 2))
    server.calm()
    assert dataset.require_whole()


@pytest.mark.parametrize("where", ["on its way", "in the store"])
@in_this_process
def test_what_is_damaged_when_it_is_put_never_stays(
    dataset: Dataset, server: ObjectServer, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    unit = r"lightmigrate/[0-9a-f]{16}/year=2022/part-0\.parquet$"

    def damage(request: Requested) -> None:
        if request.method == "PUT" and re.search(unit, request.path):
            server.after = lambda request: None
            client().pipe_file(request.path.strip("/"), b"PAR1 and other bytes, with a checksum of their own")

    if where == "in the store":
        server.after = damage
    else:
        server.damages.append(unit)
    said = refused(capsys, *dataset.words("--workers", 1))
    assert re.search(r"1 of 3 files .*year=2022/part-0\.parquet (was not read back|cannot be read: .*checksum)", said)
    assert not dataset.require_whole()
    run(capsys, *dataset.words("--workers", 1))
    assert dataset.require_whole()


@in_this_process
def test_what_is_damaged_later_is_found(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *dataset.words("--workers", 1))
    live = dataset_path(dataset.address).removeprefix("s3://")
    damaged = bytearray(client().cat_file(f"{live}/year=2020/part-0.parquet"))
    damaged[40] ^= 1
    client().pipe_file(f"{live}/year=2020/part-0.parquet", bytes(damaged))
    client().rm_file(f"{live}/year=2021/part-0.parquet")
    client().pipe_file(f"{live}/year=2029/part-0.parquet", file_of(9))
    check = FolderMigrator(dataset.address, Here()).verify()
    assert check.changed == ("year=2020/part-0.parquet", "year=2021/part-0.parquet")
    assert check.added == ("year=2029/part-0.parquet",)
    assert "--written discard" in ended(capsys, 2, "rollback", dataset.address, "--yes")
    run(capsys, "rollback", dataset.address, "--yes", "--written", "discard")
    assert dataset_path(dataset.address) == dataset.address


@in_this_process
def test_a_damaged_source_is_named(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    dataset.put("year=2021/part-0.parquet", b"PAR1 and no more")
    said = refused(capsys, *dataset.words("--workers", 1))
    assert f"{dataset.address}/year=2021/part-0.parquet cannot be read as Parquet" in said
    assert "scratch" not in said
    dataset.put("year=2021/part-0.parquet", dataset.first["year=2021/part-0.parquet"])
    run(capsys, *dataset.words("--workers", 1))
    assert dataset.require_whole()


def test_what_is_written_meanwhile_is_converted_again(dataset: Dataset, server: ObjectServer) -> None:
    wrote = list[Requested]()

    def writes(request: Requested) -> None:
        if not wrote and request.method == "PUT" and request.path.endswith("units/year=2020/part-0.parquet.json"):
            wrote.append(request)
            dataset.put("year=2020/part-0.parquet", file_of(77))
            dataset.put("year=2023/part-0.parquet", file_of(78))

    server.after = writes
    result = FolderMigrator(dataset.address, Here()).migrate(dataset.projection, FORCED)
    assert result.files == 4
    new = objects_in(str(result.dataset).removeprefix("s3://"))
    assert ids_of(new["year=2020/part-0.parquet"])[0] == "77-0"
    assert ids_of(new["year=2023/part-0.parquet"])[0] == "78-0"
    assert vectors_of(new["year=2023/part-0.parquet"]).shape == (ROWS, NEW)


@in_this_process
def test_what_is_written_to_the_old_prefix_is_never_deleted(
    dataset: Dataset, server: ObjectServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def writes(request: Requested) -> None:
        if request.method == "PUT" and request.path.endswith("current.json") and not caplog.text:
            dataset.put("year=2023/part-0.parquet", file_of(5))
            server.after = lambda request: None

    server.after = writes
    with caplog.at_level(logging.WARNING):
        result = FolderMigrator(dataset.address, Here()).migrate(
            dataset.projection, MigrationOptions(force=True, auto_backup=False)
        )
    assert "1 files were written to in the last moment" in caplog.text
    assert result.backup_path is not None
    assert "1 objects below" in ended(capsys, 2, "clean", dataset.address, "--yes")
    dataset.delete("year=2023/part-0.parquet")
    run(capsys, "clean", dataset.address, "--yes")
    assert not objects_in(f"{dataset.bucket}/vectors")


def test_a_deletion_that_was_cut_short_is_ended(dataset: Dataset) -> None:
    migrator = FolderMigrator(dataset.address, Here())
    migrator.migrate(dataset.projection, FORCED)
    place = ObjectPlace(dataset.address)
    with place.locked():  # as far as a run came that was killed
        place._set(place._pointer.without(place._pointer.former, deleted=False))
        dataset.delete("year=2020/README")
        dataset.put("year=2029/part-0.parquet", file_of(1))
    assert FolderMigrator(dataset.address, Here()).backups() == [], "half of it is no backup"
    FolderMigrator(dataset.address, Here()).clean(None)
    assert list(objects_in(f"{dataset.bucket}/vectors")) == ["year=2029/part-0.parquet"], "nobody asked to delete it"
    assert ObjectPlace(dataset.address)._pointer.deleting == ()


@in_this_process
def test_keys_are_written_nowhere(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.DEBUG, "lightmigrate"):
        printed = run(capsys, *dataset.words("--workers", 1)) + run(capsys, "verify", dataset.address)
        printed += run(capsys, "rollback", dataset.address, "--yes") + caplog.text
    stored = list(objects_in(dataset.bucket).values())
    stored += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (KEY_ID, SECRET, TOKEN):
        assert secret not in printed
        assert not [data for data in stored if secret.encode() in data]
    with pytest.raises(RefusedError, match="leave the key out") as error:
        FolderMigrator("s3://user:a-secret@bucket/vectors", Here())
    assert "a-secret" not in str(error.value)
    with pytest.raises(RefusedError, match="leave the key out") as error:
        dataset_path("s3://user:a-secret@bucket/vectors")
    assert "a-secret" not in str(error.value)


def test_what_is_refused(dataset: Dataset, server: ObjectServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gcsfs is not installed: run pip install gcsfs" in refused(capsys, "doctor", "gs://bucket/vectors")
    assert "give a prefix in it" in refused(capsys, "doctor", f"s3://{dataset.bucket}")
    assert "there are no .parquet or .npy objects" in refused(capsys, "doctor", f"s3://{dataset.bucket}/nothing")
    store = open_database(dataset.address)
    assert isinstance(store, Store)
    with pytest.raises(RefusedError, match=r"many files, which workers convert:  lightmigrate train"):
        store.create_version(store.collection(Address("vectors")), "key", NEW, None)  # as `auto_migrate` would
    options = {"aws_endpoint": server.address, "allow_http": "true"}
    lance.write_dataset(pa.table({"id": ["a"]}), f"s3://{dataset.bucket}/lancedb/docs.lance", storage_options=options)
    for place in ("lancedb", "lancedb/docs.lance"):
        assert "is a Lance table, or holds some" in ended(capsys, 2, "doctor", f"s3://{dataset.bucket}/{place}")
    assert "no store is known for memory://" in refused(capsys, "doctor", "memory://vectors")
    assert "no store is known for ftp://" in refused(capsys, "doctor", "ftp://host/vectors")
    dataset.put("metadata/v1.metadata.json", b"{}")
    assert "Iceberg" in ended(capsys, 2, *dataset.words("--workers", 1))


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"format": 2}', b'{"format": 1, "suffix": "x"}'])
def test_a_damaged_pointer_is_said_and_nothing_is_guessed(dataset: Dataset, content: bytes) -> None:
    client().pipe_file(f"{dataset.bucket}/vectors.lightmigrate/current.json", content)
    with pytest.raises(DatabaseError, match=r"current\.json is damaged"):
        dataset_path(dataset.address)


def test_a_pointer_is_read_as_it_was_put() -> None:
    pointer = Pointer()
    for run_name in ("a" * 16, "b" * 16):
        pointer = pointer.moved_to(type(pointer.live)(run_name, "model", "0" * 64))
    assert Pointer.from_json(pointer.to_json()) == pointer
    assert [version.name for version in pointer.former] == ["original", "a" * 16]
    assert dataset_path("/a/folder") == "/a/folder"


def test_a_listing_has_only_what_is_below(dataset: Dataset) -> None:
    client().pipe_file(f"{dataset.bucket}/vectors-of-others/a.parquet", b"x")
    client().pipe_file(f"{dataset.bucket}/vectors/empty/", b"")
    assert ObjectFolder(dataset.address).states().keys() == dataset.first.keys()
