"""A form puts the embedded text together from a record, and is kept in files."""

from __future__ import annotations

import pytest

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Page
from lightmigrate.texts.fields import fields_of
from lightmigrate.texts.forms import DOCUMENT, FieldForm, TemplateForm, TextForm
from lightmigrate.texts.llamaindex import LlamaIndexForm
from lightmigrate.texts.openwebui import OpenWebUIForm
from lightmigrate.texts.source import TextSource, chosen_form, form_from_json, form_to_json
from lightmigrate.vectors import as_vectors

FORMS: list[TextForm] = [
    DOCUMENT,
    FieldForm("data"),
    TemplateForm("{title}\n{document}"),
    LlamaIndexForm(),
    OpenWebUIForm("passage: "),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
def test_a_form_is_read_back_from_a_file_as_it_was(form: TextForm) -> None:
    assert form_from_json(form_to_json(form)) == form


@pytest.mark.parametrize(
    "content", [{"kind": "other"}, {"kind": "field"}, {"kind": "document", "field": "x"}, {"a": 1}]
)
def test_a_file_with_an_unknown_form_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(LightmigrateError, match="give --text-field NAME or --text-template TEMPLATE"):
        form_from_json(content)


def test_fields_stand_at_the_top_of_a_payload_or_in_an_object_of_it() -> None:
    assert fields_of(None) == {}
    assert fields_of({"title": "T", "rank": 1})["title"] == "T"
    assert fields_of({"metadata": {"data": "text", "uri": "inner"}, "uri": "outer"}) == {
        "data": "text",
        "uri": "outer",
        "metadata": {"data": "text", "uri": "inner"},
    }


def test_a_field_that_a_record_lacks_gives_way_to_the_document() -> None:
    form = FieldForm("data")
    assert form.text(None, {"data": "a memory"}) == "a memory"
    assert form.text("a document", {"data": " "}) == "a document"
    assert form.text(None, {"data": 3}) is None


def test_a_template_takes_fields_and_the_document_and_looks_into_nothing() -> None:
    form = TemplateForm("{title}: {document} {{as is}} {meta.page}")
    assert form.text("D", {"title": "T", "meta.page": 7}) == "T: D {as is} 7"
    assert form.text(None, {"title": "T"}) == "T:  {as is} "
    assert form.text(None, {"other": "x"}) is None
    assert TemplateForm("{document.__class__}").text("D", {}) is None  # a field of that name, which no record has


@pytest.mark.parametrize("template", ["no place", "{", "{}", "{a!r}", "{a:>10}", "}"])
def test_a_template_that_cannot_be_filled_in_is_refused(template: str) -> None:
    with pytest.raises(LightmigrateError, match="template of texts"):
        TemplateForm(template)


def test_open_webui_embeds_one_line_after_its_prefix() -> None:
    assert OpenWebUIForm().text("two\nlines\n", {}) == "two lines "
    assert OpenWebUIForm("passage: ").text("a\nb", {}) == "passage: a b"
    assert OpenWebUIForm("passage: ").text(None, {}) is None


def test_a_user_names_a_field_or_a_template_or_the_document() -> None:
    assert chosen_form() is None
    assert chosen_form("document") == DOCUMENT
    assert chosen_form("data") == FieldForm("data")
    assert chosen_form(template="{a}") == TemplateForm("{a}")
    with pytest.raises(LightmigrateError, match="not both"):
        chosen_form("data", "{a}")


def test_texts_by_id_are_for_records_without_one() -> None:
    page = Page(["a", "b", "c"], as_vectors([[1.0], [2.0], [3.0]]), [None, "own", " "], [None, None, {"data": "field"}])
    source = TextSource(by_id={"a": "given", "b": "given"})
    assert source.texts_of(page) == ["given", "own", " "]
    assert TextSource(FieldForm("data"), {"a": "given"}).texts_of(page) == ["given", "own", "field"]
    assert source.applied(page).texts == source.texts_of(page)
    assert page.texts == [None, "own", " "]
