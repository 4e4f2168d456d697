"""What a run of `refine` says that it would pay for is what it pays for, or more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import Migrator
from lightmigrate.errors import RefusedError
from lightmigrate.providers.base import Bill
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.prices import dollars_for
from lightmigrate.refinement.estimate import RefinementEstimate
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.training.request import tokens_of
from tests.budget.collections import CORPUS, NOTES, ROWS, Counting, migrated, texts

QUERIES = list(CORPUS.queries[:40])


class Priced(Counting):
    """The new model for a dollar a million tokens."""

    def priced(self, tokens: int) -> Bill:
        return Bill(tokens, dollars_for(tokens, 1.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return migrated(tmp_path)[0]


def priced(folder: Path) -> tuple[Priced, Cached]:
    """The model, and the model with what the migration embedded."""
    model = Priced()
    return model, Cached(model, folder.parent / "cache.sqlite3")


def refined(folder: Path, provider: Cached, **options: Any) -> RefinementEstimate:
    """What a run said that it would cost."""
    said: list[RefinementEstimate] = []
    Migrator(folder).refine("notes", provider, on_estimate=said.append, **options)
    return said[0]


@pytest.mark.parametrize("order", ["random", "newest"])
@pytest.mark.parametrize("limits", [{"documents": 70}, {"tokens": 3000}, {"documents": 0}])
def test_it_is_exact_where_the_order_is_known(folder: Path, order: str, limits: dict[str, int]) -> None:
    model, provider = priced(folder)
    estimate = refined(folder, provider, order=order, **limits)
    assert estimate.tokens == tokens_of(provider, list(dict.fromkeys(model.asked)))
    assert estimate.dollars == estimate.tokens / 1e6


@pytest.mark.parametrize("order", ["retrieved", "uncertain"])
@pytest.mark.parametrize("limits", [{"documents": 25}, {"tokens": 3000}])
def test_it_is_a_bound_where_the_model_decides_the_order(folder: Path, order: str, limits: dict[str, int]) -> None:
    model, provider = priced(folder)
    queries = QUERIES if order == "retrieved" else []
    estimate = refined(folder, provider, order=order, queries=queries, **limits)
    paid = tokens_of(provider, list(dict.fromkeys(model.asked)))
    assert 0 < paid <= estimate.tokens
    assert estimate.tokens < 3 * paid, "the dearest rows"


def test_what_the_cache_holds_costs_nothing(folder: Path) -> None:
    model, provider = priced(folder)
    provider.embed(texts())
    model.asked.clear()
    estimate = refined(folder, provider, documents=60)
    assert (estimate.tokens, estimate.dollars, model.asked) == (0, 0.0, [])
    assert estimate.documents > 0
    said: list[RefinementEstimate] = []
    done = Migrator(folder).refine("notes", provider, tokens=1, refit=False, on_estimate=said.append)
    assert (done.embedded, done.tokens, model.asked) == (said[0].documents, 0, [])
    assert done.status.share_exact == 1.0


def test_a_run_reads_as_many_tokens_as_it_says(folder: Path) -> None:
    model, provider = priced(folder)
    done = Migrator(folder).refine("notes", provider, tokens=3000, refit=False)
    assert 0 < done.tokens == tokens_of(provider, list(dict.fromkeys(model.asked))) <= 3000


def test_a_refit_without_the_cache_of_the_migration_is_counted(folder: Path, tmp_path: Path) -> None:
    model = Priced()
    provider = Cached(model, tmp_path / "new.sqlite3")
    estimate = refined(folder, provider, documents=ROWS // 4)
    paid = tokens_of(provider, list(dict.fromkeys(model.asked)))
    assert 0 < paid <= estimate.tokens < 1.2 * paid
    assert not set(model.asked) <= set(texts()), "extracts"


@pytest.mark.parametrize("allowed", [None, 25_000])
def test_a_refit_is_within_the_limit_and_in_the_report(folder: Path, tmp_path: Path, allowed: int | None) -> None:
    model = Priced()
    provider = Cached(model, tmp_path / "new.sqlite3")
    done = Migrator(folder).refine("notes", provider, documents=ROWS // 4, tokens=allowed)
    paid = tokens_of(model, list(dict.fromkeys(model.asked)))
    assert 0.9 * done.tokens <= paid <= done.tokens <= (allowed or 2 * paid)
    assert bool(set(model.asked) - set(texts())) == (allowed is None), "words and extracts for a refit"


def test_nothing_is_refitted_or_paid_for_when_no_row_stays_projected(folder: Path, tmp_path: Path) -> None:
    model = Priced()
    provider = Cached(model, tmp_path / "new.sqlite3")
    with Provenance.of(folder) as provenance:
        before = provenance.projections(NOTES)[0].info
    estimate = refined(folder, provider)
    assert set(model.asked) <= set(texts()), "no extract"
    assert estimate.tokens == tokens_of(provider, list(dict.fromkeys(model.asked)))
    with Provenance.of(folder) as provenance:
        assert [projection.info for projection in provenance.projections(NOTES)] == [before]
    assert Migrator(folder).status()[0].share_exact == 1.0


def test_who_does_not_agree_pays_nothing(folder: Path) -> None:
    model, provider = priced(folder)
    before = shutil.copytree(folder, folder.parent / "before")

    def refuse(estimate: RefinementEstimate) -> None:
        raise RefusedError(f"{estimate.documents} are too many")

    with pytest.raises(RefusedError, match="are too many"):
        Migrator(folder).refine("notes", provider, on_estimate=refuse)
    assert model.asked == []
    assert Migrator(folder).status()[0].exact == Migrator(before).status()[0].exact
