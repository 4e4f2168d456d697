"""Which field of a record holds the text that was embedded, in stores whose records are named fields."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Usual names: LangChain, fastembed, AnythingLLM and Open WebUI, n8n, ...
TEXT_FIELDS = ("page_content", "document", "text", "content", "chunk")

# Where LlamaIndex keeps a node, often with its text.
_NODE_FIELD = "_node_content"


def text_field(payloads: Sequence[Mapping[str, Any]], declared: str = "") -> str:
    """The field that holds the embedded text in most of some payloads.

    Args:
        payloads: the fields of some records.
        declared: the field where none does; empty for the first usual name.
    """
    shares = {name: sum(isinstance(each.get(name), str) for each in payloads) for name in TEXT_FIELDS}
    usual = next((name for name, number in shares.items() if 2 * number > len(payloads)), declared or TEXT_FIELDS[0])
    nodes = sum(_holds_text(each.get(_NODE_FIELD)) for each in payloads)
    return TEXT_FIELDS[0] if 2 * nodes > len(payloads) else usual


def _holds_text(node: object) -> bool:
    """Whether a LlamaIndex node keeps its text itself."""
    try:
        content = json.loads(node) if isinstance(node, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and bool(content.get("text") or content.get("text_resource"))
