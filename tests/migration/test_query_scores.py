"""How distances from users' queries moved, with both models at hand: real encoders, real documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import lightmigrate
from lightmigrate import Migrator, Projection
from lightmigrate.cli.app import main
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Metric, Vectors
from tests.encoders import WordLlamaFunction, shared_wordllama

CORPUS = load_corpus()
ROWS, QUERIES = 250, CORPUS.queries[:60]
OLD, NEW = 64, 256


def build(folder: Path, metric: Metric) -> tuple[Path, Projection, Vectors]:
    """A database of the old model, a projection, and the vectors that it will hold."""
    old, new = (shared_wordllama(dimension).embed(CORPUS.documents[:ROWS]) for dimension in (OLD, NEW))
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None, configuration={"hnsw": {"space": metric}}).add(
            ids=CORPUS.ids[:ROWS], embeddings=old
        )
    projection = lightmigrate.fit(old[:200], new[:200], method="ridge")
    return folder, projection, projection.apply(old)


def true_distances(queries: Vectors, vectors: Vectors, metric: Metric) -> Vectors:
    distances = 1 - queries @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    if metric == "l2":
        distances = ((queries[:, None] - vectors[None]) ** 2).sum(axis=2)
    return np.sort(distances, axis=1)[:, :10]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_the_share_of_what_users_find_is_kept(metric: Metric, tmp_path: Path) -> None:
    folder, projection, projected = build(tmp_path / "home" / "db", metric)
    stored = shared_wordllama(OLD).embed(CORPUS.documents[:ROWS])
    before = true_distances(shared_wordllama(OLD).embed(QUERIES), stored, metric)
    now = true_distances(shared_wordllama(NEW).embed(QUERIES), projected, metric)
    models = WordLlamaFunction(OLD), WordLlamaFunction(NEW)
    threshold = float(np.quantile(before, 0.4))
    if metric == "cosine":
        migrator = Migrator(folder)
        migrator.migrate_collection("notes", projection)
        (shift,) = Migrator(folder).measure_scores(QUERIES, *models, thresholds=[threshold])
    else:
        with open_client(folder) as client:
            Migrator(client).migrate_collection("notes", projection)
            (shift,) = Migrator(client).measure_scores(QUERIES, *models, thresholds=[threshold])
    assert (shift.measured_from, shift.samples, shift.before.metric) == ("queries", len(QUERIES), metric)
    np.testing.assert_allclose(np.sort(shift.before.neighbours, axis=0), np.sort(before, axis=0), atol=1e-4)
    np.testing.assert_allclose(np.sort(shift.now.neighbours, axis=0), np.sort(now, axis=0), atol=1e-4)
    (found,) = shift.thresholds
    assert found.share == pytest.approx(0.4, abs=0.01)
    assert np.mean(now <= found.now) == pytest.approx(0.4, abs=0.01)


def test_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    folder, projection, _ = build(tmp_path / "home" / "db", "cosine")
    (tmp_path / "asked.txt").write_text("\n".join(QUERIES))
    Migrator(folder).migrate_collection("notes", projection)

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return int(ended.value.code or 0), *capsys.readouterr()

    models: list[str] = []
    for side, dimension in (("source", OLD), ("target", NEW)):
        function = json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": dimension}})
        models += [f"--{side}-provider", "chroma", f"--{side}-model", function]
    asked = ["status", folder, "--thresholds", ".4", "--queries", tmp_path / "asked.txt"]
    code, out, err = run(*asked, *models)
    assert code == 0, err
    assert f"measured with {len(QUERIES)} queries" in out
    code, _, err = run(*asked)
    assert (code, "--queries needs both models" in err) == (1, True)
    code, _, err = run(*asked, *models[4:], *(word.replace("target", "source") for word in models[4:]))
    assert (code, f"no backup holds a collection with {NEW} dimensions that has {NEW} now" in err) == (1, True)
    assert "clean" in err


def test_without_queries_there_is_nothing_to_measure(tmp_path: Path) -> None:
    folder, _, _ = build(tmp_path / "home" / "db", "cosine")
    models = WordLlamaFunction(OLD), WordLlamaFunction(NEW)
    with pytest.raises(LightmigrateError, match="there are no queries to measure with"):
        Migrator(folder).measure_scores([], *models)
    with pytest.raises(LightmigrateError, match="no backup holds a collection with 64 dimensions"):
        Migrator(folder).measure_scores(QUERIES, *models)
