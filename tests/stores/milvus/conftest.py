"""The application's client of Milvus Lite, with an empty database."""

from __future__ import annotations

import pytest
from pymilvus import MilvusClient

from tests.contract.milvus import shared


@pytest.fixture
def client() -> MilvusClient:
    database = shared()
    database.clear()
    return database.client
