"""Going back after `refine`: what this package wrote is no loss, what an application wrote is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, Model, Projection
from lightmigrate.errors import WrittenSinceError
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.base import Store
from tests.contract.makers import Maker
from tests.contract.material import OLD, assert_same, everything, filled, page, vectors
from tests.encoders import ShortWordLlamaFunction

# Rows that `refine` embeds before the first way back.
WRITTEN = 5


@pytest.fixture(scope="module")
def provider() -> Cached:
    """The new model, of 64 numbers."""
    return Cached.in_memory(ChromaProvider(ShortWordLlamaFunction()))


def _job(provider: Cached) -> CollectionJob:
    """Projects every record of `docs`, and records that."""
    facts = {
        "model": provider.name,
        "provider": "",
        "dimension": provider.model.dimension,
        "reads_texts": False,
        "expected": [],
    }
    source = Model("old-model", OLD, normalised=False)
    weights = np.random.default_rng(0).normal(size=(OLD, provider.model.dimension))
    projection = Projection.affine(weights, np.zeros(provider.model.dimension), source=source, target=provider.model)
    return CollectionJob("docs", projection, embedded=EmbeddedTexts(provider, frozenset(), frozenset(), facts))


def test_only_what_an_application_wrote_is_in_the_way_of_going_back(
    maker: Maker, store: Store, provider: Cached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    address = filled(maker, "docs")
    store = maker.client()
    before = everything(store.collection(address))
    migrator = Migrator(store)
    migrator.migrate([_job(provider)], force=True)
    assert migrator.refine("docs", provider, documents=WRITTEN, refit=False).embedded == WRITTEN
    assert migrator.rollback().written == ()
    assert_same(everything(maker.client().collection(address)), before)

    migrator.rollback()
    assert migrator.refine("docs", provider, refit=False).status.share_exact == 1.0
    changed = page(maker, 1, start=2)
    collection = maker.client().collection(address)
    vector = vectors(1, provider.model.dimension)
    collection.put(type(changed)(changed.ids, vector, ["another text"], changed.payloads))
    with pytest.raises(WrittenSinceError) as refused:
        Migrator(maker.client()).rollback()
    assert (refused.value.added, refused.value.changed, refused.value.deleted) == (0, 1, 0)
