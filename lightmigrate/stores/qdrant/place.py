"""Open a client of a server or of a folder, and say where it leads to, without password or key."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from lightmigrate.errors import DatabaseError, DatabaseInUseError
from lightmigrate.stores.qdrant.calls import is_local

# Holds the key of a server that requires one.
KEY_VARIABLE = "QDRANT_API_KEY"

_PORT = 6333
_SECONDS = 300

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")


def open_server(url: str) -> QdrantClient:
    """A client of the server at `qdrant://host[:port]`, or at `qdrant+https://host[:port]`. Only reads.

    Raises:
        DatabaseError: the address has another form, or no server answers. The message contains no key.
    """
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError:
        host, port, parts = "", _PORT, urlsplit("")
    plain = parts.username is None and parts.password is None and parts.path in ("", "/") and not parts.query
    if not plain or not _HOST.fullmatch(host):
        raise DatabaseError(
            "the address of a Qdrant server is qdrant://HOST[:PORT] or qdrant+https://HOST[:PORT]; give a key in the "
            f"environment variable {KEY_VARIABLE}"
        )
    https, key = scheme == "qdrant+https", os.environ.get(KEY_VARIABLE) or None
    if key and not https and host not in _LOOPBACK:
        raise DatabaseError(
            f"the API key ({KEY_VARIABLE}) would be sent to {host} without encryption: give qdrant+https://{host}:{port}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is said above, or by `Store.unsupported`
            client = QdrantClient(
                host=host, port=port, https=https, api_key=key, timeout=_SECONDS, check_compatibility=False
            )
        client.info()
    except (UnexpectedResponse, ResponseHandlingException, OSError, ValueError) as error:
        status = error.status_code if isinstance(error, UnexpectedResponse) else None
        why = type(error).__name__ if status is None else f"it answers {status}"
        help_ = f"set {KEY_VARIABLE}" if status in (401, 403) else "check host and port, and qdrant+https:// for TLS"
        raise DatabaseError(f"no Qdrant server can be used at {host}:{port} ({why}): {help_}") from None
    return client


def open_local(folder: Path) -> QdrantClient:
    """A client of a folder of local mode, for this process alone.

    Raises:
        DatabaseInUseError: another process has it open.
        DatabaseError: its files cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it is large
            return QdrantClient(path=str(folder))
    except RuntimeError:
        raise DatabaseInUseError(
            f"{folder} is open in another Qdrant client: close it first, then run this again", processes=[]
        ) from None
    except Exception as error:  # noqa: BLE001  # whatever JSON, sqlite3 and pickle raise
        raise DatabaseError(
            f"{folder} cannot be opened by qdrant-client ({type(error).__name__}): copy the folder again"
        ) from None


def place_of(client: QdrantClient) -> Path | str:
    """The folder of a client, or an address that identifies its server, without key."""
    options = client.init_options
    if options.get("path") is not None:
        return Path(str(options["path"])).resolve()
    if is_local(client):
        return f"Qdrant in memory {id(client):x}"
    location = options.get("url") or options.get("location") or options.get("host") or "localhost"
    parts = urlsplit(location if "://" in location else f"//{location}")
    https = options.get("https")
    secure = parts.scheme == "https" or (bool(options.get("api_key")) if https is None else bool(https))
    host = parts.hostname or "localhost"
    return f"qdrant{'+https' if secure and parts.scheme != 'http' else ''}://{host}:{parts.port or options['port']}"
