"""Servers that are too old are named with the version that is needed, and nothing is begun on them."""

from __future__ import annotations

import chromadb
import pytest

from lightmigrate import CollectionJob, Migrator, auto_migrate
from lightmigrate.errors import DatabaseError
from lightmigrate.projection.model import Model
from lightmigrate.stores.open import connect
from tests.databases import make_projection
from tests.stores.chroma.old_server import old_server

NEEDED = r"older than 1\.3 \(it answers as version {}\), and 1\.3 or newer is needed: update the server"


@pytest.mark.parametrize(("version", "answers_as"), [("1.0.20", r"1\.0\.0"), ("0.6.3", r"0\.6\.3")])
def test_a_server_without_schemas_is_named_and_its_distance_is_shown(version: str, answers_as: str) -> None:
    needed = NEEDED.format(answers_as)
    with old_server(version) as (port, writes):
        diagnosis = Migrator(connect("127.0.0.1", port)).diagnose()
        assert [(facts.space, facts.count) for facts in diagnosis.collections] == [("cosine", 2)]
        assert diagnosis.unsupported is not None
        assert "1.3 or newer is needed" in diagnosis.unsupported
        job = CollectionJob("docs", make_projection(source=Model("old", 4), target=Model("new", 8)))
        with pytest.raises(DatabaseError, match=needed):
            Migrator(connect("127.0.0.1", port)).plan([job])
        with pytest.raises(DatabaseError, match=needed):
            Migrator(connect("127.0.0.1", port)).migrate([job])
        report = auto_migrate(chromadb.HttpClient("127.0.0.1", port), expected_dim=8)
        assert report.action == "failed"
        assert "1.3 or newer is needed" in report.error
        assert writes == []


def test_a_server_of_the_first_api_is_named_by_its_version() -> None:
    with (
        old_server("0.4.24") as (port, writes),
        pytest.raises(DatabaseError, match=rf"server at 127\.0\.0\.1:{port} is of version 0\.4\.24, and 1\.3 or newer"),
    ):
        connect("127.0.0.1", port)
    assert writes == []
