"""What an embedding function costs where no key shows: nothing only where its model runs in this process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import chromadb.utils.embedding_functions as chroma_functions
import httpx
import numpy as np
import openai
import pytest
import requests
from chromadb import Documents, EmbeddingFunction
from langchain_core.embeddings import Embeddings

from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.whereabouts import whereabouts
from tests.encoders import MiniLMFunction, WordLlamaFunction, minilm, shared_wordllama

HERE = "http://127.0.0.1:8080/v1"
GLOBAL_CLIENT = openai.OpenAI(api_key="x")


def dollars(function: Any, *, limited: bool = False) -> float | None:
    return ChromaProvider(function, limited=limited).priced(1_000_000).dollars


def session() -> Any:
    return boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")


def amazon() -> Any:
    return chroma_functions.AmazonBedrockEmbeddingFunction(session())


def langchain_amazon() -> Any:
    from langchain_community.embeddings import BedrockEmbeddings

    return BedrockEmbeddings(client=session().client("bedrock-runtime"))


def closure_around_a_client() -> Any:
    client = openai.OpenAI(api_key="x")
    return lambda texts: client.embeddings.create(input=texts, model="m")


def a_client_of_the_module() -> Any:
    return lambda texts: GLOBAL_CLIENT.embeddings.create(input=texts, model="m")


def _embedded(texts: Sequence[str], post: Callable[..., Any]) -> Any:
    return post("https://example.org/embed", json=texts)


def a_part_of_a_function() -> Any:
    return functools.partial(_embedded, post=requests.post)


def a_helper_of_a_method() -> Any:
    class Own(Embeddings):
        def _asked(self, texts: Sequence[str]) -> Any:
            import requests

            return requests.post("https://example.org/embed", json=texts).json()

        def embed_documents(self, texts: list[str]) -> Any:
            return self._asked(texts)

        def embed_query(self, text: str) -> Any:
            return self._asked([text])[0]

    return Own()


def a_client_that_is_made_when_it_is_needed() -> Any:
    class Own:
        @functools.cached_property
        def client(self) -> Any:
            return openai.OpenAI(api_key="x")

        def __call__(self, texts: list[str]) -> Any:
            return self.client.embeddings.create(input=texts, model="m")

    return Own()


def an_own_function_with_a_client() -> Any:
    class Own(EmbeddingFunction[Documents]):
        def __init__(self) -> None:
            self._http = httpx.Client(base_url="https://example.org")

        def __call__(self, input: Documents) -> Any:
            return self._http.post("/embed", json=input).json()

    return Own()


@pytest.mark.parametrize(
    "made",
    [
        amazon,
        langchain_amazon,
        closure_around_a_client,
        a_client_of_the_module,
        a_part_of_a_function,
        a_helper_of_a_method,
        a_client_that_is_made_when_it_is_needed,
        an_own_function_with_a_client,
    ],
)
def test_a_client_of_a_service_is_of_unknown_price_although_no_key_shows(made: Callable[[], Any]) -> None:
    function = made()
    assert dollars(function) is None
    assert dollars(function, limited=True) is None


def local_client() -> Any:
    client = openai.OpenAI(api_key="x", base_url=HERE)
    return lambda texts: client.embeddings.create(input=texts, model="m")


def local_address_in_code() -> Any:
    return lambda texts: requests.post("http://localhost:11434/api/embed", json=texts).json()


def local_client_beside_other_addresses() -> Any:
    client = openai.OpenAI(api_key="x", base_url=HERE)

    def embedded(texts: Sequence[str]) -> Any:
        if not texts:
            raise ValueError("https://example.org/help")
        return client.embeddings.create(input=texts, model="m")

    return embedded


def local_server() -> Any:
    return chroma_functions.HuggingFaceEmbeddingServer(url="http://localhost:8080")


@pytest.mark.parametrize(
    "made", [local_client, local_client_beside_other_addresses, local_address_in_code, local_server]
)
def test_a_server_on_this_machine_is_free(made: Callable[[], Any]) -> None:
    assert dollars(made(), limited=True) == 0


def arithmetic(texts: Sequence[str]) -> Any:
    return np.array([[float(len(text)), 1.0] for text in texts])


@pytest.mark.parametrize(
    "function",
    [
        arithmetic,
        lambda texts: shared_wordllama(64).embed(texts),
        shared_wordllama(64).embed,
        minilm().embed,
        WordLlamaFunction(64),
        MiniLMFunction(),
        chroma_functions.DefaultEmbeddingFunction(),
        chroma_functions.ONNXMiniLM_L6_V2(),
    ],
)
def test_what_is_seen_to_run_in_this_process_is_free_within_a_limit_too(function: Any) -> None:
    assert whereabouts(function, {}).place == "here"
    assert dollars(function, limited=True) == 0


def test_what_nothing_shows_is_free_only_where_no_limit_is_set() -> None:
    import psutil  # a package of which nothing is known

    def embedded(texts: Sequence[str]) -> Any:
        return psutil.Process().name()

    assert dollars(embedded) == 0
    assert dollars(embedded, limited=True) is None


def test_one_server_elsewhere_beside_one_on_this_machine_is_of_unknown_price() -> None:
    class Own:
        def __init__(self) -> None:
            self.base_url, self.host = HERE, "embeddings.example.org"
            self.client = httpx.Client()

        def __call__(self, texts: list[str]) -> Any:
            return self.client.post(self.base_url, json=texts).json()

    assert dollars(Own()) is None


def test_an_object_whose_settings_cannot_be_read_is_unknown() -> None:
    class Odd:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("outside of a request")

        def __call__(self, texts: list[str]) -> Any:
            return arithmetic(texts)

    class Own:
        def __init__(self) -> None:
            self.part = Odd()

        def __call__(self, texts: list[str]) -> Any:
            return self.part(texts)

    assert whereabouts(Own(), {}).place == "unknown"


class Undecided:
    """Neither true nor false, as arrays, tensors and tables are."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")

    def __len__(self) -> int:
        raise TypeError("no length")


@pytest.mark.parametrize(
    "value", [np.eye(3, dtype=np.float32), np.zeros(0), Undecided(), [np.eye(2)], {"a": np.eye(2)}]
)
@pytest.mark.parametrize("name", ["_weights", "model_name", "base_url", "api_key", "headers"])
def test_a_function_may_hold_any_objects_under_any_names(name: str, value: object) -> None:
    """Such as the weights of its model: the truth of an array cannot be asked."""

    class Own:
        def __init__(self) -> None:
            setattr(self, name, value)

        def __call__(self, input: Sequence[str]) -> Any:
            return [np.full(3, len(text), np.float32) for text in input]

        def name(self) -> str:
            return "own"

        def get_config(self) -> Any:
            return {name: value}

    provider = ChromaProvider(Own())
    assert provider.key
    assert np.asarray(provider.encode(["ab"])).tolist() == [[2, 2, 2]]
    assert provider.priced(10).tokens == 10
