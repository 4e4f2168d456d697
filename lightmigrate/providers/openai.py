"""OpenAI, and every server with a compatible embeddings API."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from lightmigrate.errors import BusyError, CostError, MissingExtraError, ProviderError, TextsRefusedError
from lightmigrate.providers.base import Bill, Provider, estimated_tokens
from lightmigrate.providers.busy import RETRIES
from lightmigrate.providers.openai_answer import vectors_in
from lightmigrate.providers.parallel import CALLS_AT_ONCE, ParallelCalls
from lightmigrate.providers.prices import dollars_for, price_of
from lightmigrate.providers.purse import Limit
from lightmigrate.providers.refusals import is_about_texts, reason_of, refuses_texts, seconds_to_wait

SECONDS_FOR_AN_ANSWER = 60.0

# A call may hold 2,048 texts and 300,000 tokens; Chinese has about one token per character.
MOST_TEXTS_OF_CALL, MOST_CHARACTERS_OF_CALL = 1000, 250_000


class OpenAIProvider(Provider):
    """A model behind the embeddings API; the key is read from `OPENAI_API_KEY` and sent only to its server.

    Args:
        name: such as `text-embedding-3-small`.
        base_url: URL of another compatible server, up to `/v1`; by default `OPENAI_BASE_URL`, or OpenAI.
        dimensions: dimension of the vectors, for models that can shorten them.
        price: dollars for a million tokens; known for OpenAI's own models, and 0 for a server on this machine.
        max_cost: dollars that may be spent; a call whose estimated cost would exceed it is refused.
        retries: how often a call is repeated when the server is busy or down.
        timeout: seconds to wait for an answer.
        prefix: put before every document.
        query_prefix: put before every query.

    Raises:
        ProviderError: the address, the price or the limit is invalid, or a limit was given and no price is known.
    """

    provider = "openai"
    batch_size = MOST_TEXTS_OF_CALL
    busy_retries = 0  # its client waits
    batch_characters = MOST_CHARACTERS_OF_CALL

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        dimensions: int | None = None,
        price: float | None = None,
        max_cost: float | None = None,
        retries: int = RETRIES,
        timeout: float = SECONDS_FOR_AN_ANSWER,
        prefix: str = "",
        query_prefix: str = "",
    ) -> None:
        super().__init__(name, prefix=prefix, query_prefix=query_prefix)
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self.dimensions = dimensions
        self.price = price_of(name, [self.base_url or ""]) if price is None else price
        self.max_cost = max_cost
        self.retries = retries
        self.timeout = timeout
        self.parallel = ParallelCalls(CALLS_AT_ONCE)
        self._client: Any = None
        _require_plain_address(self.base_url)
        if max_cost is not None and self.price is None:
            raise ProviderError(f"no price is known for {name}, so no cost can be limited; give its price")
        if any(dollars is not None and not dollars >= 0 for dollars in (max_cost, self.price)):  # NaN is not either
            raise ProviderError("the price and the most that may be spent must be 0 dollars or more")

    @property
    def key(self) -> str:
        """The name with dimension and server, because another server may have another model of that name."""
        return "/".join((super().key, str(self.dimensions or ""), self.base_url or ""))

    @property
    def spent(self) -> Bill:
        """What is in the purse: tokens and cost as the server counts them, or estimated where it does not (yet)."""
        return self.priced(self.purse.tokens())

    def priced(self, tokens: int) -> Bill:
        """The cost of `tokens`; its dollars are `None` when no price is known."""
        return Bill(tokens, dollars_for(tokens, self.price))

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch. Batches embedded before a failure were paid for; a cache keeps them."""
        estimate = estimated_tokens(texts)
        call = self.purse.begin(estimate, Limit(self.max_cost, self.price))
        if call is None:
            spent, allowed = self.spent.dollars or 0.0, self.max_cost or 0.0
            raise CostError(
                f"the next {len(texts)} texts would cost about ${self.priced(estimate).dollars or 0.0:.4f} and "
                f"${spent:.4f} of ${allowed:.4f} are spent; allow more, or embed less",
                spent=spent,
                allowed=allowed,
            )
        try:
            answer = self._ask(list(texts))
        except BaseException:
            self.purse.end(call, 0)
            raise
        try:
            tokens = int(answer.usage.prompt_tokens if answer.usage else estimate)
        except (AttributeError, TypeError, ValueError):
            tokens = estimate
        self.purse.end(call, tokens)  # an unusable answer is paid for too
        try:
            return vectors_in(answer.data, texts)
        except (AttributeError, TypeError, ValueError):
            raise self._no_embeddings() from None

    def _ask(self, texts: list[str]) -> Any:
        try:
            import openai
        except ImportError:
            raise MissingExtraError("openai", "openai") from None
        if self._client is None:
            if not os.environ.get("OPENAI_API_KEY"):
                raise ProviderError("OPENAI_API_KEY is not set; put the key (or any word, for a local server) there")
            waiting = openai.DefaultHttpxClient(event_hooks={"response": [_not_again_for_its_texts]})
            self._client = openai.OpenAI(
                base_url=self.base_url, max_retries=self.retries, timeout=self.timeout, http_client=waiting
            )
        options: dict[str, Any] = {"dimensions": self.dimensions} if self.dimensions else {}
        try:
            # Floats, not base64: every compatible server can return them.
            return self._client.embeddings.create(model=self.name, input=texts, encoding_format="float", **options)
        except openai.AuthenticationError:
            raise ProviderError(f"{self._server()} does not accept the key in OPENAI_API_KEY; check it") from None
        except openai.PermissionDeniedError:
            raise ProviderError(f"the key in OPENAI_API_KEY may not use {self.name}; ask for access") from None
        except openai.NotFoundError:
            raise ProviderError(
                f"{self._server()} has no model {self.name!r}; check the name, and that the URL ends like /v1"
            ) from None
        except openai.APITimeoutError:
            raise ProviderError(f"{self._server()} did not answer within {self.timeout:g} seconds; try later") from None
        except openai.APIConnectionError:
            raise ProviderError(f"{self._server()} cannot be reached; is the server running?") from None
        except openai.APIStatusError as error:
            raise self._failed(error, texts) from None
        except (openai.OpenAIError, ValueError):  # a body that does not follow the API
            raise self._no_embeddings() from None

    def _failed(self, error: Any, texts: Sequence[str]) -> ProviderError:
        """The error for an answer with a status that is no success, with the server's own reason."""
        reason = reason_of(error, texts)
        said = f": {reason}" if reason else ""
        if is_about_texts(error):
            suffix = f" in {self.dimensions} dimensions" if self.dimensions else ""
            return TextsRefusedError(
                f"{self.name} refused {len(texts)} texts{suffix}, the longest of {max(map(len, texts)):,} characters"
                f"{said}; check the model's name and its options",
                texts=texts,
                reason=reason,
            )
        if error.status_code == 429:
            return BusyError(
                f"{self._server()} is busy or the quota is used up, tried up to {self.retries + 1} times{said}; go on "
                "later: what is in the cache is not asked for again",
                seconds=seconds_to_wait(error),
            )
        return ProviderError(f"{self._server()} failed with status {error.status_code}{said}; try again later")

    def _no_embeddings(self) -> ProviderError:
        return ProviderError(f"{self._server()} did not answer with embeddings; check the URL")

    def _server(self) -> str:
        return f"the server at {self.base_url}" if self.base_url else "OpenAI"


def _not_again_for_its_texts(response: Any) -> None:
    """Keep the official client from repeating a request that is refused for its texts: each time takes half a minute.

    Some servers refuse with a status of 500 or 429, which the client takes for a moment's trouble.
    """
    if not response.is_success:
        response.read()
        if refuses_texts(response.status_code, response.text):
            response.headers["x-should-retry"] = "false"


def _require_plain_address(url: str | None) -> None:
    """Refuse an address with a password, because messages and cache keys contain the address."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain:
        raise ProviderError("the address of a server is like http://localhost:8000/v1, without a password in it")
