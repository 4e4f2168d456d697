"""OpenAI, and every server that speaks its embeddings API."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from lightmigrate.errors import CostError, MissingExtraError, ProviderError
from lightmigrate.providers.base import Bill, Provider, estimated_tokens

# Dollars for a million tokens, as OpenAI publishes them.
PRICES = {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10}

# The official client waits and tries again: half a second, then twice as long each time up to 8 seconds, less up to
# a quarter by chance, or as long as Retry-After says. Half a minute in all.
RETRIES = 6
SECONDS_FOR_AN_ANSWER = 60.0


class OpenAIProvider(Provider):
    """A model behind the embeddings API; the key comes from `OPENAI_API_KEY` and goes nowhere else.

    Args:
        name: such as `text-embedding-3-small`.
        base_url: of another server that speaks the API, as far as `/v1`; by default `OPENAI_BASE_URL`, or OpenAI.
        dimensions: shorter vectors, for models that can give them.
        price: dollars for a million tokens; known for OpenAI's own models.
        max_cost: dollars this object may spend; it refuses the call that would go beyond, by an estimate.
        retries: how often a call is tried again when the server is busy or down.
        timeout: seconds to wait for an answer.
        prefix: put before every document.
        query_prefix: put before every query.

    Attributes:
        spent: what was paid so far, by the server's own count, or by an estimate where it does not count.

    Raises:
        ProviderError: the address or the limit makes no sense, or the limit needs a price that is not known.
    """

    provider = "openai"
    batch_size = 1000
    batch_characters = 250_000  # a call may hold 300,000 tokens, and Chinese has about one for each character

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
        self.price = PRICES.get(name) if price is None else price
        self.max_cost = max_cost
        self.retries = retries
        self.timeout = timeout
        self.spent = Bill(0, 0.0)
        self._client: Any = None
        _require_plain_address(self.base_url)
        if max_cost is not None and self.price is None:
            raise ProviderError(f"no price is known for {name}, so no cost can be limited; give its price")
        if any(dollars is not None and not dollars >= 0 for dollars in (max_cost, self.price)):  # NaN is not either
            raise ProviderError("the price and the most that may be spent must be 0 dollars or more")

    @property
    def key(self) -> str:
        """Another server may have another model of that name."""
        return "/".join((super().key, str(self.dimensions or ""), self.base_url or ""))

    def priced(self, tokens: int) -> Bill:
        """What so many tokens cost."""
        return Bill(tokens, None if self.price is None and tokens else tokens * (self.price or 0.0) / 1e6)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch. What was embedded before a failure was paid for and is in the cache, when there is one."""
        estimate = estimated_tokens(texts)
        expected = self.priced(estimate).dollars
        if self.max_cost is not None and (self.spent.dollars or 0) + (expected or 0) > self.max_cost:
            raise CostError(
                f"the next {len(texts)} texts would cost about ${expected:.4f} and ${self.spent.dollars:.4f} of "
                f"${self.max_cost:.4f} are spent; allow more, or embed less",
                spent=self.spent.dollars or 0.0,
                allowed=self.max_cost,
            )
        answer = self._ask(list(texts))
        try:
            counted = answer.usage.prompt_tokens if answer.usage else estimate
            self.spent = self.priced(self.spent.tokens + int(counted))  # a bad answer is paid for too
            rows = sorted(answer.data, key=lambda row: row.index)
            if [row.index for row in rows] != list(range(len(rows))):
                raise ProviderError(f"{self.name} left some of {len(texts)} texts out; try again")
            return [row.embedding for row in rows]
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
            self._client = openai.OpenAI(base_url=self.base_url, max_retries=self.retries, timeout=self.timeout)
        wanted: dict[str, Any] = {"dimensions": self.dimensions} if self.dimensions else {}
        try:
            # Floats, not base64: that is what every compatible server can do.
            return self._client.embeddings.create(model=self.name, input=texts, encoding_format="float", **wanted)
        except openai.AuthenticationError:
            raise ProviderError(f"{self._place()} does not accept the key in OPENAI_API_KEY; check it") from None
        except openai.PermissionDeniedError:
            raise ProviderError(f"the key in OPENAI_API_KEY may not use {self.name}; ask for access") from None
        except openai.NotFoundError:
            raise ProviderError(
                f"{self._place()} has no model {self.name!r}; check the name, and that the URL ends like /v1"
            ) from None
        except openai.RateLimitError:
            raise ProviderError(
                f"{self._place()} is busy or the quota is used up, tried up to {self.retries + 1} times; go on later: "
                "what is in the cache is not asked for again"
            ) from None
        except openai.BadRequestError:
            longest, empty = max(len(text) for text in texts), sum(not text for text in texts)
            asked = f" in {self.dimensions} dimensions" if self.dimensions else ""
            raise ProviderError(
                f"{self.name} refused {len(texts)} texts{asked}, {empty} of them empty, the longest of {longest:,} "
                "characters: leave out what is empty or too long"
            ) from None
        except openai.APITimeoutError:
            raise ProviderError(f"{self._place()} did not answer within {self.timeout:g} seconds; try later") from None
        except openai.APIConnectionError:
            raise ProviderError(f"{self._place()} cannot be reached; is the server running?") from None
        except openai.APIStatusError as error:
            raise ProviderError(f"{self._place()} failed with status {error.status_code}; try again later") from None
        except (openai.OpenAIError, ValueError):  # a body that is not what the API says
            raise self._no_embeddings() from None

    def _no_embeddings(self) -> ProviderError:
        return ProviderError(f"{self._place()} did not answer with embeddings; check the URL")

    def _place(self) -> str:
        return f"the server at {self.base_url}" if self.base_url else "OpenAI"


def _require_plain_address(url: str | None) -> None:
    """No passwords: the address is a part of messages and of the cache."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain:
        raise ProviderError("the address of a server is like http://localhost:8000/v1, without a password in it")
