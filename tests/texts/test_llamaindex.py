"""The text of a LlamaIndex node is exactly what LlamaIndex embeds, for nodes as its Chroma store keeps them."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.schema import Document, IndexNode, MediaResource, MetadataMode, Node, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from lightmigrate.texts.llamaindex import LlamaIndexForm

METADATA = {"file_path": "/data/α.pdf", "page": 3, "share": 0.5, "final": True, "note": None, "title": "On {braces}\n"}

NODES: list[Any] = [
    TextNode(text="The text.\nIts second line.", metadata=METADATA),
    TextNode(text="  spaces around  ", metadata=METADATA),
    TextNode(text="  spaces around  ", metadata={}),
    TextNode(text="no metadata left", metadata={"a": 1}, excluded_embed_metadata_keys=["a"]),
    TextNode(text="some left", metadata=METADATA, excluded_embed_metadata_keys=["page", "share", "unknown"]),
    TextNode(text="only the model", metadata=METADATA, excluded_llm_metadata_keys=["page"]),
    TextNode(
        text="own templates",
        metadata=METADATA,
        metadata_template="<{key}>{value}</{key}>",
        metadata_separator=" | ",
        text_template="{{meta}} {metadata_str}\n---\n{content}\n",
    ),
    TextNode(text="blank values", metadata={"a": " ", "b": ""}, metadata_template="{value}"),
    Node(text_resource=MediaResource(text="a newer node "), extra_info={"a": "x "}),
    Node(text_resource=MediaResource(text="a newer node"), extra_info={"a": " "}, metadata_template="{value}"),
    Document(text="a document", metadata=METADATA, excluded_embed_metadata_keys=["title"]),
    IndexNode.from_text_node(TextNode(text="an index node", metadata={"a": "b"}), "i"),
]


@pytest.mark.parametrize("node", NODES, ids=lambda node: f"{node.class_name()}-{node.get_content()[:12].strip()}")
def test_the_text_is_what_llamaindex_embeds(node: Any) -> None:
    fields = node_to_metadata_dict(node, remove_text=True, flat_metadata=True)
    document = node.get_content(metadata_mode=MetadataMode.NONE)
    assert LlamaIndexForm().text(document, fields) == node.get_content(metadata_mode=MetadataMode.EMBED)


def test_the_text_is_read_from_the_node_where_the_store_keeps_it_there() -> None:
    node = TextNode(text="kept in the node", metadata={"a": "b"})
    fields = node_to_metadata_dict(node, remove_text=False)
    assert LlamaIndexForm().text(None, fields) == node.get_content(metadata_mode=MetadataMode.EMBED)


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        "no JSON",
        "[]",
        '{"metadata": 3}',
        '{"metadata": {"a": "b"}, "text_template": "{content.__class__}"}',
        '{"metadata": {"a": "b"}, "text_template": "{content!r}"}',
        '{"metadata": {"a": "b"}, "metadata_template": "{key:>99999999999}"}',
        '{"metadata": {"a": "b"}, "metadata_template": "{"}',
        "[" * 100_000,
    ],
)
def test_a_record_that_is_no_node_has_its_document(content: Any) -> None:
    assert LlamaIndexForm().text("the document", {"_node_content": content}) == "the document"
