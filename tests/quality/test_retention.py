"""`measure_retention`: where a migration stands between doing nothing and embedding everything again."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from lightmigrate import measure_retention
from lightmigrate.demo.data import Corpus, load_corpus, load_projection
from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.retention import QualityEstimate, Retention

ESTIMATES = ("reembedded", "migrated", "nothing", "retention", "nothing_retention", "gain")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


def measured(corpus: Corpus, migrated: Any, **options: Any) -> Retention:
    return measure_retention(
        old_queries=corpus.old_queries,
        new_queries=corpus.new_queries,
        old_documents=corpus.old_documents,
        new_documents=corpus.new_documents,
        migrated_documents=migrated,
        relevant=corpus.relevant,
        **options,
    )


def random_map(corpus: Corpus, seed: int = 0) -> Any:
    shape = corpus.old_documents.shape[1], corpus.new_documents.shape[1]
    return corpus.old_documents @ np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def small(**changes: Any) -> Retention:
    """Two queries for two documents: the old model finds neither first, the new one both, the migrated one half."""
    right, wrong = np.eye(2), np.eye(2)[::-1]
    given: dict[str, Any] = {
        "old_queries": np.eye(2),
        "new_queries": np.eye(2),
        "old_documents": wrong,
        "new_documents": right,
        "migrated_documents": np.array([[1.0, 0.0], [1.0, -0.1]]),
        "relevant": [{0: 1.0}, {1: 1.0}],
        "k": 1,
    }
    return measure_retention(**{**given, **changes})


def test_small_example_by_hand() -> None:
    # query 1 is (0, 1): of the migrated documents (1, 0) is the nearer one, and not the relevant one
    result = small()
    assert result.reembedded.value == 1
    assert result.migrated.value == 1 / 2
    assert result.nothing.value == 0
    assert result.retention.value == 1 / 2
    assert result.nothing_retention.value == 0
    assert result.gain.value == 1 / 2
    assert result.overlap == 1 / 2
    assert (result.n_queries, result.n_documents, result.k) == (2, 2, 1)


def test_rank_matters_not_only_whether_something_is_found() -> None:
    assert small(k=2).nothing.value == pytest.approx(1 / math.log2(3))
    assert small(k=2).overlap == 1


def test_bootstrap_draws_the_same_queries_for_all_three_choices() -> None:
    # 1 of 2 queries is right: a paired resample is right in 0, 1 or 2 of 2, whichever choice is looked at
    result = small()
    assert (result.retention.low, result.retention.high) == (0, 1)
    assert (result.reembedded.low, result.reembedded.high) == (1, 1)
    twin = small(old_documents=np.array([[1.0, 0.0], [1.0, -0.1]]))
    assert twin.gain == QualityEstimate(0, 0, 0)


def test_interval_is_that_of_a_mean_over_queries(corpus: Corpus) -> None:
    result = measured(corpus, corpus.new_documents, resamples=4000)
    width = result.nothing.high - result.nothing.low
    wider = measure_retention(
        old_queries=corpus.old_queries[:75],
        new_queries=corpus.new_queries[:75],
        old_documents=corpus.old_documents,
        new_documents=corpus.new_documents,
        migrated_documents=corpus.new_documents,
        relevant=corpus.relevant[:75],
        resamples=4000,
    )
    # a quarter of the queries: twice the interval
    assert (wider.nothing.high - wider.nothing.low) / width == pytest.approx(2, rel=0.25)


def test_perfect_mapping_retains_exactly_everything(corpus: Corpus) -> None:
    result = measured(corpus, corpus.new_documents)
    assert result.retention == QualityEstimate(1, 1, 1)
    assert result.migrated == result.reembedded
    assert result.overlap == 1
    assert result.gain.value > 0
    assert result.gain.low > 0


def test_random_map_retains_almost_nothing(corpus: Corpus) -> None:
    result = measured(corpus, random_map(corpus))
    assert result.retention.high < 0.1
    assert result.overlap < 0.1
    assert result.gain.high < 0


def test_gain_is_retention_minus_that_of_doing_nothing(corpus: Corpus) -> None:
    for migrated in (corpus.new_documents, random_map(corpus)):
        result = measured(corpus, migrated, resamples=100)
        assert result.gain.value == pytest.approx(result.retention.value - result.nothing_retention.value)
        assert result.retention.value == pytest.approx(result.migrated.value / result.reembedded.value)
        assert result.nothing_retention.value == pytest.approx(result.nothing.value / result.reembedded.value)


def test_same_seed_gives_the_same_result_and_another_only_other_intervals(corpus: Corpus) -> None:
    migrated = load_projection().apply(corpus.old_documents)
    one, same, other = (measured(corpus, migrated, resamples=200, seed=seed) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    for name in ESTIMATES:
        assert one[name].value == other[name].value


def test_intervals_contain_the_estimate(corpus: Corpus) -> None:
    result = measured(corpus, load_projection().apply(corpus.old_documents))
    for name in ESTIMATES:
        estimate = result[name]
        assert estimate.low < estimate.value < estimate.high


def test_shipped_projection_keeps_what_its_header_says(corpus: Corpus) -> None:
    projection = load_projection()
    result = measured(corpus, projection.apply(corpus.old_documents)).to_json()
    stated = {name: value for name, value in projection.info.quality.items() if name != "corpus"}
    assert stated.keys() == result.keys()
    for name in ESTIMATES:
        # the shipped vectors are rounded to float16
        assert stated[name] == pytest.approx(result[name], abs=0.002)
    assert stated["overlap"] == pytest.approx(result["overlap"], abs=0.002)
    for name in ("n_queries", "n_documents", "k"):
        assert stated[name] == result[name]


def test_queries_without_a_relevant_document_change_nothing() -> None:
    more: Any = {
        "old_queries": np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),
        "new_queries": np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, 1.0]]),
        "relevant": [{0: 1.0}, {}, {1: 1.0}],
    }
    assert small(**more) == small()


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
@pytest.mark.parametrize("migrated", [np.eye(2), np.eye(2)[::-1]], ids=["all found", "none found"])
def test_ceiling_of_zero_has_no_retention(migrated: Any) -> None:
    result = small(new_documents=np.eye(2)[::-1], migrated_documents=migrated)
    assert result.reembedded.value == 0
    assert math.isnan(result.retention.value)
    assert math.isnan(result.gain.value)


def test_result_is_json_and_reads_back(corpus: Corpus) -> None:
    result = measured(corpus, corpus.new_documents, resamples=50)
    read = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert read == result.to_json()
    assert read["gain"] == {"value": result.gain.value, "low": result.gain.low, "high": result.gain.high}
    assert read["n_documents"] == len(corpus.ids)


def test_result_is_read_like_a_dictionary() -> None:
    result = small()
    assert result["retention"] == result.retention
    assert result["retention"]["value"] == result.retention.value
    assert set(result) == {*ESTIMATES, "overlap", "n_queries", "n_documents", "k"}
    assert len(result) == 10
    assert dict(result)["k"] == 1
    for absent in ("speed", "to_json"):
        with pytest.raises(KeyError, match=absent):
            result[absent]


def test_estimate_is_shown_with_its_interval() -> None:
    assert str(QualityEstimate(0.8652, 0.8233, 0.907)) == "0.865 [0.823, 0.907]"


def test_judgements_that_do_not_fit_the_queries_are_refused() -> None:
    cases: list[list[dict[int, float]]] = [[{0: 1.0}], [{0: 1.0}, {1: 1.0}, {0: 1.0}], [{}, {}], [{0: 0.0}, {1: 0.0}]]
    for relevant in cases:
        with pytest.raises(LightmigrateError, match="2 queries, judgements for"):
            small(relevant=relevant)
