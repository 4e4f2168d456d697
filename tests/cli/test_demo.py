"""The demo does the whole job, and its numbers are honest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from lightmigrate import ChromaMigrator
from lightmigrate.demo.data import load_corpus, load_projection
from lightmigrate.quality.metrics import mean_cosine


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lightmigrate", "demo", "--folder", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_it_tells_the_whole_story_and_leaves_the_folder(tmp_path: Path) -> None:
    done = demo(tmp_path)
    for part in (
        "1,200 scientific abstracts, embedded by potion-base-8M",
        "1,200 records of 256 dimensions, the new model has 384",
        "verified: every id, text, payload and vector",
        "doing nothing",
        "embedding everything again",
        "300 searches in 1,200 documents, none of them used to fit the projection",
        "before: old model",
    ):
        assert part in done.stdout
    database = tmp_path / "lightmigrate_demo" / "chroma_data"
    assert done.stdout.rstrip().endswith(f"lightmigrate rollback {database}")
    migrator = ChromaMigrator(database)
    assert [facts.dimension for facts in migrator.collections()] == [384]
    migrator.rollback()
    assert [facts.dimension for facts in migrator.collections()] == [256]


def test_a_second_demo_gets_a_folder_of_its_own_and_the_same_numbers(tmp_path: Path) -> None:
    first, second = (json.loads(demo(tmp_path, "--json").stdout) for _ in range(2))
    assert Path(first["path"]).parent.name == "lightmigrate_demo"
    assert Path(second["path"]).parent.name == "lightmigrate_demo_2"
    assert first["retention"] == second["retention"]
    retention = first["retention"]
    assert 0 < retention["nothing"]["value"] < retention["reembedded"]["value"] < 1
    assert 0 < retention["migrated"]["value"] < retention["reembedded"]["value"]
    assert len(first["searches"]) == 3


def test_the_data_is_real_and_belongs_together() -> None:
    corpus = load_corpus()
    assert len(corpus.ids) == len(set(corpus.ids)) == len(corpus.documents) == 1200
    assert corpus.old_documents.shape == (1200, 256)
    assert corpus.new_documents.shape == (1200, 384)
    assert len(corpus.queries) == len(corpus.old_queries) == len(corpus.new_queries) == 300
    assert all(grades for grades in corpus.relevant)
    np.testing.assert_allclose(np.linalg.norm(corpus.new_documents, axis=1), 1, atol=1e-3)
    projection = load_projection()
    assert mean_cosine(corpus.new_documents, projection.apply(corpus.old_documents)) > 0.7
