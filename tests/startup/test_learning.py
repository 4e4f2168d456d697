"""What a start embeds: everything where there is time and nothing to pay, otherwise what learning takes."""

from __future__ import annotations

import itertools
import statistics
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.budget.learned import Learned
from lightmigrate.errors import DeadlineError
from lightmigrate.estimators.fit import FittedPairs
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Bill, estimated_tokens
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.parallel import ParallelCalls
from lightmigrate.quality.gate import FEWEST_QUERIES, Thresholds
from lightmigrate.startup.learning import StartLimits, learn_for_start
from lightmigrate.startup.worth_learning import TimeToLearn
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.stores.open import open_folder
from lightmigrate.texts.chosen import with_texts
from lightmigrate.training.fitting import Fitting, Rows
from lightmigrate.training.learning_options import LearningOptions
from lightmigrate.training.limits import Deadline, SpendingLimit
from lightmigrate.training.sources import FEWEST_DOCUMENTS
from tests.budget.collections import NOTES, ROWS, Counting, build, texts

OLD = Model("potion-base-8M", 256)
TOKENS = estimated_tokens(texts())


class AtOnce(ParallelCalls):
    """Calls of a server with one processor: as many as are made at the same time have begun before one is answered."""

    meeting: threading.Barrier | None = None

    def run(self, acts: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        left = list(acts)
        for start in range(0, len(left), self.most):
            part = left[start : start + self.most]
            self.meeting = threading.Barrier(len(part), timeout=60)
            yield from super().run(part)
        self.meeting = None


class Clocked(Counting):
    """The new model on a clock that only embedding moves.

    Args:
        everything: seconds that it takes for all texts.
        price: dollars for all texts.
        slower_after: texts after which it is ten times as slow.
        calls: that are made at the same time, as of a server; it has one processor all the same.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        everything: float,
        price: float = 0.0,
        slower_after: int = 10**9,
        calls: int = 1,
    ) -> None:
        super().__init__()
        self.parallel = AtOnce(calls)
        self._working = threading.Lock()
        self.now, self._rate, self._dollars, self._slower_after = 0.0, everything / TOKENS, price / TOKENS, slower_after
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        if isinstance(self.parallel, AtOnce) and self.parallel.meeting is not None and self.parallel.most > 1:
            self.parallel.meeting.wait()
        with self._working:
            slower = 10 if len(self.asked) > self._slower_after else 1
            self.now += slower * self._rate * estimated_tokens(texts)
            return super().encode(texts, queries)

    def priced(self, tokens: int) -> Bill:
        return Bill(tokens, tokens * self._dollars)


Learn = Callable[..., tuple[Learned, Clocked]]


@pytest.fixture
def learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Learns at the start of a server over 400 abstracts; what it did, and the model."""
    folder = build(tmp_path / "db")

    def run(
        everything: float, max_seconds: float | None = None, max_cost: float | None = None, **options: Any
    ) -> tuple[Learned, Clocked]:
        refined, keeps_graph = options.pop("refined", False), options.pop("keeps_graph", False)
        documents, thresholds = options.pop("documents", None), options.pop("thresholds", None)
        cores = options.pop("cores", 1)
        monkeypatch.setattr("lightmigrate.startup.learning.cores", lambda: cores)
        if options.pop("empty_cache", False):
            (tmp_path / "cache.sqlite3").unlink(missing_ok=True)
        limit = options.pop("limit", None) or SpendingLimit(max_cost)
        model = Clocked(monkeypatch, everything, **options)
        limits = StartLimits(documents, may_cost=max_cost is not None, refined=refined, keeps_graph=keeps_graph)
        learning = LearningOptions(OLD, limit=limit, deadline=Deadline(max_seconds), thresholds=thresholds)
        with open_folder(folder).open() as store:
            read = JoinedCollections([with_texts(store.collection(NOTES), None)])
            provider = Cached(model, tmp_path / "cache.sqlite3")
            done = learn_for_start(read, provider, limits, learning, title="notes", opened_by={})
            return done, model

    return run


@pytest.mark.parametrize(("everything", "writing", "max_seconds", "embedded"), [
    (80, 150.0, None, True),  # it is late by writing alone
    (200, 150.0, None, True),  # up later by less than exact is sooner
    (400, 150.0, None, False),  # embedding takes much longer than writing
    (80, 50.0, None, True),  # it is late by what learning takes at least
    (80, 20.0, None, False),  # it can be up in time
    (70, 150.0, 65, False),  # somebody set a limit
])  # fmt: skip
def test_where_writing_alone_takes_too_long_a_little_more_makes_everything_exact(
    learned: Learn, monkeypatch: pytest.MonkeyPatch, everything: float, writing: float, max_seconds: float | None,
    embedded: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("lightmigrate.routes.costs.seconds_to_write", lambda work: (writing, writing))
    monkeypatch.setattr("lightmigrate.routes.costs.seconds_on_a_slow_machine", lambda work: writing)
    _, model = learned(everything=everything, max_seconds=max_seconds, refined=True)
    assert (set(texts()) <= set(model.asked)) == embedded


def test_everything_is_embedded_where_there_is_time(learned: Learn) -> None:
    done, model = learned(everything=30)
    assert done.training is None
    assert len(done.embedded.digests) == ROWS
    assert model.now < 60


def test_a_text_as_long_as_many_others_does_not_make_everything_look_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [*texts(15), "word " * 60_000, *texts()[16:]]
    folder, model = build(tmp_path / "db", documents), Clocked(monkeypatch, everything=30)
    with open_folder(folder).open() as store:
        read = JoinedCollections([with_texts(store.collection(NOTES), None)])
        provider, options = Cached(model, tmp_path / "cache.sqlite3"), LearningOptions(OLD, deadline=Deadline(None))
        done = learn_for_start(read, provider, StartLimits(None, may_cost=False), options, title="notes", opened_by={})
    assert done.training is None
    assert len(done.embedded.digests) == len(set(documents))
    assert model.now < 60


def test_otherwise_a_projection_is_learned_in_time(learned: Learn) -> None:
    done, model = learned(everything=200, refined=True)
    assert done.training is not None
    assert 0 < len(done.embedded.digests) < ROWS
    assert model.now < 60, "a minute"


def test_the_time_of_a_start_is_used_and_what_is_embedded_becomes_exact(
    learned: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, model = learned(everything=100, refined=True)
    assert done.training is not None
    assert len(done.embedded.digests) > ROWS / 5
    assert 25 < model.now < 60
    monkeypatch.setattr("lightmigrate.startup.worth_learning.MOST_DOCUMENTS", 50)
    done, model = learned(everything=100, refined=True, empty_cache=True)
    assert done.training is not None
    assert len(done.training.data.texts) == 50
    assert len(done.embedded.digests) > ROWS / 5, "more than it is learned from"
    assert 25 < model.now < 60


def test_a_slow_model_gets_pieces_in_which_there_are_texts_of_like_length(
    learned: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, embed_some = list[float](), TimeToLearn.embed_some

    def watched(time: TimeToLearn, *left_and_seconds: Any) -> int:
        began.append(time.deadline.elapsed)
        return embed_some(time, *left_and_seconds)

    monkeypatch.setattr(TimeToLearn, "embed_some", watched)
    _, model = learned(everything=100, refined=True)
    took = [after - before for before, after in itertools.pairwise(began)]
    assert 1.5 < statistics.median(took) < 2.5, "seconds"
    assert model.now < 60


def test_where_writing_takes_all_the_time_there_is_learning_still_has_some(
    learned: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightmigrate.routes.costs.seconds_to_write", lambda work: (70.0, 70.0))
    monkeypatch.setattr("lightmigrate.routes.costs.seconds_on_a_slow_machine", lambda work: 70.0)
    monkeypatch.setattr("lightmigrate.startup.learning.TIMES_WRITING", 0.0)  # nor is everything embedded instead
    done, model = learned(everything=70, refined=True)
    assert done.training is not None
    assert len(done.training.data.texts) > 1.5 * FEWEST_DOCUMENTS
    assert 15 < model.now < 30


def test_where_a_graph_is_kept_the_time_of_an_index_is_left_for_learning(
    learned: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightmigrate.routes.costs.seconds_to_write", lambda work: (0.0, 25.0))
    monkeypatch.setattr("lightmigrate.routes.costs.seconds_on_a_slow_machine", lambda work: 25.0)
    anew, _ = learned(everything=100, refined=True)
    kept, _ = learned(everything=100, refined=True, keeps_graph=True, empty_cache=True)
    assert len(kept.embedded.digests) > 1.4 * len(anew.embedded.digests)


def test_no_more_documents_are_learned_from_than_can_be_fitted_to_in_time(
    learned: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightmigrate.startup.worth_learning.MOST_PAID", 60)
    monkeypatch.setattr("lightmigrate.startup.worth_learning.usual", lambda learned, documents, dimension: documents)
    done, _ = learned(everything=100, refined=True)
    assert done.training is not None
    assert len(done.training.data.texts) == 60
    assert len(done.embedded.digests) > 100, "the rest of the time makes records exact"


def test_while_a_projection_is_fitted_the_model_embeds_more(learned: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_meanwhile, encode, fit = threading.Event(), Clocked.encode, Fitting.fit

    def watched(model: Clocked, texts: Sequence[str], queries: bool = False) -> Any:
        if threading.current_thread() is not threading.main_thread():
            asked_meanwhile.set()
        return encode(model, texts, queries)

    def slow_fit(fitting: Fitting, rows: Rows) -> FittedPairs:
        assert asked_meanwhile.wait(60)
        return fit(fitting, rows)

    alone, _ = learned(everything=100, refined=True)
    monkeypatch.setattr(Clocked, "encode", watched)
    monkeypatch.setattr(Fitting, "fit", slow_fit)
    done, model = learned(everything=100, refined=True, cores=2, empty_cache=True)
    assert done.training is not None
    assert len(done.embedded.digests) > len(alone.embedded.digests)
    assert len(done.embedded.digests) == len(set(model.asked) & set(texts())), "what was embedded is stored exactly"


def test_a_model_that_costs_money_embeds_nothing_more_while_a_projection_is_fitted(learned: Learn) -> None:
    _, alone = learned(everything=1, price=1.0, max_cost=0.5, refined=True)
    _, model = learned(everything=1, price=1.0, max_cost=0.5, refined=True, cores=2, empty_cache=True)
    assert sorted(model.asked) == sorted(alone.asked)


def test_what_only_learning_takes_makes_exact_hardly_later(learned: Learn) -> None:
    def only_learned(refined: bool) -> int:
        done, model = learned(everything=100, refined=refined, empty_cache=True)
        assert done.training is not None
        assert done.training.gate.n_queries >= FEWEST_QUERIES
        return estimated_tokens(sorted(set(model.asked) - set(texts())))

    assert only_learned(refined=True) < 0.06 * TOKENS
    assert only_learned(refined=False) > 0.07 * TOKENS, "what is not made exact is judged, and projected, with more"


def test_a_model_that_is_slower_than_on_its_first_texts_learns_from_fewer_documents(learned: Learn) -> None:
    planned, _ = learned(everything=100, refined=True)
    slower, _ = learned(everything=100, refined=True, slower_after=60, empty_cache=True)
    assert planned.training is not None
    assert slower.training is not None
    assert len(slower.training.data.texts) < len(planned.training.data.texts)


def test_a_limit_is_kept_also_by_a_model_that_takes_longer_than_expected(learned: Learn) -> None:
    done, _ = learned(everything=30, slower_after=200, thresholds=Thresholds(passing=0.5, failing=0.0))
    assert done.training is not None, "it was given up for a projection"
    with pytest.raises(DeadlineError):
        learned(everything=10_000, max_seconds=20, empty_cache=True)


@pytest.mark.parametrize(("everything", "max_seconds"), [(60, 20), (60, 30), (100, 36), (36, 30)])
def test_a_server_that_answers_one_call_at_a_time_is_seen_through_while_there_is_time_to_learn(
    learned: Learn, everything: float, max_seconds: float
) -> None:
    usual = Thresholds(passing=0.5, failing=0.0)
    done, model = learned(
        everything=everything, calls=4, max_seconds=max_seconds, price=1.0, max_cost=3.0, thresholds=usual
    )
    assert done.training is not None, "at four times the speed everything would have been embedded"
    assert model.now < max_seconds
    assert len(set(model.asked) & set(texts())) < ROWS / 2


def test_a_server_that_answers_one_call_at_a_time_embeds_everything_where_there_is_time(learned: Learn) -> None:
    done, _ = learned(everything=20, calls=4, max_seconds=30, price=1.0, max_cost=3.0)
    assert done.training is None
    assert len(done.embedded.digests) == ROWS


def test_a_limit_of_time_bounds_what_is_learned_with_a_model_that_costs_money(learned: Learn) -> None:
    usual = Thresholds(passing=0.5, failing=0.0)
    done, model = learned(everything=100, max_seconds=36, price=1.0, max_cost=0.5, thresholds=usual)
    assert done.training is not None
    assert model.now < 36


def test_rather_than_a_projection_that_fails_everything_is_embedded_where_nobody_set_a_limit(learned: Learn) -> None:
    strict = Thresholds(passing=0.99, failing=0.98)
    done, model = learned(everything=300, thresholds=strict)
    assert done.training is None
    assert model.now < 600
    for options in (
        {"everything": 300, "max_seconds": 250},
        {"everything": 2000},
        {"everything": 300, "refined": True},
    ):
        done, _ = learned(**options, thresholds=strict, empty_cache=True)
        assert done.training is not None


@pytest.mark.parametrize(("max_cost", "exact"), [(None, False), (0.5, False), (2.0, True)])
def test_money_is_spent_on_everything_only_where_it_is_allowed(
    max_cost: float | None, exact: bool, learned: Learn
) -> None:
    done, model = learned(everything=1, price=1.0, max_cost=max_cost, refined=True)
    assert (done.training is None) == exact
    if not exact:
        assert estimated_tokens(model.asked) < 0.6 * TOKENS


def test_what_is_given_up_is_not_counted_as_spent(learned: Learn) -> None:
    limit = SpendingLimit(1.3)
    usual = Thresholds(passing=0.5, failing=0.0)
    done, model = learned(everything=30, price=1.0, max_cost=1.3, limit=limit, slower_after=64, thresholds=usual)
    assert done.training is not None, "it was given up for a projection"
    assert limit.spent == pytest.approx(model.priced(estimated_tokens(model.asked)).dollars, rel=0.1)


def test_a_number_of_documents_is_what_is_learned_from(learned: Learn) -> None:
    done, _ = learned(everything=1, documents=60)
    assert done.training is not None
    assert len(done.training.data.texts) == 60
