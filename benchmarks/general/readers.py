"""How the texts are got out of each kind of package. A reader gives documents; cutting them is done elsewhere."""

from __future__ import annotations

import ast
import gzip
import html
import json
import re
import sqlite3
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # the file is pinned by its sum

from general.fetch import members

_TAGS = re.compile(r"<[^>]+>")
_MARKUP = re.compile(r":[a-z:]+:(?=`)|[`*|]+|\[citation[^\]]*\]")


def plain_files(path: Path, prefix: str, suffix: str = ".txt") -> Iterator[str]:
    """Each file is a document."""
    for _, content in members(path, prefix, suffix):
        yield content.decode("utf-8", "replace")


def speeches(path: Path) -> Iterator[str]:
    """Speeches as JSON objects with a `text`."""
    for _, content in members(path, "package/data/", ".json"):
        yield json.loads(content)["text"]


def dictionary(path: Path, prefix: str) -> Iterator[str]:
    """Paragraphs of a dictionary of the DICT project, which is gzip with an index."""
    for _, content in members(path, prefix, ".dict.dz"):
        for paragraph in _paragraphs(gzip.decompress(content).decode("utf-8", "replace")):
            yield paragraph.replace("{", "").replace("}", "")


def docstrings(path: Path, prefix: str) -> Iterator[str]:
    """The prose in each docstring of Python modules: its paragraphs that are no code, no list and no table."""
    for name, content in members(path, prefix, ".py"):
        if "/test" in name:
            continue
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                said = [_MARKUP.sub("", paragraph) for paragraph in _paragraphs(ast.get_docstring(node) or "")]
                yield " ".join(text for text in said if _is_prose(text))


def readmes(path: Path, prefix: str) -> Iterator[str]:
    """Markdown descriptions, paragraph by paragraph."""
    for _, content in members(path, prefix, "README.md"):
        for paragraph in _paragraphs(content.decode("utf-8", "replace")):
            yield _MARKUP.sub("", paragraph)


def described_fields(path: Path, prefix: str) -> Iterator[str]:
    """Class documentation and the `description=` of fields in Python modules that were generated from a standard."""
    for _, content in members(path, prefix, ".py"):
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.ClassDef):
                yield " ".join((ast.get_docstring(node) or "").partition("Primitive Data Types.")[2].split())
            elif isinstance(node, ast.keyword) and node.arg == "description" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def service_documentation(path: Path) -> Iterator[str]:
    """What web services say of themselves: each `documentation` of their gzipped JSON, without its HTML."""
    for _, content in members(path, "botocore/data/", "service-2.json.gz"):
        yield from map(_without_tags, _values_of(json.loads(gzip.decompress(content)), "documentation"))


def api_descriptions(path: Path) -> Iterator[str]:
    """What web interfaces say of themselves: each `description` of their JSON."""
    for _, content in members(path, "googleapiclient/discovery_cache/documents/", ".json"):
        yield from map(_without_tags, _values_of(json.loads(content), "description"))


def registry_descriptions(path: Path) -> Iterator[str]:
    """Descriptions of databases and vocabularies, only those whose own licence is CC0 or CC BY."""
    (content,) = (content for _, content in members(path, "bioregistry/data/bioregistry.json"))
    for entry in json.loads(content).values():
        for part in (entry, entry.get("obofoundry", {}), entry.get("re3data", {})):
            yield part.get("description") or ""


def conversations(path: Path) -> Iterator[str]:
    """What was said, each turn by itself."""
    for _, content in members(path, "chatterbot_corpus/data/english/", ".yml"):
        for line in content.decode("utf-8").splitlines():
            said = line.strip().lstrip("- ").strip("'\"")
            if line.startswith(("- - ", "  - ")):
                yield said


def definitions(path: Path) -> Iterator[str]:
    """The definitions of an SQLite table of terms, each after its term."""
    (content,) = (content for _, content in members(path, suffix="extdata/GO.sqlite"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "terms.sqlite"
        file.write_bytes(content)
        connection = sqlite3.connect(file)
        rows = connection.execute("SELECT term, definition FROM go_term ORDER BY go_id").fetchall()
        connection.close()
    for term, definition in rows:
        if definition and not definition.startswith("OBSOLETE"):
            yield f"{term}: {definition}"


def tabular_descriptions(path: Path) -> Iterator[str]:
    """The names of diseases in the tabular XML of a classification."""
    for _, content in members(path, "simple_icd_10_cm/data/", ".xml"):
        for element in ElementTree.fromstring(content).iter("desc"):
            yield element.text or ""


def r_novels(path: Path) -> Iterator[str]:
    """Novels kept as R character vectors, a line each.

    R keeps them one after the other, each behind its length, zlib-compressed and in its portable serial form, where
    every string is a word of flags (type 9 in the lowest byte), its length and its bytes.
    """
    (content,) = (content for _, content in members(path, suffix="/data/Rdata.rdb"))
    at = 0
    while at < len(content):
        stream = zlib.decompressobj()
        serial = stream.decompress(content[at + 4 :])
        at = len(content) - len(stream.unused_data)
        yield "\n".join(_r_strings(serial))


def _r_strings(serial: bytes) -> Iterator[str]:
    # a vector of strings: type 16, then how many; the header before it has 14 bytes and the name of an encoding
    at = 14 + 4 + struct.unpack(">i", serial[14:18])[0]
    flags, count = struct.unpack(">ii", serial[at : at + 8])
    if flags & 0xFF != 16:
        return
    at += 8
    for _ in range(count):
        (length,) = struct.unpack(">i", serial[at + 4 : at + 8])
        yield serial[at + 8 : at + 8 + max(0, length)].decode("utf-8", "replace")
        at += 8 + max(0, length)


def _is_prose(text: str) -> bool:
    return text[:1].isupper() and text.endswith((".", "?", "!")) and not {">>>", "----"} & set(text.split())


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        yield " ".join(paragraph.split())


def _without_tags(text: str) -> str:
    return html.unescape(_TAGS.sub(" ", text))


def _values_of(said: Any, key: str) -> Iterator[str]:
    """Every string under this key, however deep."""
    if isinstance(said, dict):
        for name, value in said.items():
            if name == key and isinstance(value, str):
                yield value
            else:
                yield from _values_of(value, key)
    elif isinstance(said, list):
        for value in said:
            yield from _values_of(value, key)
