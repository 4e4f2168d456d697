"""Every kind of object that applications embed with, called in one way.

| object | documents | queries |
|---|---|---|
| Chroma embedding function | called with a list, named `input` | `embed_query`, with a list |
| LangChain `Embeddings` | `embed_documents` | `embed_query`, one text at a time |
| LlamaIndex `BaseEmbedding` | `get_text_embedding_batch` | `get_query_embedding`, one text at a time |
| sentence-transformers | `encode_document` if it has one, else `encode` | `encode_query` if it has one, else `encode` |
| fastembed | `passage_embed` | `query_embed` |
| any callable | called with a list | called with a list |
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.settings import settings_of

# What an embedding function returns for n texts: anything that is `(n, d)` numbers.
Embedder = Callable[[Sequence[str]], Any]

# Settings in which objects name their model, the surest first.
_MODEL_SETTINGS = ("model_name", "model", "model_id", "model_name_or_path", "deployment")

# Where sentence-transformers models name it: in parts of theirs.
_MODEL_PARTS = (("model_card_data", "base_model"), ("tokenizer", "name_or_path"))


@dataclass(frozen=True)
class _Kind:
    """How the objects of one library are called; methods of one text at a time are called for each query."""

    documents: str
    queries: str
    one_query: bool = False


_KINDS = (
    _Kind("embed_documents", "embed_query", one_query=True),
    _Kind("get_text_embedding_batch", "get_query_embedding", one_query=True),
    _Kind("encode_document", "encode_query"),
    _Kind("encode", "encode"),
    _Kind("passage_embed", "query_embed"),
)


def is_embedder(function: object) -> bool:
    """Whether an object can embed texts; see the table above. Calls no model."""
    return not isinstance(function, (type, str, bytes)) and (_kind(function) is not None or callable(function))


def is_chroma_function(function: object) -> bool:
    """Whether an object has the interface of Chroma's embedding functions: it is called with `input`."""
    if isinstance(function, type) or not callable(function):
        return False
    try:
        return "input" in inspect.signature(type(function).__call__).parameters
    except (TypeError, ValueError):
        return False


def documents_embedder(function: object) -> Embedder:
    """The function that embeds documents.

    Raises:
        LightmigrateError: the object cannot embed texts.
    """
    kind = _kind(function)
    if kind is not None:
        return _method(function, kind.documents)
    return _called(function)


def queries_embedder(function: object) -> Embedder:
    """The function that embeds queries: the object's own method for queries, where it has one.

    Raises:
        LightmigrateError: the object cannot embed texts.
    """
    kind = _kind(function)
    if kind is None:
        own = getattr(function, "embed_query", None)
        return own if callable(own) else _called(function)
    method = _method(function, kind.queries)
    return (lambda texts: [method(text) for text in texts]) if kind.one_query else method


def stated_model(function: object) -> str:
    """The name of the model that an object states in its settings; empty where it states none. Calls no model."""
    settings = settings_of(function)
    for name in _MODEL_SETTINGS:
        if isinstance(value := settings.get(name), str) and value:
            return value
    for part, name in _MODEL_PARTS:
        with contextlib.suppress(Exception):  # a property may raise anything, and a missing name is no failure
            if isinstance(value := getattr(getattr(function, part), name), str) and value:
                return value
    return ""


def require_embedder(function: object) -> None:
    """Raise `LightmigrateError` when an object cannot embed texts. Calls no model."""
    if not is_embedder(function):
        named = function.__name__ if isinstance(function, type) else type(function).__name__
        hint = f"the class {named} itself: give an object of it" if isinstance(function, type) else f"a {named}"
        raise LightmigrateError(
            f"{hint} cannot embed texts; an embedding function is a Chroma function, a LangChain object "
            "(embed_documents), a LlamaIndex object (get_text_embedding_batch), a sentence-transformers model, or any "
            "callable that takes a list of texts"
        )


def _kind(function: object) -> _Kind | None:
    """How an object is called; `None` for one that is called itself."""
    if is_chroma_function(function) and not callable(getattr(function, "embed_documents", None)):
        return None
    for kind in _KINDS:
        if all(callable(getattr(function, name, None)) for name in (kind.documents, kind.queries)):
            return kind
    return None


def _method(function: object, name: str) -> Embedder:
    method: Embedder = getattr(function, name)
    return method


def _called(function: object) -> Embedder:
    require_embedder(function)
    assert callable(function)  # noqa: S101  # it was just required
    return function
