"""Open a client of a server or of Milvus Lite, and say where an open client leads to."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from lightmigrate.errors import DatabaseError, DatabaseInUseError
from lightmigrate.lock_file import LockFile
from lightmigrate.stores.milvus.quiet import quiet
from lightmigrate.system import lock

# Holds the token of a server that requires one: an API key, or USER:PASSWORD.
TOKEN_VARIABLE = "MILVUS_TOKEN"  # noqa: S105  # the name of a variable

_PORT = 19530
_SECONDS = 10

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Milvus Lite's own servers of this process that this module started, by path: how many clients use each.
_STARTED: dict[Path, int] = {}
_LOCK = threading.Lock()


def open_server(url: str) -> MilvusClient:
    """A client of the server at `milvus://HOST[:PORT][/DATABASE]`, or at `milvus+https://…`. Only reads.

    Raises:
        DatabaseError: the address has another form, or no server answers. The message contains no token.
    """
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
        host, port, database = parts.hostname or "", parts.port or _PORT, parts.path.strip("/")
    except ValueError:
        host, port, database, parts = "", _PORT, "", urlsplit("")
    plain = parts.username is None and parts.password is None and not parts.query
    if not plain or not _HOST.fullmatch(host) or not (database == "" or _DATABASE.fullmatch(database)):
        raise DatabaseError(
            "the address of a Milvus server is milvus://HOST[:PORT][/DATABASE] or milvus+https://…; give a token in "
            f"the environment variable {TOKEN_VARIABLE}"
        )
    https, token = scheme == "milvus+https", os.environ.get(TOKEN_VARIABLE) or ""
    if token and not https and host not in _LOOPBACK:
        raise DatabaseError(
            f"the token ({TOKEN_VARIABLE}) would be sent to {host} without encryption: give milvus+https://{host}:{port}"
        )
    try:
        with quiet():
            address = f"{'https' if https else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
            return MilvusClient(uri=address, token=token, db_name=database, timeout=_SECONDS)
    except (MilvusException, OSError, ValueError) as error:
        raise DatabaseError(
            f"no Milvus server can be used at {host}:{port} ({type(error).__name__}): check host, port and database, "
            f"milvus+https:// for TLS, and {TOKEN_VARIABLE}"
        ) from None


def open_lite(path: Path) -> MilvusClient:
    """A client of a database of Milvus Lite, which this process alone can have open.

    Raises:
        DatabaseInUseError: another process has it open.
        DatabaseError: its files cannot be read.
    """
    place = path.expanduser().resolve()
    with _LOCK:
        ours = place in _STARTED or str(place) not in _servers()
        try:
            with quiet():
                client = MilvusClient(uri=str(place))
        except (MilvusException, OSError, ValueError) as error:
            if _is_locked(place):
                raise DatabaseInUseError(
                    f"{place} is open in another process: close it first, then run this again", processes=[]
                ) from None
            raise DatabaseError(
                f"{place} cannot be opened by milvus-lite ({type(error).__name__}): copy the folder again"
            ) from None
        if ours:
            _STARTED[place] = _STARTED.get(place, 0) + 1
    return client


def close(client: MilvusClient) -> None:
    """Close a client that `open_server` or `open_lite` returned, and Milvus Lite with its last client."""
    place = place_of(client)
    client.close()
    with _LOCK:
        if isinstance(place, Path) and place in _STARTED:
            _STARTED[place] -= 1
            if not _STARTED[place]:
                del _STARTED[place]
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(str(place))


def place_of(client: MilvusClient) -> Path | str:
    """The path of Milvus Lite, or an address that identifies the server, without token."""
    config: Any = getattr(client, "_config", None)
    address = str(getattr(config, "address", ""))
    lite = next((path for path, port in _servers().items() if address == f"127.0.0.1:{port}"), None)
    if lite is not None:
        return Path(lite).resolve()
    parts = urlsplit(str(getattr(config, "uri", "")))
    database = str(getattr(config, "db_name", "") or "")
    suffix = f"/{database}" if database not in ("", "default") else ""
    return f"milvus{'+https' if parts.scheme == 'https' else ''}://{address}{suffix}"


def _servers() -> dict[str, int]:
    """The port of each database of Milvus Lite that this process has open, by its absolute path."""
    try:
        from milvus_lite.server_manager import server_manager_instance
    except ImportError:
        return {}
    servers: dict[str, Any] = getattr(server_manager_instance, "_servers", {})
    return {path: entry[2] for path, entry in dict(servers).items()}


def _is_locked(place: Path) -> bool:
    """Whether another process holds Milvus Lite's lock."""
    with contextlib.suppress(OSError), LockFile(place / "LOCK", "rb+") as file:
        return not lock(file, wait=False)
    return False
