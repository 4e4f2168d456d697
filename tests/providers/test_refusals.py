"""One text that a model refuses never stops the others: real servers' messages, cuts, batches, and the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import ProviderError, TextsRefusedError
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.refusals import token_limit, tokens_given
from lightmigrate.vectors import finite_rows
from tests.encoders import shared_minilm
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server

TEXTS = [f"document number {number} of the collection says something" for number in range(40)]
LONG = " ".join(f"word{number}" for number in range(3000))
Refuses = Callable[[list[str]], tuple[int, str] | None]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        yield running


def provider(server: EmbeddingServer, **options: Any) -> OpenAIProvider:
    return OpenAIProvider(MODEL, **{"base_url": server.url, "retries": 0, **options})


def tokens(text: str) -> int:
    return len(text) // 4


def first_over(limit: int, texts: list[str]) -> int | None:
    return next((row for row, text in enumerate(texts) if tokens(text) > limit), None)


def as_openai(texts: list[str]) -> tuple[int, str] | None:
    row = first_over(512, texts)
    return None if row is None else (400, f"Invalid 'input[{row}]': maximum input length is 512 tokens.")


def as_vllm(texts: list[str]) -> tuple[int, str] | None:
    row = first_over(512, texts)
    return None if row is None else (
        400,
        f"This model's maximum context length is 512 tokens. However, you requested {tokens(texts[row])} tokens in the "
        "input for embedding generation. Please reduce the length of the input.",
    )  # fmt: skip


def as_inference_server(texts: list[str]) -> tuple[int, str] | None:
    row = first_over(512, texts)
    return None if row is None else (
        413, f"Input validation error: `inputs` must have less than 512 tokens. Given: {tokens(texts[row])}",
    )  # fmt: skip


def as_ollama(texts: list[str]) -> tuple[int, str] | None:
    return None if first_over(512, texts) is None else (400, "the input length exceeds the context length")


def as_llama_cpp(texts: list[str]) -> tuple[int, str] | None:
    row = first_over(512, texts)
    return None if row is None else (
        500, f"input ({tokens(texts[row])} tokens) is too large to process. increase the physical batch size",
    )  # fmt: skip


@pytest.mark.parametrize("refuses", [as_openai, as_vllm, as_inference_server, as_ollama, as_llama_cpp])
def test_one_long_text_is_cut_and_the_others_are_embedded(server: EmbeddingServer, refuses: Refuses) -> None:
    server.refuses = refuses
    asked = provider(server)
    vectors = asked.embed([*TEXTS[:20], LONG, *TEXTS[20:]])
    assert (asked.shortened.cut, asked.shortened.refused) == (1, 0)
    assert asked.shortened.reason
    np.testing.assert_allclose(np.delete(vectors, 20, 0), shared_minilm().embed(TEXTS), atol=0.05)
    (sent,) = [text for text in server.texts if text.startswith("word0 ")]
    assert LONG.startswith(sent)
    assert 256 < tokens(sent) <= 512  # no less than half of what it takes
    assert server.refused <= 9


@pytest.mark.parametrize("status", [500, 429])
def test_what_is_refused_for_its_texts_is_not_sent_again(server: EmbeddingServer, status: int) -> None:
    def refuses(texts: list[str]) -> tuple[int, str] | None:
        return None if first_over(512, texts) is None else (status, "input is too large to process")

    server.refuses = refuses
    asked = provider(server, retries=3)
    asked.embed([*TEXTS, LONG])
    assert asked.shortened.cut == 1
    assert server.refused <= 12, "each refused request was sent once"


@pytest.mark.parametrize("message", [
    "context deadline exceeded", "rate limit exceeded", "too many open files", "maximum number of retries exceeded",
])  # fmt: skip
def test_a_moment_of_trouble_of_the_server_cuts_no_text(server: EmbeddingServer, message: str) -> None:
    troubles = [message] * 2
    server.refuses = lambda texts: (500, troubles.pop()) if troubles else None
    asked = provider(server, retries=3)
    asked.embed([LONG])
    assert (asked.shortened.cut, asked.shortened.refused, server.refused) == (0, 0, 2)


@pytest.mark.parametrize(("message", "limit", "given"), [
    ("Invalid 'input[3]': maximum input length is 8192 tokens.", 8192, None),
    ("This model's maximum context length is 8,192 tokens, however you requested 9,000 tokens (9000 in your prompt; 0 "
     "for the completion). Please reduce your prompt; or completion length.", 8192, 9000),
    ("Input validation error: `inputs` must have less than 512 tokens. Given: 1000", 512, 1000),
    ("input (1234 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
     512, 1234),
    ("the input length exceeds the context length", None, None),
    ("embedding model supports at most 2048 tokens", 2048, None),
])  # fmt: skip
def test_the_limit_is_what_the_server_says(message: str, limit: int | None, given: int | None) -> None:
    refusal = TextsRefusedError("refused", reason=message)
    assert (token_limit(refusal), tokens_given(refusal)) == (limit, given)


def test_a_request_over_the_total_is_split_and_the_next_ones_are_small_enough(server: EmbeddingServer) -> None:
    def refuses(texts: list[str]) -> tuple[int, str] | None:
        return (400, "Requested too many: max 100 tokens per request") if sum(map(tokens, texts)) > 100 else None

    server.refuses = refuses
    asked = provider(server)
    expected = shared_minilm().embed(TEXTS)
    np.testing.assert_allclose(asked.embed(TEXTS), expected, atol=0.05)
    assert (asked.shortened.cut, asked.shortened.refused) == (0, 0)
    before = server.refused
    asked.embed(TEXTS)
    assert server.refused == before


def test_too_many_texts_in_a_request_are_split(server: EmbeddingServer) -> None:
    def refuses(texts: list[str]) -> tuple[int, str] | None:
        return (422, f"batch size {len(texts)} > maximum allowed batch size 8") if len(texts) > 8 else None

    server.refuses = refuses
    asked = provider(server)
    assert asked.embed(TEXTS).shape == (40, 384)
    assert not asked.shortened.reason


def test_a_text_refused_by_policy_is_left_out_and_not_cut(server: EmbeddingServer) -> None:
    def refuses(texts: list[str]) -> tuple[int, str] | None:
        refused = any("word2999" in text or "word0" in text for text in texts)
        return (400, "The input was flagged by the content policy") if refused else None

    server.refuses = refuses
    asked = provider(server)
    vectors = asked.embed_each([TEXTS[0], LONG, TEXTS[1]])
    assert finite_rows(vectors).tolist() == [True, False, True]
    assert (asked.shortened.cut, asked.shortened.refused) == (0, 1)
    with pytest.raises(
        TextsRefusedError, match=r"did not embed 1 of 2 texts, 0 of them blank: .*content policy"
    ) as caught:
        asked.embed([TEXTS[0], LONG])
    assert caught.value.texts == (LONG,)
    assert "word" not in str(caught.value)


def test_blank_texts_are_never_sent(server: EmbeddingServer) -> None:
    asked = provider(server, prefix="passage: ")
    vectors = asked.embed_each(["", TEXTS[0], " \n\t"])
    assert finite_rows(vectors).tolist() == [False, True, False]
    assert server.paid == [f"passage: {TEXTS[0]}"]
    assert finite_rows(asked.embed_each([""])).tolist() == [False]
    with pytest.raises(TextsRefusedError, match="1 of 2 texts, 1 of them blank"):
        asked.embed(["", "x"])


def test_a_refusal_of_everything_is_no_refusal_of_texts(server: EmbeddingServer) -> None:
    server.refuses = lambda texts: (400, "this model does not support the parameter dimensions")
    with pytest.raises(ProviderError, match=r"refused 41 texts in 64 dimensions.*does not support the parameter"):
        provider(server, dimensions=64).embed(TEXTS)
    assert server.requests == 2


def test_the_reason_holds_neither_the_texts_nor_the_key(server: EmbeddingServer) -> None:
    def refuses(texts: list[str]) -> tuple[int, str] | None:
        return (400, f"key {KEY}: cannot embed {LONG}: it is too long") if LONG in texts else None

    server.refuses = refuses
    asked = provider(server)
    asked.embed([LONG, "x"])
    assert asked.shortened.cut == 1
    assert "word1 " not in asked.shortened.reason
    assert KEY not in asked.shortened.reason
    assert "too long" in asked.shortened.reason


def test_a_cut_text_is_cached_as_what_was_embedded_and_not_sent_again(server: EmbeddingServer, tmp_path: Path) -> None:
    server.refuses = as_vllm
    file = tmp_path / "c.sqlite3"
    first = Cached(provider(server), file)
    vectors = first.embed([LONG, *TEXTS])
    (cut,) = [text for text in server.texts if text.startswith("word0 ")]
    first.close()
    requests = server.requests
    again = Cached(provider(server), file)
    np.testing.assert_array_equal(again.embed([LONG, *TEXTS]), vectors)
    np.testing.assert_array_equal(again.embed([cut])[0], vectors[0])
    assert server.requests == requests + 1, "only whether it is still the same model was asked"
    assert again.shortened.cut == 1
    assert again.bill([LONG]).tokens == 0
    again.close()


def test_a_refused_text_is_not_cached(server: EmbeddingServer, tmp_path: Path) -> None:
    server.refuses = lambda texts: (400, "content policy") if LONG in texts else None
    cached = Cached(provider(server), tmp_path / "c.sqlite3")
    assert not np.isfinite(cached.embed_each([LONG])).any()
    server.refuses = lambda texts: None
    assert np.isfinite(cached.embed_each([LONG])).all()
    cached.close()


class Function:
    """An embedding function of an application that fails for some texts, whatever its library raises."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    def __call__(self, input: list[str]) -> Any:
        self.calls += 1
        if any(len(text) > 2000 for text in input):
            raise self.error
        return shared_minilm().embed(input)


