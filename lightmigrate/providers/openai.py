"""OpenAI, and every server that speaks its embeddings API."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from lightmigrate.errors import CostError, MissingExtraError, ProviderError
from lightmigrate.providers.base import Bill, Provider, estimated_tokens

# Dollars for a million tokens, as OpenAI publishes them.
PRICES = {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10}

# The official client waits and tries again, longer each time, or as long as the server says: half a minute in all.
RETRIES = 6
SECONDS_FOR_AN_ANSWER = 60.0


class OpenAIProvider(Provider):
    """A model behind the embeddings API; the key comes from `OPENAI_API_KEY` and goes nowhere else.

    Args:
        name: such as `text-embedding-3-small`.
        base_url: of another server that speaks the API; by default `OPENAI_BASE_URL`, or OpenAI.
        dimensions: shorter vectors, for models that can give them.
        price: dollars for a million tokens; known for OpenAI's own models.
        max_cost: dollars after which the provider refuses to go on.
        retries: how often a call is tried again when the server is busy or down.
        prefix: put before every document.
        query_prefix: put before every query.

    Attributes:
        spent: what was paid so far, by the server's own count.
    """

    provider: ClassVar[str] = "openai"
    batch_size = 1000
    batch_characters = 400_000  # a call may hold 300,000 tokens

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        dimensions: int | None = None,
        price: float | None = None,
        max_cost: float | None = None,
        retries: int = RETRIES,
        prefix: str = "",
        query_prefix: str = "",
    ) -> None:
        revision = f"dimensions={dimensions}" if dimensions else ""
        super().__init__(name, revision=revision, prefix=prefix, query_prefix=query_prefix)
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self.dimensions = dimensions
        self.price = PRICES.get(name) if price is None else price
        self.max_cost = max_cost
        self.retries = retries
        self.spent = Bill(0, 0.0)
        self._client: Any = None
        if max_cost is not None and self.price is None:
            raise ProviderError(f"no price is known for {name}, so no cost can be limited; give its price")

    @property
    def key(self) -> str:
        """Another server may have another model of that name."""
        return "/".join((super().key, self.base_url or ""))

    def bill(self, texts: Sequence[str]) -> Bill:
        """What embedding these texts would cost, about."""
        return self._priced(estimated_tokens(texts))

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch. What was embedded before a failure was paid for and is in the cache, when there is one."""
        expected = self.bill(texts).dollars
        if self.max_cost is not None and (self.spent.dollars or 0) + (expected or 0) > self.max_cost:
            raise CostError(
                f"the next {len(texts)} texts would cost about ${expected:.4f} and ${self.spent.dollars:.4f} of "
                f"${self.max_cost:.4f} are spent; allow more, or embed less",
                spent=self.spent.dollars or 0.0,
                allowed=self.max_cost,
            )
        answer = self._ask(list(texts))
        try:
            rows = sorted(answer.data, key=lambda row: row.index)
            vectors = [row.embedding for row in rows]
            if [row.index for row in rows] != list(range(len(rows))):
                raise ProviderError(f"{self.name} left some of {len(texts)} texts out; try again")
            self.spent = self._priced(self.spent.tokens + int(answer.usage.prompt_tokens if answer.usage else 0))
        except (AttributeError, TypeError):
            raise ProviderError(
                f"the server at {self._place()} did not answer with embeddings; check the URL"
            ) from None
        return vectors

    def _ask(self, texts: list[str]) -> Any:
        try:
            import openai
        except ImportError:
            raise MissingExtraError("openai", "openai") from None
        if self._client is None:
            if not os.environ.get("OPENAI_API_KEY"):
                raise ProviderError("OPENAI_API_KEY is not set; put the key (or any word, for a local server) there")
            self._client = openai.OpenAI(
                base_url=self.base_url, max_retries=self.retries, timeout=SECONDS_FOR_AN_ANSWER
            )
        wanted: dict[str, Any] = {"dimensions": self.dimensions} if self.dimensions else {}
        try:
            # Floats, not base64: that is what every compatible server can do.
            return self._client.embeddings.create(model=self.name, input=texts, encoding_format="float", **wanted)
        except openai.AuthenticationError:
            raise ProviderError(f"{self._place()} does not accept the key in OPENAI_API_KEY; check it") from None
        except openai.PermissionDeniedError:
            raise ProviderError(f"the key in OPENAI_API_KEY may not use {self.name}; ask for access") from None
        except openai.NotFoundError:
            raise ProviderError(f"{self._place()} has no model {self.name!r}; check the name") from None
        except openai.RateLimitError:
            raise ProviderError(
                f"{self._place()} is busy or the quota is used up: refused {self.retries + 1} times; go on later, "
                "nothing embedded so far is lost"
            ) from None
        except openai.BadRequestError:
            longest = max(len(text) for text in texts)
            raise ProviderError(
                f"{self.name} refused {len(texts)} texts, the longest of {longest:,} characters: is it too long?"
            ) from None
        except openai.APITimeoutError:
            raise ProviderError(f"{self._place()} did not answer within {SECONDS_FOR_AN_ANSWER:.0f} seconds") from None
        except openai.APIConnectionError:
            raise ProviderError(f"{self._place()} cannot be reached; is the server running?") from None
        except openai.APIStatusError as error:
            raise ProviderError(f"{self._place()} failed with status {error.status_code}; try again later") from None
        except (openai.OpenAIError, ValueError):  # a body that is not what the API says
            raise ProviderError(
                f"the server at {self._place()} did not answer with embeddings; check the URL"
            ) from None

    def _priced(self, tokens: int) -> Bill:
        return Bill(tokens, None if self.price is None else tokens * self.price / 1e6)

    def _place(self) -> str:
        return self.base_url or "OpenAI"
