"""A server starts with another model, on every kind of store: `auto_migrate` with real texts and vectors."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator, auto_migrate
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.base import Page
from lightmigrate.vectors import Vectors
from tests.contract.makers import ChromaClientMaker, Maker
from tests.contract.material import assert_same, assert_same_vectors, everything
from tests.encoders import ShortWordLlamaFunction, WordLlamaFunction

NEW = WordLlamaFunction(128)
ANIMALS, VERBS, PLACES = ("cat", "horse", "whale", "sparrow", "beetle"), ("sleeps", "sings", "hides"), ("river", "barn")
TEXTS = [f"the {animal} {verb} near the {place}" for animal, verb, place in itertools.product(ANIMALS, VERBS, PLACES)]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def _database(maker: Maker) -> object:
    """What a server gives: a path or a URL; an open client where nobody else may open the database beside it."""
    elsewhere = bool(maker.locator) and not maker.locator.startswith("{")
    if not elsewhere or maker.capabilities.one_client or isinstance(maker, ChromaClientMaker):
        return maker.client()
    maker.let_go()
    return maker.locator


def _require_migrated_once(maker: Maker, old: Vectors) -> None:
    """Start twice with the new model on a collection of old vectors, go back, and start again."""
    address = maker.create("docs", old.shape[1])  # by l2, in which no store changes the length of a vector
    ids, payloads = [f"id-{row:02}" for row in range(len(TEXTS))], [maker.payload_of(row) for row in range(len(TEXTS))]
    maker.client().collection(address).add(Page(ids, old, TEXTS, payloads))
    before = everything(maker.client().collection(address))

    def start() -> StartReport:
        return auto_migrate(_database(maker), NEW, on_failure="raise")

    def require_new() -> None:
        after = everything(maker.client().collection(address))
        assert_same(after, before, with_vectors=False)
        assert_same_vectors(after.vectors, NEW.embed(TEXTS), maker.tolerance("l2"))

    report = start()
    (collection,) = report.collections
    assert (report.action, collection.migrated, collection.exact) == ("migrated", len(TEXTS), len(TEXTS))
    require_new()
    assert start().action == "nothing"
    Migrator(_database(maker)).rollback()
    assert_same(everything(maker.client().collection(address)), before)
    assert start().action == "migrated", "what was measured before the way back is no longer true"
    require_new()


@pytest.mark.every_maker
def test_a_start_with_a_model_of_another_dimension(maker: Maker) -> None:
    _require_migrated_once(maker, ShortWordLlamaFunction().embed(TEXTS))


def test_a_start_with_another_model_of_the_same_dimension(maker: Maker) -> None:
    _require_migrated_once(maker, np.ascontiguousarray(NEW.embed(TEXTS)[:, ::-1]))
