"""A collection of several vectors is found by the name by which it is listed, in every call that takes a name."""

from __future__ import annotations

import pytest
from qdrant_client import QdrantClient

from lightmigrate import Migrator
from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.migration.collection_job import CollectionJob, address_named
from lightmigrate.stores.base import Address, CollectionFacts
from tests.databases import NEW_DIM, make_projection
from tests.stores.qdrant.points import two


def test_a_listed_name_is_migrated_and_has_a_history() -> None:
    client = QdrantClient(":memory:")
    two(client, "docs")
    migrator, projection = Migrator(client), make_projection()
    assert [str(facts.address) for facts in migrator.collections()] == ["docs.image", "docs.text"]
    assert migrator.plan([CollectionJob("docs.text", projection)]).collections[0].vector == "text"
    result = migrator.migrate_collection("docs.text", projection)
    assert (result.n_migrated, result.current_dim) == (40, NEW_DIM)
    assert [entry.address for entry in migrator.history("docs.text")] == [Address("docs", vector="text")]
    assert migrator.text_source("docs.image").form == migrator.text_source(Address("docs", vector="image")).form
    with pytest.raises(CollectionNotFoundError, match=r"no collection docs in .*; there are: docs\.image, docs\.text"):
        migrator.migrate_collection("docs", projection)


def facts(name: str, tenant: str = "default_tenant", vector: str = "", part: str = "") -> CollectionFacts:
    return CollectionFacts(name, tenant, "default_database", 1, 2, "cosine", None, vector=vector, part=part)


def test_a_name_is_that_of_a_whole_collection_first() -> None:
    catalog = [facts("a.b"), facts("a", vector="b"), facts("a", vector="c"), facts("d", part="e"), facts("a", "t")]
    assert address_named("a.b", catalog) == Address("a.b")
    assert address_named("a.c", catalog) == Address("a", vector="c")
    assert address_named("d[e]", catalog) == Address("d", part="e")
    assert address_named("t/default_database/a", catalog) == Address("a", "t")
    assert address_named("a", catalog, "t") == Address("a", "t")
    assert address_named("gone", catalog) == Address("gone")
