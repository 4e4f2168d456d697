"""The application's client of Milvus Lite, with an empty database."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from pymilvus import MilvusClient

from tests.contract.milvus import shared

# LlamaIndex's package asks for pymilvus 2 and LangChain's for 3, so that only one can be installed with what it asks
# for. Both work with 3: `pip install --no-deps llama-index-vector-stores-milvus` runs this, too.
collect_ignore = [] if find_spec("llama_index.vector_stores.milvus") else ["test_llamaindex.py"]


@pytest.fixture
def client() -> MilvusClient:
    database = shared()
    database.clear()
    return database.client
