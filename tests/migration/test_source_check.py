"""A map for other vectors of the same dimension is refused: by what they look like, whatever anybody calls them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Migrator, Model, Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import MixedCollectionError, WrongSpaceError
from lightmigrate.stores.chroma.client import open_client

CORPUS = load_corpus()
ROTATION, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(256, 256)))
OLD = CORPUS.old_documents
NEW = (OLD @ ROTATION).astype(np.float32)  # another space of the same dimension
A, B = Model("model-a", 256), Model("model-b", 256)


@pytest.fixture(scope="module")
def there() -> Projection:
    return fit(OLD[:300], NEW[:300], method="ridge", source_model=A, target_model=B)


@pytest.fixture(scope="module")
def back() -> Projection:
    return fit(NEW[:300], OLD[:300], method="ridge", source_model=B, target_model=A)


@pytest.fixture(params=["a folder", "an open client"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with open_client(tmp_path / "db") as client:
        client.create_collection("memory", embedding_function=None).add(
            ids=[str(row) for row in range(400)], embeddings=OLD[300:700]
        )
        if request.param == "an open client":
            yield client
            return
    yield tmp_path / "db"


def test_the_wrong_direction(database: Any, back: Projection) -> None:
    migrator = ChromaMigrator(database)
    with pytest.raises(
        WrongSpaceError, match=r"are not model-b's: their likeness is [01]\.\d+ .* are model-a's already"
    ):
        migrator.migrate_collection("memory", back)
    assert migrator.backups() == []
    assert not migrator.interrupted


def test_migrating_twice(database: Any, there: Projection, back: Projection) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("memory", there)
    with pytest.raises(WrongSpaceError, match="are model-b's already"):
        migrator.migrate_collection("memory", there)
    assert migrator.migrate_collection("memory", back).n_migrated == 400


def test_a_third_model(database: Any) -> None:
    third, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(256, 256)))
    other = fit((OLD @ third)[:300], NEW[:300], method="ridge")
    migrator = ChromaMigrator(database)
    with pytest.raises(WrongSpaceError, match="use a projection for the model that made them"):
        migrator.migrate_collection("memory", other)
    assert migrator.migrate_collection("memory", other, force=True).n_migrated == 400


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_collection_of_two_models(tmp_path: Path, there: Projection, share: float) -> None:
    third, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(256, 256)))
    rows = OLD[300:800].copy()
    other = np.random.default_rng(3).permutation(500)[: int(share * 500)]
    rows[other] = rows[other] @ third
    with open_client(tmp_path / "db") as client:
        client.create_collection("memory", embedding_function=None).add(
            ids=[str(row) for row in range(500)], embeddings=rows
        )
    migrator = ChromaMigrator(tmp_path / "db")
    with pytest.raises(MixedCollectionError, match="rows of 2 models") as refused:
        migrator.migrate_collection("memory", there)
    assert refused.value.looked_at == 500
    assert sum(refused.value.counts) == 500
    assert abs(min(refused.value.counts) - min(share, 1 - share) * 500) <= 5
    assert migrator.backups() == []
    look = Migrator(tmp_path / "db").diagnose().samples["memory"]
    assert look.models == refused.value.counts
    assert migrator.migrate_collection("memory", there, force=True).n_migrated == 500


def test_doctor_says_where_only_some_vectors_were_scaled(tmp_path: Path) -> None:
    rows = OLD[:300].copy()
    rows[:40] *= 5
    with open_client(tmp_path / "db") as client:
        client.create_collection("memory", embedding_function=None).add(
            ids=[str(row) for row in range(300)], embeddings=rows
        )
    look = Migrator(tmp_path / "db").diagnose().samples["memory"]
    assert (look.vectors, look.of_length_one, look.models) == (300, 260, ())
