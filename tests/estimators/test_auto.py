"""What `fit` does beside fitting: choosing, restoring the spread, building on a prior, knowing its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Projection, fit, measure_retention
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.methods import Fits, Pairs
from lightmigrate.estimators.undo_shrinkage import MOST, undo_shrinkage
from tests.estimators.test_methods import gaussian

CORPUS = load_corpus()
OLD, NEW, TEXTS = CORPUS.old_documents, CORPUS.new_documents, CORPUS.documents
PAIRS = 400  # to learn from; the others judge


def test_held_out_predictions_come_from_fits_without_the_pair() -> None:
    """Moving one target far away must not move what is predicted for that pair."""
    X, Y = gaussian(40, 6), gaussian(40, 5, seed=1)
    moved = Y.copy()
    moved[7] += 1000
    for method in ("ridge", "procrustes"):
        before, after = (Fits(Pairs(X, target, None, None, None, 100, 0))[method].held_out[7] for target in (Y, moved))
        assert np.linalg.norm(before - after) < 100  # ridge's penalty still depends on all pairs


def test_restoring_gives_predictions_the_variance_of_the_truth_in_every_direction() -> None:
    true = gaussian(400, 8) * np.linspace(1, 3, 8)
    centre = true.mean(axis=0)
    _, V = np.linalg.eigh((true - centre).T @ (true - centre))
    shrunk = centre + ((true - centre) @ V * np.linspace(0.4, 1, 8)) @ V.T
    restored = centre + (shrunk - centre) @ undo_shrinkage(true, shrunk)
    np.testing.assert_allclose(restored, true, atol=1e-9)


def test_restoring_never_shrinks_nor_makes_noise_of_nothing() -> None:
    true = gaussian(20, 30)  # more directions than pairs
    for predicted in (2 * true, np.zeros_like(true), np.ones_like(true), 1e-3 * true):
        factors = np.linalg.eigvalsh(undo_shrinkage(true, predicted))
        assert factors.min() >= 1 - 1e-9
        assert factors.max() <= MOST + 1e-9


def test_search_among_held_out_vectors_counts_shared_neighbours() -> None:
    true = gaussian(60, 8)
    searches = HeldOutSearch(true, seed=0)
    assert searches.overlaps(true).mean() == 1
    assert searches.overlaps(-true).mean() < 0.1
    assert searches.certain_gain(searches.overlaps(true), searches.overlaps(-true)) > 0.9
    assert searches.certain_gain(searches.overlaps(true), searches.overlaps(true)) == 0


def test_the_chosen_method_is_never_certainly_or_noticeably_worse_than_the_best() -> None:
    for pairs in (60, 300):
        tried = fit(OLD[:pairs], NEW[:pairs], TEXTS[:pairs]).info.training["tried"]
        (chosen,) = [trial for trial in tried if trial["chosen"]]
        assert chosen["overlap"] >= max(trial["overlap"] for trial in tried) - 0.0011


def test_averaging_is_the_mean_of_a_rotation_and_a_kernel() -> None:
    averaged, procrustes, lexical = (
        fit(OLD[:300], NEW[:300], TEXTS[:300], method=method).apply(OLD[300:], TEXTS[300:])
        for method in ("averaged", "procrustes", "lexical")
    )
    to_mean = np.sum(averaged * (procrustes + lexical), axis=1) / np.linalg.norm(procrustes + lexical, axis=1)
    assert to_mean.mean() > 0.99


def test_a_prior_made_elsewhere_helps_where_pairs_are_few() -> None:
    prior = fit(OLD[1000:1100], NEW[1000:1100], method="ridge")
    alone = fit(OLD[:60], NEW[:60], method="ridge")
    together = fit(OLD[:60], NEW[:60], method="ridge", prior=prior)
    mapped = {name: p.apply(OLD[60:600]) for name, p in (("alone", alone), ("together", together), ("prior", prior))}
    error = {name: float(np.mean((rows - NEW[60:600]) ** 2)) for name, rows in mapped.items()}
    assert error["together"] < error["alone"]
    assert error["together"] < error["prior"]
    assert together.info.training["prior"]["pairs"] == 100


def test_auto_with_a_prior_keeps_all_its_terms(tmp_path: Path) -> None:
    prior = fit(OLD[600:900], NEW[600:900], TEXTS[600:900], method="lexical")
    adapted = fit(OLD[:200], NEW[:200], TEXTS[:200], prior=prior)
    loaded = Projection.load(adapted.save(tmp_path / "adapted.npz"))
    np.testing.assert_array_equal(
        loaded.apply(OLD[200:300], TEXTS[200:300]), adapted.apply(OLD[200:300], TEXTS[200:300])
    )
    plain = fit(OLD[:200], NEW[:200], TEXTS[:200])
    error = {
        name: float(np.mean((projection.apply(OLD[900:], TEXTS[900:]) - NEW[900:]) ** 2))
        for name, projection in (("plain", plain), ("adapted", adapted))
    }
    assert error["adapted"] < error["plain"]


def test_a_prior_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ProjectionError, match="the prior projects 3 → 2, the pairs 4 → 2"):
        fit(gaussian(9, 4), gaussian(9, 2), prior=fit(gaussian(9, 3), gaussian(9, 2)))
    first = fit(gaussian(9, 4), np.abs(gaussian(9, 4)), method="kernel")
    with pytest.raises(ProjectionError, match="not a chain"):
        fit(gaussian(9, 4), gaussian(9, 4), prior=first.then(first))


@pytest.mark.parametrize("method", ["ridge", "procrustes", "low_rank", "kernel", "lexical", "averaged"])
def test_uncertainty_says_how_far_off_unseen_vectors_are(method: Any, tmp_path: Path) -> None:
    projection = Projection.load(fit(OLD[:PAIRS], NEW[:PAIRS], TEXTS[:PAIRS], method=method).save(tmp_path / "p.npz"))
    expected = projection.uncertainty(OLD[PAIRS:], TEXTS[PAIRS:])
    true = np.sum((projection.apply(OLD[PAIRS:], TEXTS[PAIRS:]) - NEW[PAIRS:]) ** 2, axis=1)
    assert expected.shape == (len(OLD) - PAIRS,)
    assert expected.dtype == np.float32
    assert expected.mean() == pytest.approx(true.mean(), rel=0.1)
    assert np.corrcoef(expected, true)[0, 1] > 0.3


def test_uncertainty_is_unknown_for_chains_and_hand_made_maps() -> None:
    projection = fit(gaussian(30, 4), gaussian(30, 4, seed=1))
    with pytest.raises(ProjectionError, match="has no estimate of its errors"):
        projection.then(projection).uncertainty(gaussian(3, 4))
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        projection.uncertainty(gaussian(1, 4)[0])


def test_what_people_find_is_not_lost_by_restoring_the_spread() -> None:
    """Human claims and judgements, over abstracts none of which was fitted to."""
    restored = fit(OLD[:PAIRS], NEW[:PAIRS], TEXTS[:PAIRS])
    training = restored.info.training
    assert training["spread_restored"] is True
    plain = fit(OLD[:PAIRS], NEW[:PAIRS], TEXTS[:PAIRS], method=training["method"])
    relevant = [{row - PAIRS: grade for row, grade in grades.items() if row >= PAIRS} for grades in CORPUS.relevant]
    kept = [
        measure_retention(
            old_queries=CORPUS.old_queries,
            new_queries=CORPUS.new_queries,
            old_documents=OLD[PAIRS:],
            new_documents=NEW[PAIRS:],
            migrated_documents=projection.apply(OLD[PAIRS:], TEXTS[PAIRS:]),
            relevant=relevant,
        ).retention.value
        for projection in (plain, restored)
    ]
    assert kept[1] > kept[0] - 0.01


def test_records_without_a_text_are_mapped_as_if_texts_had_never_been_read(tmp_path: Path) -> None:
    projection = Projection.load(fit(OLD[:400], NEW[:400], TEXTS[:400], method="lexical").save(tmp_path / "p.npz"))
    kernel = fit(OLD[:400], NEW[:400], method="kernel")
    texts: list[str | None] = [*TEXTS[400:500], *[None, "", " \n"] * 20]
    mapped = projection.apply(OLD[400:560], texts)
    np.testing.assert_allclose(mapped[100:], kernel.apply(OLD[500:560]), atol=1e-5)
    np.testing.assert_allclose(projection.apply(OLD[400:560]), kernel.apply(OLD[400:560]), atol=1e-5)
    np.testing.assert_array_equal(mapped[:100], projection.apply(OLD[400:500], TEXTS[400:500]))
    assert not np.allclose(mapped[:100], kernel.apply(OLD[400:500]), atol=1e-2)
    unsure = projection.uncertainty(OLD[400:560], texts)
    assert unsure[100:].mean() > unsure[:100].mean()


def test_a_graph_of_a_projection_that_reads_is_the_map_for_records_without_text(tmp_path: Path) -> None:
    projection = fit(OLD[:200], NEW[:200], TEXTS[:200], method="lexical")
    graph = Projection.load(projection.export_onnx(tmp_path / "p.onnx"))
    np.testing.assert_allclose(graph.apply(OLD[200:220]), projection.apply(OLD[200:220]), atol=1e-5)
