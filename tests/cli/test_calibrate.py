"""`lightmigrate migrate --calibrate`: learned, judged, shown, asked, migrated, in one command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.cli.app import main
from lightmigrate.stores.chroma.client import open_client
from tests.databases import folder_hash
from tests.encoders import MiniLMFunction, WordLlamaFunction, shared_wordllama
from tests.startup.starts import CORPUS, MINILM, ROWS, database_of, stored

MODEL = json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": 256}})


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return database_of(MINILM, tmp_path / "home" / "chroma_data", function=MiniLMFunction())


Migrate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def migrate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Migrate:
    """Runs `migrate --calibrate 60` with a Chroma function, and returns exit code, stdout and stderr."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def run(database: Path, *words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["migrate", str(database), "--calibrate", "60", "--target-provider", "chroma", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_in_one_command(migrate: Migrate, database: Path) -> None:
    code, out, messages = migrate(database, "--target-model", MODEL, "--force", "--yes", "--json")
    assert code == 0
    (result,) = json.loads(out)
    assert (result["n_migrated"], result["current_dim"]) == (ROWS, 256)
    assert "searches are expected to keep" in messages
    assert stored(database).shape == (ROWS, 256)
    with open_client(database) as client:  # records itself
        collection = client.get_collection("memory", embedding_function=WordLlamaFunction())
        begun = [text[:200] for text in CORPUS.documents[:20]]
        answers = collection.query(query_texts=begun, n_results=10)["ids"]
    own = [identifier in answer for identifier, answer in zip(CORPUS.ids, answers, strict=False)]
    assert sum(own) > len(begun) / 2  # by chance it is one of them


@pytest.mark.parametrize(("words", "said"), [
    ((), "needs the new model"),
    (("--target-model", MODEL, "--projection", "x.npz"), "give --target-model MODEL"),
    (("--target-model", MODEL, "--force"), "yes"),  # nobody can be asked here
    (("--target-model", MODEL, "--collection", "nowhere", "--yes"), "no collection nowhere in"),
])  # fmt: skip
def test_refusals_leave_the_database_alone(words: tuple[str, ...], said: str, migrate: Migrate, database: Path) -> None:
    vectors = stored(database)
    before = folder_hash(database)
    code, _, message = migrate(database, *words, "--json")
    assert code in (1, 2)
    assert said in message
    assert folder_hash(database) == before
    np.testing.assert_array_equal(stored(database), vectors)
    assert [path.name for path in database.parent.iterdir()] == ["chroma_data"]


def test_vectors_of_the_model_in_another_length_are_computed(migrate: Migrate, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "chroma_data"
    long = 8 * shared_wordllama().embed_long(CORPUS.documents[:ROWS])
    client = open_client(folder)
    collection = client.create_collection("memory", configuration={"hnsw": {"space": "l2"}}, embedding_function=None)
    ids = [str(row) for row in range(ROWS)]
    collection.add(ids=ids, documents=CORPUS.documents[:ROWS], embeddings=list(long))
    client.close()
    code, out, message = migrate(folder, "--target-model", MODEL, "--yes", "--json")
    assert code == 0, message
    assert "same model, other form" in message
    assert "nothing is learned" in message
    assert json.loads(out)[0]["n_migrated"] == ROWS
    np.testing.assert_allclose(stored(folder), shared_wordllama().embed(CORPUS.documents[:ROWS]), atol=1e-6)
