"""Texts that applications store, two real encoders, and the projection from one to the other of what is stored.

Apart from the tests of LangChain and of LlamaIndex, which ask for pymilvus of different versions; see `conftest`.
"""

from __future__ import annotations

from pymilvus import MilvusClient

from lightmigrate import Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.base import Address
from lightmigrate.stores.milvus.store import MilvusStore
from lightmigrate.texts.chosen import chosen_texts
from tests.encoders import shared_wordllama

TEXTS = [text[:300] for text in load_corpus().documents[:60]]
OLD, NEW = 128, 256


def fitted(client: MilvusClient, address: Address) -> Projection:
    """A projection, fitted to what the new encoder makes of the texts that are found in a collection."""
    collection = MilvusStore(client).collection(address)
    page = collection.sample(1000)
    texts = [text or "" for text in chosen_texts(collection).texts_of(page)]
    assert all(texts)
    return fit(page.vectors, shared_wordllama(NEW).embed(texts))
