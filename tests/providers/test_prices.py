"""What embedding costs, and when nothing is to be paid."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.prices import dollars_for, is_this_machine, price_of


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://localhost:11434/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://ollama.localhost/v1", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8080/v1", True),
        ("http://192.168.1.5/v1", False),
        ("https://localhost.example.com/v1", False),
        ("https://api.openai.com/v1", False),
        ("localhost", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_which_servers_are_on_this_machine(address: str, here: bool) -> None:
    assert is_this_machine(address) is here


def test_a_server_on_this_machine_is_free_unless_it_may_be_a_proxy() -> None:
    assert price_of("nomic-embed-text", ["http://localhost:11434/v1"]) == 0
    assert price_of("text-embedding-3-small", ["http://localhost:4000"]) == 0.02
    assert price_of("nomic-embed-text", ["https://embeddings.example/v1"]) is None
    assert price_of("nomic-embed-text", ["http://localhost:4000", "https://embeddings.example/v1"]) is None
    assert price_of("nomic-embed-text", [""]) is None
    assert OpenAIProvider("m", base_url="http://localhost:1/v1", price=2.0).priced(1_000_000).dollars == 2.0
    assert OpenAIProvider("m", base_url="http://localhost:1/v1", max_cost=1.0).priced(1_000_000).dollars == 0


def test_nothing_costs_nothing_whatever_the_price_is() -> None:
    assert (dollars_for(0, None), dollars_for(1, None), dollars_for(1_000_000, 0.5)) == (0.0, None, 0.5)
    for provider in (OpenAIProvider("m", base_url="https://embeddings.example/v1"), ChromaProvider(client())):
        assert (provider.priced(0).dollars, provider.priced(1).dollars) == (0.0, None)


class Client:
    """An object of an application, with the attributes that such objects have."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 2.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 2.0]


def client(**attributes: Any) -> Client:
    return Client(model="m", openai_api_key=SimpleNamespace(), **attributes)


def test_objects_that_call_a_server_on_this_machine_are_free() -> None:
    assert ChromaProvider(client(openai_api_base="http://localhost:11434/v1")).priced(1000).dollars == 0
    assert ChromaProvider(client(openai_api_base="https://embeddings.example")).priced(1000).dollars is None
    assert ChromaProvider(client(openai_proxy="http://localhost:3128")).priced(1000).dollars is None
