"""A real encoder as the frameworks know embedding models, and texts to store."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding

from lightmigrate.training.corpus import packaged_corpus
from tests.encoders import shared_wordllama


class LangChainModel(Embeddings):
    """wordllama, or its first numbers, which are a model of their own."""

    def __init__(self, dimension: int) -> None:
        self.model_name = f"wordllama-{dimension}"
        self.dimension = dimension

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = shared_wordllama(self.dimension).embed(texts).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class LlamaIndexModel(BaseEmbedding):
    """The same."""

    dimension: int

    def __init__(self, dimension: int, **options: Any) -> None:
        super().__init__(model_name=f"wordllama-{dimension}", **{"dimension": dimension, **options})

    def _get_text_embedding(self, text: str) -> list[float]:
        found: list[float] = shared_wordllama(self.dimension).embed([text])[0].tolist()
        return found

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


@cache
def notes(n: int = 90) -> tuple[str, ...]:
    """Real sentences, all different."""
    return tuple(packaged_corpus()[:n])


def nearest(dimension: int, question: str) -> list[str]:
    """The three notes that the encoder itself puts nearest to a question."""
    encoder = shared_wordllama(dimension)
    similarity = encoder.embed(list(notes())) @ encoder.embed([question])[0]
    return [notes()[row] for row in np.argsort(-similarity)[:3]]
