"""Keeps others out: only who has the token, through the right name, from a page of this server, gets an answer."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Sent with every answer. Nothing is loaded from elsewhere, no script or style stands in a page, nobody frames it.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # without one, browsers send no origin with a form either
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Access:
    """Who may use the page.

    Attributes:
        port: of this server.
        hosts: the names by which it may be addressed.
        any_address: whether any address of this machine will do; names, which others could point here, never do.
        token: the secret of this run of the server.
    """

    port: int
    hosts: Collection[str] = ("127.0.0.1", "localhost", "[::1]")
    any_address: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def cookie(self) -> str:
        """Name of the cookie: browsers share cookies between the ports of a machine."""
        return f"lightmigrate_{self.port}"

    def is_ours(self, host: str) -> bool:
        """Whether a `Host` header names this server."""
        name, _, port = host.rpartition(":")
        if port != str(self.port):
            return False
        return name in self.hosts or (self.any_address and _is_address(name))


class Guard:
    """Refuses a request with another `Host`, without the token, or that another site's page sends.

    The token comes once in the address, and leaves it for a cookie that scripts cannot read and other sites not send.

    Args:
        app: what answers the others.
        access: who may use it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in names),
                ]
            await send(message)

        await (self._refusal(Request(scope)) or self._app)(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to who may not come in, or comes in for the first time; `None` for everybody else."""
        access, host = self._access, request.headers.get("host", "")
        if not access.is_ours(host):
            return PlainTextResponse("this is not the address of the page\n", 400)
        given = request.query_params.get("token")
        if given is not None and request.method in _READING and _equal(given, access.token):
            return self._welcome(request)
        if not _equal(request.cookies.get(access.cookie, ""), access.token):
            return PlainTextResponse("open the address that  lightmigrate ui  printed\n", 403)
        if request.method not in _READING and not _from_here(request, host):
            return PlainTextResponse("a page of another site sent this: nothing was done\n", 403)
        return None

    def _welcome(self, request: Request) -> Response:
        """The same address without the token, which is in the cookie from now on."""
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        path = "/" + request.url.path.lstrip("/")  # two slashes would name another server
        answer = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)
        answer.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="strict", path="/")
        return answer


def _from_here(request: Request, host: str) -> bool:
    """Whether a page of this server sent the request; a browser says so in at least one of two headers."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        return False
    return site in (None, "same-origin") and origin in (None, f"{request.url.scheme}://{host}")


def _equal(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
