"""The training package with torch. Not part of the default run, which must not need torch: `make check-train`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightmigrate import Model, Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.quality.metrics import cross_space_similarity, mean_cosine
from lightmigrate_train import fit_linear


def test_it_learns_what_a_closed_form_learns_in_one_step(tmp_path: Path) -> None:
    corpus = load_corpus()
    old, new = corpus.old_documents, corpus.new_documents
    models = {"source_model": Model("old", 256), "target_model": Model("new", 384)}
    trained = fit_linear(old[:600], new[:600], epochs=30, **models)
    closed = fit(old[:600], new[:600], **models)
    again = Projection.load(trained.save(tmp_path / "p.npz"))
    quality = {name: mean_cosine(new[600:], p.apply(old[600:])) for name, p in (("trained", again), ("closed", closed))}
    assert 0.5 < quality["trained"] < quality["closed"] + 0.02
    assert cross_space_similarity(new[600:], again.apply(old[600:])) > 0.3


def test_the_same_seed_gives_the_same_projection() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(64, 6)), rng.normal(size=(64, 5))
    models = {"source_model": Model("old", 6), "target_model": Model("new", 5)}
    one, other = (fit_linear(old, new, epochs=3, seed=7, **models) for _ in range(2))
    np.testing.assert_array_equal(one.apply(old), other.apply(old))
