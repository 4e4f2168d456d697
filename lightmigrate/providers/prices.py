"""What embedding costs."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

# Dollars for a million tokens, as OpenAI publishes them.
PRICES = {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10}


def price_of(model: str, addresses: Iterable[str] = ()) -> float | None:
    """Dollars for a million tokens of a model behind an API; `None` when no price is known.

    A server on this machine is free, unless its model has the name of a paid one: then it may be a proxy.

    Args:
        model: its name.
        addresses: URLs of its server, all that are known.
    """
    if model in PRICES:
        return PRICES[model]
    known = list(filter(None, addresses))
    return 0.0 if known and all(map(is_this_machine, known)) else None


def dollars_for(tokens: int, price: float | None) -> float | None:
    """What tokens cost at a price for a million of them. Nothing costs nothing, whatever the price is."""
    if not tokens:
        return 0.0
    return None if price is None else tokens * price / 1e6


def is_this_machine(address: str) -> bool:
    """Whether a URL leads to this machine: to `localhost` or a loopback address. Asks no name server."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
