"""Starts the page on this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from lightmigrate.errors import LightmigrateError
from lightmigrate.web.app import create_app
from lightmigrate.web.guard import Access
from lightmigrate.web.pages import Site

LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Streams of progress are cut after so long when the server ends.
SECONDS_TO_END = 1


def serve(site: Site, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted. Runs that work then are interrupted, too, and can be resumed.

    Args:
        site: its databases and models.
        host: address to listen at.
        port: to listen at; 0 for a free one.
        announce: receives the address to open, once connections are accepted.

    Raises:
        LightmigrateError: the address cannot be listened at.
    """
    listening = _listening(host, port)
    bound = int(listening.getsockname()[1])
    access = Access(bound)
    if host not in LOOPBACK:
        named = f"[{host}]" if ":" in host else host
        access = Access(bound, (*access.hosts, named), any_address=True)
    config = uvicorn.Config(
        create_app(site, access),
        log_level="warning",
        access_log=False,  # an address holds the token once
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SECONDS_TO_END,
        lifespan="off",
    )
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    announce(f"http://{shown}:{bound}/?token={access.token}")
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LightmigrateError(
            f"cannot listen at {host}:{port}: {reason}; choose another port with --port, or --port 0 for a free one"
        ) from None
