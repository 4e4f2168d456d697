"""What LlamaIndex embeds: the metadata and the text of a node, by the templates that it stores with the node.

LlamaIndex stores a node's text as document and the node itself as JSON in the field `_node_content`. It embeds
`node.get_content(MetadataMode.EMBED)`: the metadata without the keys that are excluded from embedding, each key and
value through `metadata_template`, joined by `metadata_separator`, and both in `text_template`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from lightmigrate.errors import LightmigrateError
from lightmigrate.texts.fields import Fields
from lightmigrate.texts.template import filled

NODE_FIELD = "_node_content"

# LlamaIndex's defaults, for nodes of versions that did not store them.
_METADATA_TEMPLATE, _TEXT_TEMPLATE, _SEPARATOR = "{key}: {value}", "{metadata_str}\n\n{content}", "\n"

# Nodes whose metadata is not stripped before it goes into the template: the two newer classes.
_NEWER_CLASSES = ("Node", "Document")


@dataclass(frozen=True)
class LlamaIndexForm:
    """The text of a LlamaIndex node with its metadata; the document for a record that is no node."""

    kind: ClassVar[str] = "llamaindex"

    def __str__(self) -> str:
        return "LlamaIndex's metadata and text of a node"

    def text(self, document: str | None, fields: Fields) -> str | None:
        """The content that LlamaIndex embeds."""
        node = node_of(fields)
        if node is None:
            return document
        content = document if document is not None else _text_of(node)
        try:
            return _embedded(node, content or "")
        except LightmigrateError:  # a template that names other things: LlamaIndex cannot have filled it in
            return document

    def settings(self) -> Mapping[str, str]:
        """None: each node has its own."""
        return {}


def node_of(fields: Fields) -> Mapping[str, object] | None:
    """The LlamaIndex node in a record's fields; `None` when there is none."""
    stored = fields.get(NODE_FIELD)
    if not isinstance(stored, str):
        return None
    try:
        node = json.loads(stored)
    except (ValueError, RecursionError):
        return None
    return node if isinstance(node, dict) and isinstance(node.get("metadata", {}), dict) else None


def _embedded(node: Mapping[str, object], content: str) -> str:
    metadata = node.get("metadata") or {}
    assert isinstance(metadata, Mapping)  # noqa: S101  # `node_of` looked
    excluded = node.get("excluded_embed_metadata_keys") or ()
    excluded = set(map(str, excluded)) if isinstance(excluded, (list, tuple)) else set()
    separator = _setting(node, "metadata_separator", _setting(node, "metadata_seperator", _SEPARATOR))
    each = _setting(node, "metadata_template", _METADATA_TEMPLATE)
    lines = [
        filled(each, _values({"key": str(key), "value": str(value)}))
        for key, value in metadata.items()
        if key not in excluded
    ]
    described = separator.join(lines)
    if node.get("class_name") not in _NEWER_CLASSES:
        described = described.strip()
    if not described:
        return content
    template = _setting(node, "text_template", _TEXT_TEMPLATE)
    return filled(template, _values({"content": content, "metadata_str": described})).strip()


def _values(values: Mapping[str, str]) -> Callable[[str], str]:
    """Looks up the value of a place; a place of another name is an error."""

    def value_of(name: str) -> str:
        if name not in values:
            raise LightmigrateError(f"a node's template has a place for {name}, which LlamaIndex does not fill in")
        return values[name]

    return value_of


def _setting(node: Mapping[str, object], name: str, default: str) -> str:
    value = node.get(name)
    return value if isinstance(value, str) else default


def _text_of(node: Mapping[str, object]) -> str | None:
    """The text in the node itself, where the store keeps it there."""
    resource = node.get("text_resource")
    text = resource.get("text") if isinstance(resource, Mapping) else node.get("text")
    return text if isinstance(text, str) else None
