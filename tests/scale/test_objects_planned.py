"""What needs the texts of a dataset in an object store: a projection trained on it, and a budget plan for it."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lightmigrate.objects import dataset_path
from lightmigrate.vectors import Vectors
from tests.cli.calls import run
from tests.encoders import WordLlamaFunction
from tests.providers.embedding_server import KEY, running_server
from tests.scale.here import in_this_process
from tests.scale.object_server import ObjectServer, objects_in
from tests.scale.objects import Dataset, client
from tests.scale.planned import FILES, ROWS, build, by_one_process, require_equal

TARGET = (
    "--target-provider",
    "chroma",
    "--target-model",
    json.dumps({"name": "test_wordllama", "config": {"dimension": 256}}),
)


@in_this_process
def test_it_is_trained_on_and_migrated_by_a_plan(
    dataset: Dataset,
    server: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert WordLlamaFunction.name() == "test_wordllama"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as model:
        case = build(tmp_path / "case", model)
        place = f"{dataset.bucket}/of-abstracts/vectors"
        for path in case.folder.glob("*.parquet"):
            client().pipe_file(f"{place}/{path.name}", path.read_bytes())
        address = f"s3://{place}"

        words = ["--samples", 100, "--passing", 0, "--failing", 0, "--yes", "--json"]
        trained = json.loads(run(capsys, "train", "--from", address, *TARGET, *words))
        assert trained["gate"]["n_documents"] == 100

        expected = by_one_process(case)
        model.texts.clear()
        words = ["migrate", address, "--plan", case.plan, "--cache", case.cache, "--workers", 2, "--force", "--yes"]
        done = json.loads(run(capsys, *words, "--json"))
    assert done["vectors"] == FILES * ROWS
    assert done["exact"] > 0
    assert not [text for text, count in Counter(case.asked()).items() if count > 1]
    found: dict[str, Vectors] = {}
    for data in objects_in(dataset_path(address).removeprefix("s3://")).values():
        table = pq.read_table(io.BytesIO(data))
        vectors = np.asarray(table.column("embedding").to_pylist(), np.float32)
        found.update(zip(table.column("id").to_pylist(), vectors, strict=True))
    require_equal(found, expected)
    assert "bit by bit" in run(capsys, "verify", address)
