"""What version 0.1.0 left behind still works. `make.py` made it with the code of then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate import BudgetPlan, Migrator, Projection, Registry
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import PlanOutdatedError
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.chroma.client import open_client
from tests.databases import unpack
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.made_by_0_1.make import ROWS, STEPS, WORDS

TEXTS = [" ".join(text.split()[:WORDS]) for text in load_corpus().documents[:ROWS]]
OLD, NEW = (shared_wordllama(dimension).embed(TEXTS) for dimension in (64, 128))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    unpack(Path(__file__).with_name("files.tar.xz"), tmp_path)
    return tmp_path


@pytest.fixture
def provider(tmp_path: Path) -> Cached:
    return Cached(ChromaProvider(WordLlamaFunction(128)), tmp_path / "cache.sqlite3")


def dimension(database: Path) -> int | None:
    (notes,) = Migrator(database).collections()
    assert notes.count == ROWS
    return notes.dimension


def test_projections(files: Path) -> None:
    embed = shared_wordllama(128).embed
    close = {
        name: float(np.mean(np.sum(Projection.load(files / name).reading_with(embed).apply(OLD, TEXTS) * NEW, axis=1)))
        for name in ("linear.npz", "words.npz", "first_words.npz")
    }
    close["linear.onnx"] = float(np.mean(np.sum(Projection.load(files / "linear.onnx").apply(OLD) * NEW, axis=1)))
    assert close["linear.npz"] == pytest.approx(close["linear.onnx"], abs=1e-5)
    assert min(close.values()) > 0.75, close
    registry = Registry(files / "registry")
    (entry,) = registry.entries()
    assert registry.load(entry).info.target.name == "test-wordllama-128"
    assert not registry.verify()


def test_a_plan(files: Path, provider: Cached) -> None:
    plan, database = BudgetPlan.load(files / "plan.json"), files / "unmigrated" / "db"
    assert Migrator(database).migrate_by_plan(plan, provider, force=True).n_migrated == ROWS
    assert dimension(database) == 128
    Migrator(database).rollback()
    with open_client(database) as client:
        client.get_collection("notes", embedding_function=None).delete(ids=["n0"])
    with pytest.raises(PlanOutdatedError, match="120 records then, 119 now"):
        Migrator(database).migrate_by_plan(plan, provider, force=True)


def test_a_database_and_its_backup(files: Path) -> None:
    migrator = Migrator(files / "migrated" / "db")
    assert all(check.unchanged for check in migrator.verify())
    assert len(migrator.backups()) == 1
    migrator.rollback()
    assert dimension(files / "migrated" / "db") == 64


def test_a_refinement_goes_on(files: Path, provider: Cached) -> None:
    migrator = Migrator(files / "planned" / "db")
    (status,) = migrator.status()
    assert 0 < status.exact < ROWS
    assert migrator.refine("notes", provider).status.exact == ROWS
    migrator.rollback(written="discard")
    assert dimension(files / "planned" / "db") == 64


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_migration_is_ended(step: str, files: Path) -> None:
    """What was being built is begun again; of an exchange that was only announced, the old database stays."""
    database = files / step / "db"
    unfinished = Migrator(database).unfinished
    assert unfinished is not None
    building = step != "exchanging"
    assert ("the same command begins it again" in unfinished) == building
    assert Migrator(database).recover() is not None
    assert Migrator(database).unfinished is None
    assert dimension(database) == 64
    Migrator(database).migrate_collection("notes", files / "linear.npz")
    assert dimension(database) == 128
    Migrator(database).rollback()
    assert dimension(database) == 64
