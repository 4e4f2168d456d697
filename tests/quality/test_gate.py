"""The gate says yes to what is good and no to what is not, by numbers that can fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lightmigrate import Thresholds, fit, gate
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import LightmigrateError
from lightmigrate.estimators.fit import fit_pairs
from lightmigrate.estimators.methods import Method
from lightmigrate.quality.gate import FEWEST_QUERIES, SOUND_BESIDE_EXACT
from lightmigrate.training.sentences import pseudo_queries
from lightmigrate.vectors import Metric
from tests.encoders import shared_wordllama

CORPUS = load_corpus()
N = 300
OLD, NEW = CORPUS.old_documents[:N], CORPUS.new_documents[:N]
RNG = np.random.default_rng(0)


def near(documents: Any, noise: float = 1.5) -> Any:
    """Queries that belong to documents: their vectors, and something of their own."""
    own = np.random.default_rng(1).normal(size=documents.shape)
    return documents + noise * own / np.linalg.norm(own, axis=1, keepdims=True)


def judge(mapped: Any, noise: float = 1.5, **options: Any) -> Any:
    return gate(true=NEW, projected=mapped, queries=near(NEW, noise), taken_from=range(N), **options)


def test_identity_passes() -> None:
    said = judge(NEW)
    assert said.verdict == "PASS"
    assert said.expected_retention.value == said.migrated.overlap.value == 1
    assert said.similarity == pytest.approx(1)
    assert (said.cosine, said.squared_error) == (pytest.approx(1), pytest.approx(0))


def test_a_rotation_that_procrustes_recovers_passes() -> None:
    rotation, _ = np.linalg.qr(RNG.normal(size=(384, 384)))
    everything = CORPUS.new_documents
    projection = fit((everything @ rotation)[N:], everything[N:], method="procrustes")
    assert judge(projection.apply(NEW @ rotation)).verdict == "PASS"


@pytest.mark.parametrize("what", ["random", "constant", "reversed", "other pair", "shuffled", "zero", "nan"])
def test_what_is_worthless_fails(what: str) -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(384, 384)))
    mapped = {
        "random": OLD @ np.random.default_rng(3).normal(size=(256, 384)),
        "constant": np.tile(NEW[0], (N, 1)),
        # a map the wrong way round between two spaces of one size: rotated twice instead of back
        "reversed": NEW @ rotation @ rotation,
        "other pair": OLD @ np.linalg.qr(np.random.default_rng(4).normal(size=(384, 256)))[0].T,
        "shuffled": NEW[np.random.default_rng(5).permutation(N)],
        "zero": np.zeros_like(NEW),
        "nan": np.full_like(NEW, np.nan),
    }[what]
    said = judge(mapped)
    assert said.verdict == "FAIL"
    assert "\n" not in said.reason


def test_a_map_fitted_to_few_pairs_is_expected_to_keep_less() -> None:
    kept = []
    for pairs in (30, 200, 900):
        projection = fit(CORPUS.old_documents[N : N + pairs], CORPUS.new_documents[N : N + pairs], method="ridge")
        kept.append(judge(projection.apply(OLD), collection_size=1200).expected_retention.value)
    assert kept == sorted(kept)


def test_a_larger_collection_is_harder() -> None:
    projection = fit(CORPUS.old_documents[N:], CORPUS.new_documents[N:], method="ridge")
    mapped = projection.apply(OLD)
    small, large = (judge(mapped, collection_size=size) for size in (N, 10 * N))
    assert large.migrated.overlap.value < small.migrated.overlap.value
    assert large.migrated.found.value < small.migrated.found.value
    assert large.expected_retention.value < small.expected_retention.value


def test_vectors_that_are_all_the_same_find_nothing() -> None:
    said = judge(np.tile(NEW[:1], (N, 1)))
    assert said.verdict == "FAIL"
    assert said.migrated.found.value < 0.01


def test_the_overlap_at_scale_predicts_that_of_the_whole_collection() -> None:
    """225 documents stand for 900: the same searches find as many of the right neighbours there."""
    projection = fit(CORPUS.old_documents[900:], CORPUS.new_documents[900:], method="ridge")
    true, mapped = CORPUS.new_documents[:900], projection.apply(CORPUS.old_documents[:900])
    searches = {"queries": CORPUS.new_queries, "taken_from": [0] * 300}
    part = gate(true=true[:225], projected=mapped[:225], collection_size=900, **searches)  # type: ignore[arg-type]
    naive = gate(true=true[:225], projected=mapped[:225], **searches)  # type: ignore[arg-type]
    whole = gate(true=true, projected=mapped, **searches).migrated.overlap.value  # type: ignore[arg-type]
    assert part.migrated.overlap.value == pytest.approx(whole, abs=0.06)
    assert abs(naive.migrated.overlap.value - whole) > abs(part.migrated.overlap.value - whole)


def test_doing_nothing_is_shown_when_the_old_model_is_at_hand() -> None:
    assert judge(NEW).nothing is None
    said = judge(NEW, old=OLD, old_queries=near(OLD))
    assert 0 < said.nothing.overlap.value < 1
    assert said.nothing.recall.low <= said.nothing.recall.value <= said.nothing.recall.high


def test_thresholds_can_be_set() -> None:
    projection = fit(CORPUS.old_documents[N:], CORPUS.new_documents[N:], method="ridge")
    mapped = projection.apply(OLD)
    value = judge(mapped).expected_retention.value
    verdicts = [
        judge(mapped, thresholds=Thresholds(passing, failing)).verdict
        for passing, failing in ((value - 0.01, 0), (1, value - 0.01), (1, value + 0.01))
    ]
    assert verdicts == ["PASS", "WARN", "FAIL"]
    with pytest.raises(LightmigrateError, match=r"0 ≤ 0.9 \(failing\) ≤ 0.5"):
        Thresholds(0.5, 0.9)


def test_few_queries_cannot_pass() -> None:
    few = FEWEST_QUERIES - 1
    said = gate(true=NEW, projected=NEW, queries=near(NEW)[:few], taken_from=range(few))
    assert (said.verdict, "too few" in said.reason) == ("WARN", True)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(LightmigrateError, match="the gate needs at least 3"):
        gate(true=NEW[:2], projected=NEW[:2], queries=NEW[:2], taken_from=[0, 1])
    with pytest.raises(LightmigrateError, match="the gate needs"):
        gate(true=NEW, projected=NEW[:5], queries=NEW[:2], taken_from=[0, 1])
    with pytest.raises(LightmigrateError, match="the gate needs"):
        gate(true=NEW, projected=NEW, queries=NEW[:0], taken_from=[])


def test_what_users_asked_is_judged_by_overlap_alone() -> None:
    queries = CORPUS.new_queries
    said = gate(true=NEW, projected=NEW, queries=queries, taken_from=None)
    assert (said.verdict, said.by_users, said.migrated.recall) == ("PASS", True, None)
    shuffled = NEW[np.random.default_rng(5).permutation(N)]
    assert gate(true=NEW, projected=shuffled, queries=queries, taken_from=None).verdict == "FAIL"


@pytest.mark.parametrize(("metric", "size"), [("l2", 0.01), ("l2", 0.5), ("l2", 2.0), ("ip", 0.01), ("ip", 5.0)])
def test_vectors_that_cannot_be_found_beside_new_documents_fail(metric: Metric, size: float) -> None:
    """Their order is right and their cosines are 1, but one of both kinds is found instead of the other."""
    scaled = size * NEW
    judged = judge(scaled, 0.5, metric=metric)
    assert judged.metric == metric
    assert judged.verdict == "FAIL"
    assert judged.beside_exact.value < 0.5
    assert "beside new documents they find" in judged.reason
    assert judge(scaled, metric="cosine").verdict == "PASS"


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_a_projection_is_judged_by_the_distance_of_its_collection(metric: Metric) -> None:
    lengths = np.random.default_rng(6).uniform(0.5, 2, (N, 1))
    true = lengths * NEW
    queries = near(NEW)
    identical = gate(true=true, projected=true, queries=queries, taken_from=range(N), metric=metric)
    assert identical.expected_retention.value == identical.beside_exact.value == 1
    without_lengths = gate(true=true, projected=NEW, queries=queries, taken_from=range(N), metric=metric)
    assert (without_lengths.migrated.overlap.value == 1) is (metric == "cosine")


@pytest.mark.parametrize("pairs_number", [60, 100])
@pytest.mark.parametrize("method", ["ridge", "kernel", "averaged"])
def test_a_sound_projection_loses_nothing_for_exact_rows_beside_it(method: Method, pairs_number: int) -> None:
    documents = CORPUS.documents[:pairs_number]
    sentences, rows = pseudo_queries(documents, most=pairs_number)
    true, queries = (shared_wordllama().embed(texts) for texts in (documents, sentences))
    pairs = fit_pairs(
        CORPUS.old_documents[:pairs_number], true, documents, method=method, words=None, extracts=None, prior=None,
        landmarks=1000, seed=0, source_model=None, target_model=None,
    )  # fmt: skip
    judged = gate(true=true, projected=pairs.held_out, queries=queries, taken_from=rows)
    assert judged.beside_exact.value >= SOUND_BESIDE_EXACT * judged.migrated.overlap.value
    assert "beside new documents" not in judged.reason
