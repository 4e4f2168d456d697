"""Every object that applications embed with is an embedding function; queries use its own method for queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from chromadb import Documents, EmbeddingFunction
from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.functions import is_embedder, require_embedder, stated_model
from tests.encoders import WordLlamaFunction, shared_wordllama

TEXTS = ["the sky is blue", "a river runs to the sea", "bread is baked at night"]


def words(texts: Sequence[str]) -> Any:
    return shared_wordllama(64).embed(texts)


class FromLangChain(Embeddings):
    """Queries get a prefix, as those of many models do."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(number) for number in row] for row in words(texts)]

    def embed_query(self, text: str) -> list[float]:
        return [float(number) for number in words([f"query: {text}"])[0]]


class FromLlamaIndex(BaseEmbedding):
    """As LlamaIndex calls it; its own `__call__` takes nodes."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(number) for number in words([text])[0]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [float(number) for number in words([f"query: {query}"])[0]]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class FromChroma(EmbeddingFunction[Documents]):
    """A Chroma function takes queries as a list; this one has a method `encode`, too, which is its own affair."""

    def __init__(self) -> None: ...

    def __call__(self, input: Documents) -> Any:
        return list(words(input))

    def embed_query(self, input: Documents) -> Any:
        return list(words([f"query: {text}" for text in input]))

    def encode(self, texts: Sequence[str]) -> Any:
        raise AssertionError


class WithPrompts:
    """What sentence-transformers 5 has: a method for documents, one for queries, and one that knows neither."""

    def __call__(self, *features: Any) -> Any:
        raise AssertionError

    def encode(self, texts: Sequence[str]) -> Any:
        return words(texts)

    encode_document = encode

    def encode_query(self, texts: Sequence[str]) -> Any:
        return words([f"query: {text}" for text in texts])


@pytest.mark.parametrize("made", [FromLangChain, FromLlamaIndex, FromChroma, WithPrompts])
def test_an_object_embeds_documents_and_queries_by_its_own_methods(made: Any) -> None:
    provider = ChromaProvider(made())
    np.testing.assert_allclose(provider.embed(TEXTS), words(TEXTS), atol=1e-6)
    np.testing.assert_allclose(provider.embed_queries(TEXTS), words([f"query: {text}" for text in TEXTS]), atol=1e-6)


@pytest.mark.parametrize("function", [words, shared_wordllama(64).embed, WordLlamaFunction(64)])
def test_what_has_no_method_for_queries_treats_them_like_documents(function: Any) -> None:
    provider = ChromaProvider(function)
    assert np.array_equal(provider.embed(TEXTS), provider.embed_queries(TEXTS))


def test_an_object_with_encode_alone_is_a_model() -> None:
    class Static:
        def encode(self, texts: Sequence[str]) -> Any:
            return words(texts)

    assert ChromaProvider(Static()).embed(TEXTS).shape == (3, 64)


@pytest.mark.parametrize("thing", [3, object(), "a model's name", FromLangChain])
def test_what_cannot_embed_is_refused_with_what_can(thing: Any) -> None:
    assert not is_embedder(thing)
    with pytest.raises(LightmigrateError, match=r"cannot embed texts; an embedding function is .*embed_documents"):
        require_embedder(thing)


def test_the_model_and_the_key_of_an_object_are_read_from_its_settings() -> None:
    named = FromLlamaIndex(model_name="some-model")
    assert stated_model(named) == "some-model"
    assert ChromaProvider(named).name == "some-model"
    assert ChromaProvider(named).priced(1000).dollars == 0

    class Tokenizer:
        name_or_path = "/srv/models/some-model"

    class FromSentenceTransformers:  # the model is named by a part of it
        tokenizer = Tokenizer()

        def encode(self, texts: list[str]) -> Any:
            return words(texts)

        @property
        def model_card_data(self) -> Any:
            raise RuntimeError("a library of its own may raise anything")

    assert stated_model(FromSentenceTransformers()) == "/srv/models/some-model"
    assert ChromaProvider(FromSentenceTransformers()).model.title == "some-model"

    class Paid(FromLangChain):
        def __init__(self) -> None:
            self.model, self.openai_api_key = "text-embedding-3-small", "x"

    assert ChromaProvider(Paid()).priced(1_000_000).dollars == pytest.approx(0.02)
