"""Chroma's own clients, without telemetry; no model is downloaded or built."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightmigrate.errors import DatabaseError, LightmigrateError, MissingExtraError
from lightmigrate.providers.functions import is_embedder
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT
from lightmigrate.stores.chroma.schema import NOT_KNOWN, ONLY_REPLACES

try:
    import chromadb
    from chromadb.api.client import Client
    from chromadb.config import Settings
except ImportError:
    raise MissingExtraError("chromadb", "chroma") from None

from lightmigrate.stores.chroma.bindings import bound_indexes

# How long the version of a server is waited for.
SECONDS = 10.0

# What to do about a server that is too old. Tried with servers of 1.0.20 (and 0.6.3): the newer one opens their folder;
# they cannot use a folder that was migrated with a newer chromadb.
UPDATE_SERVER = (
    "update the server, which keeps its data, and run this again; migrating its folder while it is stopped needs the "
    "newer server afterwards, too"
)


def open_client(folder: Path, tenant: str = DEFAULT_TENANT, database: str = DEFAULT_DATABASE) -> Any:
    """Chroma's own client of a folder, without telemetry; creates a missing folder. Close it when done."""
    # Chroma caches engines by the literal path: two spellings would open two engines on one folder.
    client = chromadb.PersistentClient(str(folder.resolve()), _silent(), tenant, database)
    bound_indexes(client)
    return client


def connect(host: str, port: int, *, ssl: bool, headers: Mapping[str, str], tenant: str, database: str) -> Any:
    """A client of a Chroma server, without telemetry.

    Raises:
        DatabaseError: no Chroma server answers at the address. The message contains no header.
    """
    try:
        client = chromadb.HttpClient(host, port, ssl, dict(headers), _silent(), tenant, database)
        client.heartbeat()
    except Exception as error:  # noqa: BLE001  # httpx, chromadb and ValueError
        ask = functools.partial(_asked, host, port, ssl=ssl, headers=headers)
        if (reason := _why_not(ask, list(headers), tenant, database)) is not None:
            raise DatabaseError(f"the Chroma server at {host}:{port} {reason}") from None
        raise DatabaseError(
            f"no Chroma server answers at {host}:{port} for {tenant}/{database} ({type(error).__name__}); "
            "check --host, --port, --ssl, --header, --tenant and --database"
        ) from None
    return client


def _why_not(
    ask: Callable[[str], tuple[int, object]], headers: Sequence[str], tenant: str, database: str
) -> str | None:
    """Why a server that answers cannot be used, with what helps; `None` for one that does not answer as Chroma does.

    Args:
        ask: the status and the JSON of an answer to a path; status 0 where there is none.
        headers: names of the headers that are sent.
        tenant: the tenant that is wanted.
        database: the database that is wanted.
    """
    _, version = ask("/api/v1/version")  # servers up to 0.5 only speak the first version of the API
    if isinstance(version, str) and re.fullmatch(r"0\.[\d.]+", version):
        return f"is of version {version}, and 1.3 or newer is needed: {UPDATE_SERVER}"
    status, _ = ask("/api/v2/auth/identity")
    if status in (401, 403) and headers:
        return f"does not accept what {' and '.join(headers)} says (status {status}): check its value"
    if status in (401, 403):
        return (
            f"wants a header (status {status}): name it, as in --header X-Chroma-Token or --header Authorization; its "
            "value is read from the environment or asked for"
        )
    if status == 200 and ask(f"/api/v2/tenants/{quote(tenant)}/databases/{quote(database)}")[0] == 404:
        return f"has no database {database} of a tenant {tenant}: check --tenant and --database"
    return None


def _asked(host: str, port: int, path: str, *, ssl: bool, headers: Mapping[str, str]) -> tuple[int, object]:
    """The status of a server's answer and what it holds, `None` if that is no JSON; status 0 for no answer."""
    connection = (http.client.HTTPSConnection if ssl else http.client.HTTPConnection)(host, port, timeout=SECONDS)
    try:
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            status, content = answer.status, answer.read(2000)
    except (OSError, ValueError, http.client.HTTPException):
        return 0, None
    with contextlib.suppress(ValueError):
        return status, json.loads(content)
    return status, None


def _silent() -> Settings:
    return copied(_settings())  # clients write to theirs


def copied(settings: Settings) -> Settings:
    """A copy of Chroma's settings, which are of the first version of pydantic in older versions of Chroma."""
    copy: Callable[[], Settings] = getattr(settings, "model_copy", None) or settings.copy
    return copy()


@functools.cache
def _settings() -> Settings:
    """Without telemetry. Made once: it reads the environment and takes longer than opening a small folder."""
    return Settings(anonymized_telemetry=False)


def unreferenced_client(engine: Any, tenant: str, database: str) -> Any:
    """A client of an engine that runs, which does not count as one that keeps it running."""
    client = Client.__new__(Client)  # its __init__ counts it, and starts an engine where there is none
    client.tenant, client.database = tenant, database
    client._server = engine
    client._closed = True
    return client


def describe_function(embedding_function: object) -> dict[str, Any]:
    """What Chroma records about an embedding function: `{"name": ..., "config": ...}`. Calls no model.

    A function without name and config is recorded as unknown, as Chroma does it. Keeping the present record would name
    a model whose vectors were replaced. Where a function is recorded that comes as an object, `schema.recording`
    decides; a mapping is recorded as it is.

    Args:
        embedding_function: an embedding function of any kind (`providers.functions`), or such a mapping.

    Raises:
        LightmigrateError: it is neither a function nor such a mapping.
    """
    function: Any = embedding_function
    if isinstance(function, Mapping):
        record = dict(function)
    else:
        try:
            record = {"name": function.name(), "config": function.get_config(), ONLY_REPLACES: True}
        except (AttributeError, NotImplementedError, TypeError):
            record = {}
        if not _is_record(record) and is_embedder(function):  # Chroma's base class answers NotImplemented
            record = dict(NOT_KNOWN)
    if record != NOT_KNOWN and not _is_record(record):
        raise LightmigrateError(
            f"a {type(function).__name__} is neither an embedding function nor what Chroma records of one, "
            '{"name": ..., "config": {...}}; leave it out to keep what is recorded'
        )
    return record


def _is_record(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("name"), str) and isinstance(record.get("config"), Mapping)
