"""What a record of LlamaIndex's files holds, in the form in which LlamaIndex's stores of other databases hold it.

Its files keep a node in two places: the metadata beside the vector, the node itself in the file of nodes. Its other
stores keep the fields of the metadata by themselves, where a search can filter by them, and the node as JSON beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lightmigrate.stores.base import Payload
from lightmigrate.stores.receive import Fields

# What `llamaindex.LlamaIndexTable` calls the parts of a record, and its FAISS stores likewise.
_OWNER, _METADATA, _NODE, _REST = "text_id_to_ref_doc_id", "metadata_dict", "_node_content", "node"

# Under these names other stores keep the id of the document that a node is of, and this where it is of none.
_DOCUMENT_IDS, _NONE = ("document_id", "doc_id", "ref_doc_id"), "None"

# The relationship of a node to its document.
_SOURCE = "1"


def node_fields(payload: Payload) -> Fields:
    """The fields of a record of LlamaIndex's files; a payload of any other file as it is."""
    if not payload.keys() & {_METADATA, _NODE} or payload.keys() - {_OWNER, _METADATA, _NODE, _REST}:
        return payload
    node, metadata = _read(payload.get(_NODE)), payload.get(_METADATA)
    rest = payload.get(_REST, {})
    if node is None or not isinstance(metadata, (Mapping, type(None))) or not isinstance(rest, Mapping):
        return payload
    fields = dict(_of_node(node) if metadata is None else metadata)
    if _NODE in payload:
        # other stores keep no vector there, and this one would stay that of the old model
        content = {**node, "embedding": None} if "embedding" in node else node
        fields[_NODE] = json.dumps(content, ensure_ascii=False)
    if (owner := payload.get(_OWNER)) != fields.get("ref_doc_id") and _OWNER in payload:
        fields[_OWNER] = owner
    return {**fields, _REST: rest} if rest.keys() - {"__type__"} else fields


def _read(content: object) -> dict[str, Any] | None:
    """A node from its JSON, empty for none; `None` for what is no node."""
    if content is None:
        return {}
    try:
        node = json.loads(content) if isinstance(content, str) else None
    except (ValueError, RecursionError):
        return None
    return node if isinstance(node, dict) else None


def _of_node(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields that LlamaIndex writes for a node."""
    document = _mapping(_mapping(node.get("relationships")).get(_SOURCE)).get("node_id") or _NONE
    own = {"_node_type": node.get("class_name", "TextNode"), **dict.fromkeys(_DOCUMENT_IDS, document)}
    return {**_mapping(node.get("metadata")), **own}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