@pytest.mark.parametrize("error", [IndexError("index out of range in self"), RuntimeError("CUDA"), ValueError("x")])
def test_a_function_of_the_application_that_raises_is_treated_alike(error: Exception) -> None:
    asked = ChromaProvider(Function(error))
    vectors = asked.embed([*TEXTS, LONG])
    np.testing.assert_allclose(vectors[:40], shared_minilm().embed(TEXTS), atol=0.05)
    assert asked.shortened.cut == 1


def test_a_lost_connection_is_not_taken_for_a_refusal() -> None:
    function = Function(ConnectionResetError("gone"))
    with pytest.raises(ProviderError, match="failed with ConnectionResetError; try it by itself"):
        ChromaProvider(function).embed([*TEXTS, LONG])
    assert function.calls == 1


def test_of_a_library_s_exception_only_the_type_and_the_limit_are_told() -> None:
    error = ValueError(f"sk-secret {LONG[:60]}: the maximum input length is 300 tokens")
    asked = ChromaProvider(Function(error))
    asked.embed([TEXTS[0], LONG])
    assert asked.shortened.reason == "ValueError: at most 300 tokens"


def test_a_vector_that_is_not_finite_is_that_of_one_text() -> None:
    def function(input: list[str]) -> Any:
        vectors = shared_minilm().embed(input)
        vectors[[row for row, text in enumerate(input) if text == "?"]] = np.nan
        return vectors

    asked = ChromaProvider(function)
    assert finite_rows(asked.embed_each(["a", "?", "b"])).tolist() == [True, False, True]
    assert asked.shortened.refused == 1
