"""Which texts may have been embedded: proposed from some records, to be checked by measuring."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightmigrate.stores.base import Page
from lightmigrate.texts.fields import Fields, fields_of
from lightmigrate.texts.forms import DOCUMENT, DOCUMENT_PLACE, FieldForm, TemplateForm, TextForm
from lightmigrate.texts.llamaindex import NODE_FIELD, LlamaIndexForm, node_of
from lightmigrate.texts.openwebui import CONFIG_FIELD, PREFIX_VARIABLE, OpenWebUIForm, config_of

# A candidate must have a text in this share of the records, except of those that have nothing at all.
MOST_RECORDS = 0.9

# A field looks like a text if most of its values have so many words, or so many letters of a script without spaces,
# and most values differ.
WORDS, LETTERS = 3, 12
MOST_VALUES, DIFFERENT = 0.6, 0.5

# What stands before a document, such as its title, is the same for all chunks of a document.
DIFFERENT_TITLES = 0.02

# What the name of a field in a template cannot hold.
_BRACES = set("{}[]!:.")

# mem0 stores no documents; a memory is its field `data`, and newer versions store its lemmas in another field.
_MEM0_FIELDS, _MEM0_TEXT = {"data", "hash", "created_at"}, "data"

# AnythingLLM keeps a chunk, with what it puts before it, among these fields of a document, where its store has no other
# place for the text.
_ANYTHINGLLM_FIELDS, _ANYTHINGLLM_TEXT = {"text", "title", "docAuthor", "docSource", "chunkSource"}, "text"

# Fields that applications keep for themselves.
_INTERNAL = {NODE_FIELD, CONFIG_FIELD, "_node_type"}

# Addresses, paths, times, numbers and checksums are not read as texts, whatever they are made of.
_NO_TEXT = re.compile(r"^(?:\w+://\S*|[\w.~-]*[/\\]\S*|[\d\s:.,+TZ/-]+|[0-9a-fA-F-]{16,}|[{\[].*[}\]])$", re.DOTALL)


@dataclass(frozen=True)
class Candidate:
    """A form that some records suggest.

    Attributes:
        form: the form.
        application: whether the records are of an application that is known to embed this.
    """

    form: TextForm
    application: bool = False


def candidates_in(page: Page, *, beside_documents: bool = False) -> list[Candidate]:
    """The forms that the records of a page suggest, the likeliest first; empty when no record has any text. Only reads.

    Args:
        page: some records of a collection.
        beside_documents: also propose fields, and templates of a field and the document, where records have documents.
    """
    records = [fields_of(payload) for payload in page.payloads]
    documents = sum(bool(text and text.strip()) for text in page.texts)
    candidates = _of_applications(records)
    if documents:
        candidates.append(Candidate(DOCUMENT))
    known = {candidate.form for candidate in candidates}
    if documents < len(page) / 2 or beside_documents:
        forms: list[TextForm] = [FieldForm(name) for name in text_fields(records)]
        if documents and beside_documents:
            titles = [name for name in text_fields(records, DIFFERENT_TITLES) if not _BRACES & set(name)]
            forms += [TemplateForm(f"{{{name}}}\n{{{DOCUMENT_PLACE}}}") for name in titles]
        candidates += [Candidate(form) for form in forms if form not in known]
    return candidates


def text_fields(records: Sequence[Fields], different: float = DIFFERENT) -> list[str]:
    """The names of the fields that look like texts in most records, those with the most words first.

    Args:
        records: the fields of some records.
        different: share of the values that must differ.
    """
    lengths: dict[str, list[int]] = {}
    values: dict[str, set[str]] = {}
    for fields in records:
        for name, value in fields.items():
            if isinstance(value, str) and name not in _INTERNAL and value.strip():
                lengths.setdefault(name, []).append(_words_in(value))
                values.setdefault(name, set()).add(value)
    names = [
        name
        for name, words in lengths.items()
        if len(words) >= MOST_RECORDS * len(records)
        and sum(number >= WORDS for number in words) >= MOST_VALUES * len(words)
        and len(values[name]) >= max(different * len(words), min(2, len(words)))
    ]
    return sorted(names, key=lambda name: (-sum(lengths[name]), name))


def _words_in(value: str) -> int:
    """The number of words of a value; 0 for one that is no text."""
    value = value.strip()
    if _NO_TEXT.match(value):
        return 0
    without_spaces = sum(letter.isalpha() and ord(letter) > 0x2E7F for letter in value)
    return max(len(value.split()), WORDS if without_spaces >= LETTERS else 0)


def _of_applications(records: Sequence[Fields]) -> list[Candidate]:
    """The forms of applications that are known by what they store in most of the records."""
    candidates = []
    if _most(records, lambda fields: node_of(fields) is not None):
        candidates.append(Candidate(LlamaIndexForm(), application=True))
    if _most(records, lambda fields: config_of(fields) is not None):
        prefix = os.environ.get(PREFIX_VARIABLE, "")
        candidates += [Candidate(OpenWebUIForm(each), application=True) for each in dict.fromkeys((prefix, ""))]
    if _most(records, lambda fields: fields.keys() >= _MEM0_FIELDS) and _MEM0_TEXT in text_fields(records):
        candidates.append(Candidate(FieldForm(_MEM0_TEXT), application=True))
    if _most(records, lambda fields: fields.keys() >= _ANYTHINGLLM_FIELDS):
        candidates.append(Candidate(FieldForm(_ANYTHINGLLM_TEXT), application=True))
    return candidates


def _most(records: Sequence[Fields], holds: Callable[[Fields], bool]) -> bool:
    return bool(records) and sum(map(holds, records)) >= MOST_RECORDS * len(records)
