"""A dataset in an object store, and what must be true of it whatever happens."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.objects import dataset_path
from lightmigrate.projection.projection import Projection
from lightmigrate.vectors import Vectors
from tests.scale.object_server import objects_in

OLD, NEW, ROWS = 8, 12, 60


@dataclass(frozen=True)
class Dataset:
    """Parquet objects below `vectors` in a bucket of their own.

    Attributes:
        bucket: the bucket.
        first: what was put at first, by name.
        projection: file of the projection.
    """

    bucket: str
    first: Mapping[str, bytes]
    projection: Path

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/vectors"

    def put(self, name: str, data: bytes) -> None:
        """Put an object as an application does that knows of nothing."""
        client().pipe_file(f"{self.bucket}/vectors/{name}", data)

    def delete(self, name: str) -> None:
        client().rm_file(f"{self.bucket}/vectors/{name}")

    def words(self, *more: object) -> list[str]:
        """The words of the command that migrates it."""
        return [str(word) for word in ("migrate", self.address, "-p", self.projection, "--force", "--yes", *more)]

    def require_whole(self) -> bool:
        """What must be true at every instant; returns whether the new one is the dataset."""
        everything = objects_in(self.bucket)
        assert {name: everything.get(f"vectors/{name}") for name in self.first} == self.first
        for name, data in everything.items():
            if name.endswith(".parquet") and not name.startswith("vectors/"):
                assert vectors_of(data).shape == (ROWS, NEW), "unreadable, under its final name"
        live = dataset_path(self.address)
        if live == self.address:
            return False
        below = f"{live.removeprefix(f's3://{self.bucket}/')}/"
        now = {name.removeprefix(below): data for name, data in everything.items() if name.startswith(below)}
        assert now.keys() == self.first.keys()
        apply = Projection.load(self.projection).apply
        for name, data in now.items():
            if name.endswith(".parquet"):
                assert np.allclose(vectors_of(data), apply(vectors_of(self.first[name])), atol=1e-6)
                assert ids_of(data) == ids_of(self.first[name])
            else:
                assert data == self.first[name]
        return True

    def noted(self) -> list[dict[str, object]]:
        """What is noted of units that are done, by all runs."""
        found = objects_in(f"{self.bucket}/vectors.lightmigrate")
        return [json.loads(data) for name, data in found.items() if "/units/" in name]


def client() -> fsspec.AbstractFileSystem:
    return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)


def file_of(seed: int, rows: int = ROWS, dimension: int = OLD, group: int = 25) -> bytes:
    """A Parquet file, as its bytes."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    table = pa.table({"id": [f"{seed}-{row}" for row in range(rows)], "text": ["words"] * rows, "embedding": column})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=group, compression="zstd")
    return file.getvalue()


def vectors_of(data: bytes) -> Vectors:
    return np.asarray(pq.read_table(io.BytesIO(data)).column("embedding").to_pylist(), np.float32)


def ids_of(data: bytes) -> list[str]:
    ids: list[str] = pq.read_table(io.BytesIO(data)).column("id").to_pylist()
    return ids
