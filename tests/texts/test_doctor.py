"""`doctor` says where the embedded texts come from, while the database is in use, and how to choose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import Migrator
from lightmigrate.cli.app import main
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.encoders import shared_wordllama

TEXTS = [text[:300] for text in load_corpus().documents[:150]]
ROWS = len(TEXTS)


def write(folder: Path, metadatas: Sequence[Any], documents: Sequence[Any] | None = None) -> Path:
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(ROWS)],
            embeddings=shared_wordllama(64).embed(TEXTS),
            metadatas=list(metadatas),
            documents=documents,
        )
    return folder


def doctor(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(folder)])
    assert not ended.value.code
    return " ".join(capsys.readouterr().out.split())


def test_a_field_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = doctor(write(tmp_path, [{"data": text} for text in TEXTS]), capsys)
    assert "what was embedded in notes: the metadata field 'data', which explains" in said


def test_two_fields_are_put_to_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = doctor(write(tmp_path, [{"body": f"{text} one", "gist": f"{text} two"} for text in TEXTS]), capsys)
    assert "choose for train, plan and migrate: --text-field body or --text-field gist" in said


def test_records_without_a_text_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [text if row % 3 else None for row, text in enumerate(TEXTS)]
    said = doctor(write(tmp_path, [{"row": row} for row in range(ROWS)], documents), capsys)
    assert "notes: 50 of 150 sampled records have no text" in said


def test_no_text_at_all_is_said_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = doctor(write(tmp_path, [{"row": row} for row in range(ROWS)]), capsys)
    assert "give the texts by id (--texts FILE.jsonl)" in said


def test_documents_are_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = doctor(write(tmp_path, [{"title": f"A title of {row % 20} words"} for row in range(ROWS)], TEXTS), capsys)
    assert "embedded" not in said.partition("recorded function")[2]


def test_a_title_that_may_have_been_embedded_is_mentioned_and_not_taken_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = load_corpus()
    documents = corpus.documents[:400]
    with open_client(tmp_path) as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=corpus.ids[:400],
            embeddings=corpus.new_documents[:400],
            metadatas=[{"title": text.partition(". ")[0]} for text in documents],
            documents=documents,
        )
    said = doctor(tmp_path, capsys)
    assert "notes: a template of the metadata and the document (title, document) may have been embedded" in said
    assert r"If it was: --text-template '{title}\n{document}'" in said
    assert "what was embedded in notes" not in said


def test_what_was_found_is_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [{"data": text} for text in TEXTS])
    with pytest.raises(SystemExit):
        main(["doctor", str(tmp_path), "--json"])
    texts = json.loads(capsys.readouterr().out)["texts"]["notes"]
    assert (texts["how"], texts["candidates"][0]["texts"]) == ("only", "the metadata field 'data'")


def test_an_open_store_of_another_kind_is_looked_at_as_well() -> None:
    database = MemoryDatabase()
    address = Address("notes")
    database.create_collection(address, 64)
    store = MemoryStore(database)
    vectors = shared_wordllama(64).embed(TEXTS)
    payloads = [{"metadata_": {"data": text}, "rank": row} for row, text in enumerate(TEXTS)]
    store.collection(address).add(Page([str(row) for row in range(ROWS)], vectors, [None] * ROWS, payloads))
    found = Migrator(store).diagnose().texts["notes"]
    assert str(found).startswith("the metadata field 'data'")
    assert found.to_json()["without_text"] == 0


def test_the_options_are_those_of_train_plan_migrate_and_bridge(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "plan", "migrate", "bridge"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "--text-field" in capsys.readouterr().out, command
