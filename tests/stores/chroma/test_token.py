"""A Chroma server behind a proxy that wants a token: what is said without it, with a wrong one, of another tenant."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.open import connect
from tests.databases import make_projection, records
from tests.migration.shadow.server import running_server
from tests.stores.chroma.proxy import Answer, Request, asked, proxy

TOKEN = "a-secret"


def test_what_is_wrong_is_said_and_with_the_token_all_goes_through(tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        if request.headers.get("x-chroma-token") != TOKEN:
            return 401, b'{"error":"Unauthorized"}'
        return asked(server.port, request)

    with running_server(tmp_path / "db") as server, proxy(answer) as port:
        server.client().create_collection("memory", embedding_function=None).add(**records(30))
        with pytest.raises(
            DatabaseError, match=rf"127\.0\.0\.1:{port} wants a header \(status 401\).*--header X-Chroma"
        ):
            connect("127.0.0.1", port)
        with pytest.raises(DatabaseError, match=r"does not accept what X-Chroma-Token says \(status 401\)") as wrong:
            connect("127.0.0.1", port, headers={"X-Chroma-Token": "another-secret"})
        assert "another-secret" not in str(wrong.value)
        right = {"X-Chroma-Token": TOKEN}
        with pytest.raises(DatabaseError, match=r"has no database prod of a tenant acme: check --tenant"):
            connect("127.0.0.1", port, headers=right, tenant="acme", database="prod")
        projection = make_projection()
        Migrator(connect("127.0.0.1", port, headers=right)).migrate([CollectionJob("memory", projection)])
        (facts,) = Migrator(server.client()).collections()
        assert (facts.count, facts.dimension) == (30, projection.info.target.dimension)
