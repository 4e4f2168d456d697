"""Vectors read from outside are those that Chroma stored, wherever it keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator
from lightmigrate.doctor import VectorSample
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.sample import sample_vectors
from tests.databases import folder_hash, make_vectors


@pytest.mark.parametrize("threshold", [20, 1000])
@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
def test_in_the_log_and_in_the_index(threshold: int, space: str, tmp_path: Path) -> None:
    vectors = make_vectors(90)
    with open_client(tmp_path / "db") as client:
        memory = client.create_collection(
            "memory",
            embedding_function=None,
            configuration={"hnsw": {"space": space, "batch_size": threshold, "sync_threshold": threshold}},
        )
        memory.add(ids=[str(row) for row in range(90)], embeddings=vectors)
        client.create_collection("empty", embedding_function=None)
        before = folder_hash(tmp_path / "db")
        found = sample_vectors(tmp_path / "db", most=50)
        assert folder_hash(tmp_path / "db") == before, "while somebody has it open"
    assert found.keys() == {Address("memory")}
    sample = found[Address("memory")]
    assert sample.shape == (50, 16)
    stored = {tuple(np.round(v, 4)) for v in vectors} | {tuple(np.round(v / np.linalg.norm(v), 4)) for v in vectors}
    assert {tuple(np.round(v, 4)) for v in sample} <= stored


def test_a_damaged_index_is_left_out(tmp_path: Path) -> None:
    with open_client(tmp_path / "db") as client:
        client.create_collection(
            "memory", embedding_function=None, configuration={"hnsw": {"batch_size": 20, "sync_threshold": 20}}
        ).add(ids=[str(row) for row in range(90)], embeddings=make_vectors(90))
    for header in (tmp_path / "db").glob("*/header.bin"):
        whole = header.read_bytes()
        fields = [(20, 2**63), (28, 8), (36, 1 + int.from_bytes(whole[36:44], "little")), (44, 2**62)]
        lies = (whole[:at] + number.to_bytes(8, "little") + whole[at + 8 :] for at, number in fields)
        for damage in (b"", whole[:20], b"\xff" * 100, *lies):
            header.write_bytes(damage)
            assert len(sample_vectors(tmp_path / "db").get(Address("memory"), [])) <= 90


def test_what_doctor_makes_of_it(tmp_path: Path) -> None:
    vectors = make_vectors(40)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0
    with open_client(tmp_path / "db") as client:
        client.create_collection("memory", embedding_function=None).add(
            ids=[str(row) for row in range(40)], embeddings=vectors
        )
    look = Migrator(tmp_path / "db").diagnose().samples["memory"]
    assert (look.vectors, look.invalid) == (40, 1)
    assert look.shortest == pytest.approx(1)
    assert look.longest == pytest.approx(1)
    assert VectorSample.of(np.zeros((2, 3), np.float32)) == VectorSample(2, None, None, 2, 0, ())
