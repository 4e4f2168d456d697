"""A collection that Milvus cannot copy exactly is said to be one, and stops no other one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymilvus import MilvusClient
from rich.console import Console

from lightmigrate import Migrator, Projection
from lightmigrate.cli.show import databases
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.doctor import doctor
from lightmigrate.commands.migrate import migrate_with_projection
from lightmigrate.commands.new_index import plan_indexes
from lightmigrate.commands.plan import plan_projection
from lightmigrate.errors import RefusedError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.stores.base import Address
from tests.contract.milvus import make_collection
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

YES = Conversation(lambda question: True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_projection().save(tmp_path / "projection.npz")
    return tmp_path / "projection.npz"


def assigned(client: MilvusClient, name: str = "assigned") -> None:
    """A collection as LangChain makes it with `auto_id=True`."""
    client.create_collection(name, OLD_DIM, auto_id=True)
    client.insert(name, [{"vector": vector.tolist(), "text": "a text"} for vector in make_vectors(30)])


def given(client: MilvusClient, name: str = "docs") -> None:
    make_collection(client, name, OLD_DIM, "cosine")
    rows = [{"id": f"{row}", "text": "a text", "vector": v.tolist()} for row, v in enumerate(make_vectors(30))]
    client.insert(name, rows)


def test_the_others_go_over(client: MilvusClient, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assigned(client)
    given(client)
    planned = plan_projection(DatabaseChoice(client), file, conversation=YES)
    assert [each.name for each in planned.collections] == ["docs"]
    assert [each.name for each in plan_indexes(DatabaseChoice(client), None, conversation=YES).collections] == ["docs"]
    caplog.clear()
    results = migrate_with_projection(DatabaseChoice(client), file, MigrationOptions(), conversation=YES)
    assert [(each.collection_name, each.current_dim) for each in results] == [("docs", NEW_DIM)]
    assert "left as it is: collection assigned has ids that Milvus assigns (auto_id)" in caplog.text
    assert client.query("assigned", filter="", output_fields=["count(*)"])[0]["count(*)"] == 30


def test_one_that_is_named_or_alone_is_refused(client: MilvusClient, file: Path) -> None:
    assigned(client)
    for named in ([], ["assigned"]):
        with pytest.raises(RefusedError, match="auto_id"):
            migrate_with_projection(
                DatabaseChoice(client), file, MigrationOptions(), collections=named, conversation=YES
            )


def test_doctor_says_so(client: MilvusClient, projection: Projection) -> None:
    assigned(client)
    given(client)
    found = doctor(DatabaseChoice(client), conversation=YES)
    assert [*found.refused] == ["assigned"]
    console = Console(width=400, record=True)
    console.print(databases.diagnosis(found))
    assert "assigned cannot be migrated: collection assigned has ids that Milvus assigns" in console.export_text()
    Migrator(client).migrate_collection("docs", projection)
    assert Migrator(client).refused(found.collections, None).keys() == {Address("assigned")}


@pytest.fixture
def projection() -> Projection:
    return make_projection()
