"""A plan, its migration, and its refinement on PostgreSQL: a table, one of several collections in it, and halves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.errors import RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.budget.collections import CORPUS, cached, texts
from tests.contract.postgres import PgMaker

ROWS = 160
OLD_DIM = CORPUS.old_documents.shape[1]


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgMaker]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    database = PgMaker(tmp_path)
    yield database
    database.release()


@pytest.mark.parametrize("kind", [f"vector({OLD_DIM})", f"halfvec({OLD_DIM})", "vector"])
def test_a_plan_is_carried_out_and_refined(maker: PgMaker, tmp_path: Path, kind: str) -> None:
    parts = {"docs": "shelf"} if kind == "vector" else {}
    address = Address("docs", part="ours" if parts else "")
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE docs (id int PRIMARY KEY, shelf text, content text, embedding {kind})".encode()
        )
        rows = [
            (number, "theirs" if parts and number >= ROWS else "ours", text, str(vector.tolist()))
            for number, (text, vector) in enumerate(
                zip(texts(ROWS) * 2, [*CORPUS.old_documents[:ROWS]] * 2, strict=True)
            )
            if parts or number < ROWS
        ]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s, %s)", rows)
    provider = cached(tmp_path)
    with PgStore(maker.conninfo, parts=parts) as store:
        migrator = Migrator(store)
        drawn = migrator.cost_quality_curve(address, provider, samples=60, lengths=(12,))
        plan = BudgetPlan.of(address, drawn, drawn.option(BudgetSetting(True, 12, drawn.calibration)))
        assert migrator.migrate_by_plan(plan, provider, force=True).address == address
        (status,) = migrator.status()
        assert 0 < status.share_exact < 1
        refined = migrator.refine(address, provider)
        assert (refined.status.address, refined.status.share_exact) == (address, 1.0)
        assert refined.written_by_application == 0
        (check,) = migrator.verify()
        assert (check.collection_name, check.unchanged, check.refined > 0) == (str(address), True, True)
    with psycopg.connect(maker.conninfo) as connection:
        others = connection.execute(
            "SELECT DISTINCT vector_dims(embedding) FROM docs WHERE shelf = 'theirs'"
        ).fetchall()
    assert others == ([(OLD_DIM,)] if parts else [])


def test_a_plan_for_a_table_that_cannot_be_changed_any_more_pays_for_nothing(maker: PgMaker, tmp_path: Path) -> None:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE docs (id int PRIMARY KEY, content text, embedding vector({OLD_DIM}))".encode()
        )
        rows = [(row, text, str(CORPUS.old_documents[row].tolist())) for row, text in enumerate(texts(ROWS))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)
        provider = cached(tmp_path)
        migrator = Migrator(maker.locator)
        drawn = migrator.cost_quality_curve("docs", provider, samples=60, lengths=())
        plan = BudgetPlan.of(Address("docs"), drawn, drawn.within(drawn.size.tokens))
        connection.execute("CREATE VIEW seen AS SELECT id, embedding FROM docs")
        before = provider.misses
        with pytest.raises(RefusedError, match="view seen"):
            migrator.migrate_by_plan(plan, provider, force=True)
        assert provider.misses == before
        connection.execute("DROP VIEW seen")
        migrator.migrate_by_plan(plan, provider, force=True)
        assert provider.misses > before
