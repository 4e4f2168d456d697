"""Routes compared and taken on a real collection: everything, a part, an existing projection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator, Registry, fit
from lightmigrate.budget.measuring_options import DEFAULT_MEASURING, MeasuringOptions
from lightmigrate.errors import NotEnoughTextsError, RefusedError
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Bill, estimated_tokens
from lightmigrate.providers.cache import Cached
from lightmigrate.routes.compare import Comparison, compare_routes
from lightmigrate.routes.follow import follow
from lightmigrate.routes.goal import DEFAULT_GOAL, Goal
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.stores.open import open_folder
from lightmigrate.texts.chosen import with_texts
from tests.budget.collections import CORPUS, NOTES, ROWS, Counting, build, cached, texts

OLD = Model("potion-base-8M", 256)


class Paid(Counting):
    """The new model at a dollar for a thousand tokens."""

    def priced(self, tokens: int) -> Bill:
        return Bill(tokens, tokens / 1000)


def compared(
    folder: Path,
    provider: Cached,
    goal: Goal = DEFAULT_GOAL,
    options: MeasuringOptions = DEFAULT_MEASURING,
    **others: Any,
) -> Comparison:
    with open_folder(folder).open() as store:
        read = JoinedCollections([with_texts(store.collection(NOTES), None)])
        return compare_routes(read, provider, goal, options, **others)


def test_what_takes_little_is_embedded_and_nothing_is_measured(tmp_path: Path) -> None:
    inner = Counting()
    found = compared(build(tmp_path / "db"), cached(tmp_path, inner))
    assert found.chosen is not None
    assert (found.chosen.kind, found.measured_on, found.curve) == ("everything", 0, None)
    assert len(inner.asked) < ROWS / 2, "a few texts told its speed"
    assert [route.kind for route in found.routes] == ["nothing", "everything"]


@pytest.mark.parametrize("always", [False, True])
def test_without_any_text_the_ways_out_are_those_that_work(tmp_path: Path, always: bool) -> None:
    """No route can be taken, not even embedding everything, and learning on the collection's documents is none."""
    folder = build(tmp_path / "db", [None] * ROWS)
    with pytest.raises(NotEnoughTextsError, match=rf"0 of {ROWS} records have a text.*--texts FILE.jsonl"):
        compared(folder, cached(tmp_path, Counting()), always=always)


def test_measuring_takes_at_most_a_tenth(tmp_path: Path) -> None:
    inner = Paid()
    bills: dict[str, Bill] = {}
    found = compared(
        build(tmp_path / "db"),
        cached(tmp_path, inner),
        Goal(max_cost=1e6),
        before_paying=lambda bill, purpose: bills.update({purpose: bill}),
    )
    everything = found.routes[-1]
    assert everything.dollars == pytest.approx(everything.tokens / 1000)
    assert bills.keys() == {"to measure how fast it is", "to measure what projections keep"}
    assert all(bill.tokens <= everything.tokens / 9 for bill in bills.values())
    assert found.curve is not None
    assert found.curve.paid <= 0.1 * found.curve.size.tokens
    assert estimated_tokens(inner.asked) <= 0.1 * found.curve.size.tokens, "with what told the speed"


@pytest.mark.parametrize("dollars", [0.0, 2.0, 5.0, 12.0, 60.0])
def test_measuring_spends_no_more_than_the_goal_allows(dollars: float, tmp_path: Path) -> None:
    inner = Paid()
    found = compared(build(tmp_path / "db"), cached(tmp_path, inner), Goal(max_cost=dollars))
    assert estimated_tokens(inner.asked) / 1000 <= dollars
    if found.chosen is None:
        assert "within $" in found.reason
    else:
        assert found.chosen.dollars is not None
        assert found.chosen.dollars <= dollars


def test_on_one_scale_with_more_quality_for_more_tokens(tmp_path: Path) -> None:
    found = compared(build(tmp_path / "db"), cached(tmp_path), options=MeasuringOptions(samples=60), always=True)
    assert found.measured_on == 60
    nothing, *projected, everything = found.routes
    assert nothing.expected is not None
    assert not nothing.measured
    assert projected
    qualities = [route.expected.value for route in projected if route.expected and route.setting]
    assert qualities == sorted(qualities)
    assert everything.expected is not None
    assert everything.expected.value == 1.0
    for route in projected:
        assert route.seconds is not None
        assert route.exact_seconds is not None
        assert 0 < route.seconds <= route.exact_seconds
    assert "chosen" in found.to_json()


@pytest.mark.parametrize("quality", [1.0, 0.3])
def test_the_chosen_route_is_taken_as_it_was_measured(quality: float, tmp_path: Path) -> None:
    folder, provider = build(tmp_path / "db"), cached(tmp_path, Paid())

    def decide(store: Any) -> Any:
        from lightmigrate import CollectionJob

        collection = with_texts(store.collection(NOTES), None)
        read = JoinedCollections([collection])
        # with fewer samples, no more is expected of any projection than of doing nothing
        found = compare_routes(read, provider, Goal(quality), MeasuringOptions(samples=90))
        learned = follow(found, read, provider, opened_by={}, source_model=OLD)
        return [CollectionJob(NOTES, learned.projection, texts=collection.source, embedded=learned.embedded)]

    (result,) = Migrator(folder).migrate(decide, force=True)
    assert result.n_migrated == ROWS
    status = Migrator(folder).status()[0]
    with open_folder(folder).open() as store:
        stored = store.collection(NOTES).sample(ROWS)
    own = provider.embed([text or "" for text in stored.texts])
    same = np.isclose(stored.vectors, own, atol=1e-5).all(axis=1)
    assert same.sum() == status.exact
    assert (status.exact == ROWS) == (quality == 1.0)


def test_an_existing_projection_is_one_of_the_routes(tmp_path: Path) -> None:
    folder, provider = build(tmp_path / "db"), cached(tmp_path, Paid())
    new = provider.embed(CORPUS.documents[ROWS:])
    projection = fit(CORPUS.old_documents[ROWS:], new, method="ridge", source_model=OLD, target_model=provider.model)
    Registry(tmp_path / "registry").add(projection, "one.npz")
    from lightmigrate.registry.library import Library

    candidates = Library([tmp_path / "registry"]).find(source_dim=256, target_dim=128, target=provider.name)
    found = compared(
        folder,
        provider,
        Goal(0.2, max_cost=1e6, even_below_nothing=True),
        MeasuringOptions(samples=60),
        candidates=candidates,
    )
    (known,) = [route for route in found.routes if route.kind == "known"]
    assert known.measured
    assert known.expected is not None
    assert 0.2 < known.expected.value < 1
    assert found.chosen == known, "it costs nothing"


def test_a_limit_that_no_route_keeps_is_refused_with_a_way_out(tmp_path: Path) -> None:
    found = compared(build(tmp_path / "db"), cached(tmp_path, Paid()), Goal(max_cost=0.0))
    assert found.chosen is None
    assert "within $0.00" in found.reason
    assert any("--max-cost" in way.options for way in found.ways_out)


def test_equal_texts_are_counted_and_priced_once(tmp_path: Path) -> None:
    doubled = build(tmp_path / "db", texts(ROWS // 2) * 2)
    once = build(tmp_path / "once", texts(ROWS // 2))
    (a, b) = (compared(folder, cached(tmp_path / folder.name)).routes[-1] for folder in (doubled, once))
    assert a.tokens == b.tokens


def test_a_budget_that_measuring_would_exceed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="measuring alone would take"):
        compared(build(tmp_path / "db"), cached(tmp_path), options=MeasuringOptions(tokens=100))
