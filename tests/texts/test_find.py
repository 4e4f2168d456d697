"""Where the embedded texts come from is proposed from the records and checked, with a model or by the vectors alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import AmbiguousTextsError
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.base import Address, Page
from lightmigrate.texts.candidates import text_fields
from lightmigrate.texts.explained import errors_of
from lightmigrate.texts.find import found_in
from lightmigrate.texts.forms import DOCUMENT, FieldForm, TemplateForm
from lightmigrate.texts.llamaindex import LlamaIndexForm
from lightmigrate.texts.openwebui import OpenWebUIForm
from tests.encoders import shared_wordllama

DOCUMENTS = [text[:300] for text in load_corpus().documents[:400]]
AUTHORS = ["Ana Meyer of Basel", "Bo Ito of Osaka", "Chi Diallo of Dakar", "Dee Novak of Brno"]
PLACE = Address("notes")


def words(texts: Sequence[str]) -> Any:
    return shared_wordllama(64).embed(texts)


def other_words(texts: Sequence[str]) -> Any:
    return shared_wordllama(128).embed(texts)


def page_of(
    embedded: Sequence[str],
    documents: Sequence[str | None],
    metadata: Callable[[int], dict[str, Any]] = lambda row: {},
    encode: Callable[[Sequence[str]], Any] = words,
) -> Page:
    payloads = [{"metadata": metadata(row)} for row in range(len(embedded))]
    return Page([str(row) for row in range(len(embedded))], encode(embedded), documents, payloads)


def node(row: int) -> dict[str, Any]:
    content = {"metadata": {"author": AUTHORS[row % 4], "part": f"batch {row % 7}"}, "class_name": "TextNode"}
    return {"author": AUTHORS[row % 4], "_node_content": json.dumps(content), "_node_type": "TextNode"}


def with_metadata(row: int) -> str:
    return f"author: {AUTHORS[row % 4]}\npart: batch {row % 7}\n\n{DOCUMENTS[row]}"


NODES = [with_metadata(row) for row in range(400)]


def memory(row: int) -> dict[str, Any]:
    return {"data": DOCUMENTS[row], "user_id": f"user-{row % 9}", "created_at": "2026-03-01T10:00:00-08:00"}


def test_documents_need_no_check() -> None:
    found = found_in(page_of(DOCUMENTS, DOCUMENTS), PLACE)
    assert (found.form, found.how, str(found)) == (DOCUMENT, "only", "the document")
    assert found.without_text == 0


def test_nodes_of_llamaindex_are_told_from_their_documents_by_the_vectors_alone() -> None:
    found = found_in(page_of(NODES, DOCUMENTS, node), PLACE)
    assert (found.form, found.how) == (LlamaIndexForm(), "explained")
    assert "metadata" in str(found)


def test_what_is_measured_is_believed_before_what_the_records_say() -> None:
    """An application that stores nodes, and embeds their text alone."""
    found = found_in(page_of(DOCUMENTS, DOCUMENTS, node), PLACE)
    assert (found.form, found.how) == (DOCUMENT, "explained")


@pytest.mark.parametrize(("embedded", "form"), [(NODES, LlamaIndexForm()), (DOCUMENTS, DOCUMENT)])
def test_a_model_at_hand_decides(embedded: list[str], form: Any) -> None:
    few = slice(0, 12)  # too few to tell by the vectors alone
    page = page_of(embedded[few], DOCUMENTS[few], node)
    assert found_in(page, PLACE).how == "application"
    found = found_in(page, PLACE, ChromaProvider(words))
    assert (found.form, found.how) == (form, "measured")
    assert "median cosine of 1.000" in str(found)


def test_another_model_decides_nothing() -> None:
    found = found_in(page_of(NODES, DOCUMENTS, node), PLACE, ChromaProvider(other_words))
    assert found.how == "explained"


def test_the_only_field_that_looks_like_a_text_is_found_and_explains_the_vectors() -> None:
    found = found_in(page_of(DOCUMENTS, [None] * 400, memory), PLACE)
    assert (found.form, found.how, found.unexplained) == (FieldForm("data"), "only", False)
    found.require_decided()
    assert "the metadata field 'data', which explains" in str(found)


def test_a_field_that_does_not_explain_the_vectors_is_not_taken() -> None:
    page = page_of(DOCUMENTS, [None] * 400, lambda row: {"data": DOCUMENTS[(row * 7 + 3) % 400]})
    with pytest.raises(AmbiguousTextsError, match=r"does not explain the vectors.*--text-field data"):
        found_in(page, PLACE).require_decided()


def test_of_two_fields_the_one_that_explains_more_is_taken() -> None:
    page = page_of(DOCUMENTS, [None] * 400, lambda row: {**memory(row), "label": DOCUMENTS[row - 1][:80]})
    found = found_in(page, PLACE)
    assert (found.form, found.how) == (FieldForm("data"), "explained")


def test_two_fields_that_cannot_be_told_apart_are_put_to_the_user() -> None:
    def twice(row: int) -> dict[str, Any]:
        return {"summary": f"{DOCUMENTS[row]} about it", "body": f"{DOCUMENTS[row]} in short"}

    found = found_in(page_of([twice(row)["body"] for row in range(400)], [None] * 400, twice), PLACE)
    assert found.how == "undecided"
    with pytest.raises(AmbiguousTextsError, match="--text-field") as caught:
        found.require_decided()
    assert len(caught.value.candidates) == 2
    assert all(option in str(caught.value) for option in ("--text-field summary", "--text-field body"))


def test_a_title_before_the_document_is_proposed_where_it_is_asked_for() -> None:
    titled = [f"{AUTHORS[row % 4]} number {row % 50} on record\n{DOCUMENTS[row]}" for row in range(400)]
    page = page_of(titled, DOCUMENTS, lambda row: {"title": titled[row].splitlines()[0]})
    assert found_in(page, PLACE).form == DOCUMENT
    found = found_in(page, PLACE, ChromaProvider(words), beside_documents=True)
    assert (found.form, found.how) == (TemplateForm("{title}\n{document}"), "measured")


def test_a_title_is_never_taken_for_embedded_because_its_words_explain_the_vectors() -> None:
    """They do so also where it was not embedded: real encoders find the subject in the text."""
    corpus = load_corpus()
    titles = [text.partition(". ")[0] for text in corpus.documents[:400]]
    page = replace(  # all-MiniLM-L6-v2's vectors of abstracts that begin with their title
        page_of(corpus.documents[:400], corpus.documents[:400], lambda row: {"title": titles[row]}),
        vectors=corpus.new_documents[:400],
    )
    found = found_in(page, PLACE, beside_documents=True)
    assert found.form == DOCUMENT
    assert found.perhaps == TemplateForm("{title}\n{document}"), "which is why it is only mentioned"


def test_open_webui_is_known_by_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text.replace(". ", ".\n") for text in DOCUMENTS]
    config = {"embedding_config": json.dumps({"engine": "", "model": "m"}), "file_id": "f"}
    page = page_of([text.replace("\n", " ") for text in texts], texts, lambda row: config)
    found = found_in(page, PLACE)
    assert (found.form, found.how) == (OpenWebUIForm(), "application")
    monkeypatch.setenv("RAG_EMBEDDING_CONTENT_PREFIX", "passage: ")
    assert found_in(page, PLACE).form == OpenWebUIForm("passage: ")
    assert found_in(page, PLACE, ChromaProvider(words)).form == OpenWebUIForm()


@pytest.mark.parametrize(
    "value",
    [
        "user-7",
        "2026-03-01 10:00:00",
        "https://a.example/b c",
        "/data/a file.pdf",
        "d41d8cd98f00b204",
        '{"a": 1, "b": 2}',
    ],
)
def test_what_is_no_text_is_not_taken_for_one(value: str) -> None:
    assert text_fields([{"field": f"{value}"} for row in range(20)]) == []


def test_a_script_without_spaces_is_a_text() -> None:
    assert text_fields([{"记忆": f"用户喜欢在周末去山里徒步旅行{'很多' * row}"} for row in range(20)]) == ["记忆"]


def test_records_without_any_text_are_counted() -> None:
    found = found_in(page_of(DOCUMENTS, [None] * 400), PLACE)
    assert (found.form, found.without_text, found.sampled) == (DOCUMENT, 400, 400)
    assert str(found) == "no record has a text"


def test_random_vectors_are_explained_by_nothing() -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 32)).astype(np.float32)
    assert not errors_of(DOCUMENTS[:200], vectors).explanation().clear
