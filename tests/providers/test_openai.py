"""The openai provider against a real server on this machine, with a real model behind it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from lightmigrate.errors import BusyError, CostError, ProviderError
from lightmigrate.providers.base import Bill, estimated_tokens
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.same_model import PROBE
from lightmigrate.vectors import finite_rows
from tests.encoders import shared_minilm
from tests.providers.embedding_server import KEY, MODEL, ODD, EmbeddingServer, running_server

TEXTS = ["a cat sat on the mat", "a kitten lay on the rug", "interest rates rose again", "x"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with running_server() as running:
        yield running


def provider(server: EmbeddingServer, **options: Any) -> OpenAIProvider:
    return OpenAIProvider(MODEL, **{"base_url": server.url, "retries": 1, **options})


def test_vectors_are_those_of_the_model_in_the_order_of_the_texts(server: EmbeddingServer) -> None:
    np.testing.assert_allclose(provider(server).embed(TEXTS), shared_minilm().embed(TEXTS), atol=1e-6)
    server.failures = ["shuffled"]
    np.testing.assert_allclose(provider(server).embed(TEXTS), shared_minilm().embed(TEXTS), atol=1e-6)


def test_the_model_is_known_after_one_word(server: EmbeddingServer) -> None:
    model = provider(server, prefix="passage: ", query_prefix="query: ").model
    assert (model.name, model.dimension, model.provider, model.normalised) == (MODEL, 384, "openai", True)
    assert server.paid == ["passage: dimension"]


def test_prefixes_differ_for_documents_and_queries(server: EmbeddingServer) -> None:
    asked = provider(server, prefix="passage: ", query_prefix="query: ")
    asked.embed(["one"])
    asked.embed_queries(["two"])
    assert server.paid == ["passage: one", "query: two"]


def test_shorter_vectors_can_be_asked_for(server: EmbeddingServer) -> None:
    asked = provider(server, dimensions=64)
    assert asked.embed(TEXTS).shape == (4, 64)
    assert asked.key != provider(server).key


def test_the_address_may_come_from_the_environment(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert OpenAIProvider(MODEL).embed(["x"]).shape == (1, 384)


@pytest.mark.parametrize("failure", [429, 500, 503, "drop"])
def test_a_server_that_recovers_is_asked_again(server: EmbeddingServer, failure: int | str) -> None:
    server.failures = [failure]
    assert provider(server).embed(TEXTS).shape == (4, 384)
    assert server.requests == 2


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([429] * 4, "busy or the quota is used up, tried up to 2 times"),
        ([500, 500], "failed with status 500"),
        ([400, 400], "refused 5 texts, the longest of 49 characters: as told:; check"),
        ([403], "may not use minilm"),
        (["drop", "drop"], "cannot be reached"),
        (["cut", "cut"], "cannot be reached"),
        (["garbage"], "did not answer with embeddings"),
        (["html"], "did not answer with embeddings"),
        (["truncated"], "4 vectors for 5 texts"),
    ],
)
def test_every_failure_is_one_line_without_texts_or_keys(
    server: EmbeddingServer, failures: list[int | str], said: str
) -> None:
    server.failures = failures
    with pytest.raises(ProviderError, match=said) as caught:
        provider(server).embed(TEXTS)
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    assert "kitten" not in message


@pytest.mark.parametrize("strange", ["in base64", "without index", "always the first"])
def test_answers_that_do_not_quite_follow_the_api_are_understood(server: EmbeddingServer, strange: str) -> None:
    server.strange = strange
    asked = provider(server)
    np.testing.assert_allclose(asked.embed(TEXTS), shared_minilm().embed(TEXTS), atol=0.05)
    requests = server.requests
    asked.embed(TEXTS)
    assert server.requests - requests == (1 if strange == "in base64" else len(TEXTS) + 1), "what it learned is kept"


def test_one_answer_in_which_a_place_occurs_twice_is_asked_for_again(server: EmbeddingServer) -> None:
    server.failures = ["twice the first"]
    np.testing.assert_allclose(provider(server).embed(TEXTS), shared_minilm().embed(TEXTS), atol=0.05)


@pytest.mark.parametrize("strange", list(ODD))
def test_a_text_without_a_vector_is_counted_and_the_others_are_embedded(
    server: EmbeddingServer, tmp_path: Path, strange: str
) -> None:
    server.strange = strange
    asked = Cached(provider(server), tmp_path / "c.sqlite3")
    texts = [*TEXTS[:2], "odd", *TEXTS[2:]]
    assert finite_rows(asked.embed_each(texts)).tolist() == [True, True, False, True, True]
    assert asked.shortened.refused == 1
    requests, server.strange = server.requests, ""
    assert finite_rows(asked.embed_each(texts)).all(), "nothing of it is in the cache"
    assert server.requests == requests + 1
    asked.close()


@pytest.mark.parametrize("strange", list(ODD))
def test_a_model_that_never_gives_a_vector_is_none(server: EmbeddingServer, strange: str) -> None:
    server.model, server.strange = lambda texts: np.zeros((len(texts), 384), np.float32), strange
    with pytest.raises(ProviderError, match=r"NaN, infinity or zeros|holds no vector"):
        provider(server).embed(["odd", "odd as well"])


def test_a_model_that_does_not_tell_texts_apart_is_no_embedding_model(server: EmbeddingServer) -> None:
    server.model = lambda texts: np.tile(shared_minilm().embed(["the same"]), (len(texts), 1))
    with pytest.raises(ProviderError, match="gave 31 different texts the same vector"):
        provider(server).embed([f"text {number}" for number in range(30)])
    assert provider(server).embed(["one", "two"]).shape == (2, 384)
    server.model = lambda texts: shared_minilm().embed(list(texts))
    assert provider(server).embed(["the same"] * 30).shape == (30, 384)


@pytest.mark.parametrize(
    "message",
    [
        "Too Many Requests",
        "You exceeded your current quota, please check your plan and billing details.",
        "Rate limit exceeded for requests per minute. Limit: 3000, used: 3000.",
        "Requests to the Embeddings_Create Operation have exceeded the call rate limit. Please retry after 6 seconds.",
    ],
)
def test_too_many_requests_are_not_taken_for_a_refused_text(server: EmbeddingServer, message: str) -> None:
    server.refuses = lambda texts: (429, message)
    with pytest.raises(BusyError, match="busy or the quota is used up") as caught:
        provider(server).embed(TEXTS)
    assert message.split(",")[0] in str(caught.value)
    assert server.requests == 4, "twice, and again when it was waited for; not each text by itself"


def test_a_request_of_more_tokens_than_a_minute_allows_is_halved(server: EmbeddingServer) -> None:
    message = (
        "Request too large for minilm on tokens per min (TPM): Limit 40000, Requested 50000. The input must be reduced"
    )
    server.refuses = lambda texts: (429, message) if len(texts) > 2 else None
    assert provider(server).embed(TEXTS).shape == (4, 384)


def test_a_dimension_that_changes_midway_is_noticed(server: EmbeddingServer) -> None:
    asked = provider(server)
    asked.embed(TEXTS)
    server.failures = ["other dimension"]
    with pytest.raises(ProviderError, match="vectors of 100 dimensions, before it was 384"):
        asked.embed(TEXTS)


def test_wrong_keys_models_and_places_are_named(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderError, match="has no model 'other'"):
        OpenAIProvider("other", base_url=server.url).embed(["x"])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ProviderError, match="does not accept the key") as caught:
        provider(server).embed(["x"])
    assert "sk-wrong" not in str(caught.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ProviderError, match="OPENAI_API_KEY is not set"):
        provider(server).embed(["x"])


def test_a_server_that_is_down_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"  # nobody listens there, and nobody else can meanwhile
        with pytest.raises(ProviderError, match="cannot be reached; is the server running"):
            OpenAIProvider(MODEL, base_url=url, retries=0).embed(["x"])


def test_an_answer_that_does_not_come_is_not_waited_for(server: EmbeddingServer) -> None:
    server.failures = ["hang"]
    with pytest.raises(ProviderError, match=r"did not answer within 0\.1 seconds"):
        provider(server, timeout=0.1, retries=0).embed(["x"])


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://[bad", "http://user:secret@localhost/v1", "http://"])
def test_an_address_that_makes_no_sense_or_holds_a_password_is_refused(url: str) -> None:
    with pytest.raises(ProviderError, match="the address of a server is like") as caught:
        OpenAIProvider(MODEL, base_url=url)
    assert "secret" not in str(caught.value)


def test_the_key_is_nowhere(server: EmbeddingServer) -> None:
    asked = provider(server)
    asked.embed(["x"])
    assert KEY not in repr(asked) + asked.key + str(asked.model) + repr(vars(asked))


def test_broken_characters_are_replaced(server: EmbeddingServer) -> None:
    provider(server).embed(["half a \ud800 pair"])
    assert server.paid == ["half a ? pair"]


def test_the_server_speaks_to_the_official_client_as_it_is(server: EmbeddingServer) -> None:
    with openai.OpenAI(base_url=server.url) as client:
        answer = client.embeddings.create(model=MODEL, input=TEXTS)  # asks for base64
    np.testing.assert_allclose([row.embedding for row in answer.data], shared_minilm().embed(TEXTS), atol=1e-6)


def test_the_bill_is_estimated_before_and_counted_after(server: EmbeddingServer) -> None:
    asked = provider(server, price=2.0)
    assert asked.bill(["x" * 400]) == Bill(101, 101 * 2e-6)
    assert server.requests == 0
    asked.embed(["one two three", "four"])
    assert asked.spent.tokens == 4 + len(PROBE.split()), "the fixed text goes along"
    assert asked.spent.dollars == pytest.approx(2.2e-5)
    assert OpenAIProvider("text-embedding-3-small").bill(["x" * 4_000_000]).dollars == pytest.approx(0.02, rel=0.01)
    assert provider(server, base_url="https://embeddings.example/v1").bill(["x"]).dollars is None
    assert provider(server).bill([]) == Bill(0, 0.0)
    both = provider(server, prefix="passage: ", query_prefix="query: ").bill(["x"], queries=["x"])
    assert both.tokens == 10 // 4 + 1 + 8 // 4 + 1
    assert provider(server).bill(["字" * 100]).tokens > provider(server).bill(["x" * 100]).tokens


def test_what_the_server_does_not_count_is_estimated_and_a_bad_answer_counts_too(server: EmbeddingServer) -> None:
    asked = provider(server, price=1.0)
    server.failures = ["uncounted"]
    asked.embed(["x" * 40])
    assert asked.spent.tokens == 11 + estimated_tokens([PROBE])
    server.failures = ["truncated"]
    with pytest.raises(ProviderError, match="cut short"):
        asked.embed(["one two", "three"])
    assert asked.spent.tokens == 14 + estimated_tokens([PROBE]) + len(PROBE.split())


def test_a_limit_on_the_cost_is_kept(server: EmbeddingServer) -> None:
    asked = provider(server, price=1_000_000.0, max_cost=10.0)  # a dollar a token
    asked.batch_size = 1
    asked.parallel.most = 1  # so that it is known which calls have ended
    with pytest.raises(CostError, match=r"\$6.0000 of \$10.0000 are spent") as caught:
        asked.embed(["five words are in this", "six words in this long text"])
    assert caught.value.exit_code == 2
    assert server.paid == ["six words in this long text"]
    with pytest.raises(ProviderError, match="no price is known"):
        provider(server, max_cost=1.0, base_url="https://embeddings.example/v1")
    for wrong in (float("nan"), -1.0):
        with pytest.raises(ProviderError, match="0 dollars or more"):
            provider(server, price=1.0, max_cost=wrong)
