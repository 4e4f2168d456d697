"""What a vec0 table is, as the statement that created it says, and which tables are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate.errors import DatabaseError, LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.sqlite_vec.declaration import Declaration, declaration_of
from tests.contract.sqlite_vec import SqliteVecMaker

WHOLE = """CREATE VIRTUAL TABLE "my docs" USING vec0(
  id TEXT PRIMARY KEY, -- the id, as the application knows it
  owner text partition key, /* who
  may see it, and */
  embedding FLOAT[ 8 ]  DISTANCE_METRIC = Cosine,
  kind text, stars float,
  +contents text,
  chunk_size=16
)"""


def declared(statement: str) -> Declaration:
    found = declaration_of(statement)
    assert isinstance(found, Declaration)
    return found


def test_every_kind_of_column_is_known() -> None:
    found = declared(WHOLE)
    assert (found.vector, found.dimension, found.metric, found.key_name) == ("embedding", 8, "cosine", "id")
    assert found.text_keys
    assert [(column.name, column.kind) for column in found.own] == [
        ("owner", "partition"), ("kind", "metadata"), ("stars", "metadata"), ("contents", "auxiliary"),
    ]  # fmt: skip


def test_sqlite_vec_takes_the_statement_with_another_dimension_and_distance(tmp_path: Path) -> None:
    maker = SqliteVecMaker(tmp_path)
    for number, distance in enumerate((None, "l2", "cosine")):
        changed = declared(WHOLE).with_dimension(12, distance)  # type: ignore[arg-type]
        statement = changed.statement(f"docs{number}")
        maker.execute(statement)
        again = declared(statement)
        assert (again.dimension, again.metric) == (12, distance or "cosine")
        assert again.settings() == declared(WHOLE).settings()
        assert again.own == declared(WHOLE).own


def test_there_is_no_inner_product() -> None:
    with pytest.raises(LightmigrateError, match="ip"):
        declared(WHOLE).with_dimension(12, "ip")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("embedding int8[8]", "int8"),
        ("embedding bit[8]", "bit"),
        ("embedding float[8], coarse bit[8]", "bit"),
        ("embedding float[8] distance_metric=l1", "l1"),
        ("title float[8], body float[4]", "2 vector columns"),
    ],
)
def test_a_table_that_cannot_be_migrated_is_left_alone_and_says_why(tmp_path: Path, columns: str, reason: str) -> None:
    maker = SqliteVecMaker(tmp_path)
    maker.execute(f"CREATE VIRTUAL TABLE docs USING vec0({columns})")
    with maker.client() as store:
        assert store.collections() == []
        assert reason in (store.unsupported() or "")
        with pytest.raises(DatabaseError, match=reason):
            store.collection(Address("docs"))
    maker.create("others", 8)
    with maker.client() as store:
        assert [facts.name for facts in store.collections()] == ["others"]
        assert store.unsupported() is None
