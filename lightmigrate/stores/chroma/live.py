"""A Chroma database through a client that the caller has opened: embedded, or of a server."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address
from lightmigrate.stores.chroma.claim import ServerLock
from lightmigrate.stores.chroma.client import UPDATE_SERVER, connect
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.schema import not_copied
from lightmigrate.stores.chroma.store import ChromaStore

# The first version of a server that keeps schemas.
OLDEST = "1.3"


class LiveChromaStore(ChromaStore):
    """The client's own tenant and database. See `stores.base.Store`. Never closes the client.

    Raises:
        DatabaseError: it is not an open Chroma client.
    """

    def __init__(self, client: Any) -> None:
        if not all(hasattr(client, name) for name in ("list_collections", "get_collection", "tenant", "database")):
            raise DatabaseError(f"{type(client).__name__} is neither a folder nor an open Chroma client")
        self._live = client

    @property
    def client(self) -> Any:
        """Chroma's client, as the caller opened it."""
        return self._live

    @property
    def folder(self) -> Path | None:
        """The folder of a client of this process; `None` for a server, and for a database in memory."""
        settings = self._live.get_settings()
        return Path(settings.persist_directory) if settings.is_persistent and not settings.chroma_server_host else None

    def own_files(self) -> ChromaFiles | None:
        """See `stores.others.InFiles`: Chroma takes no lock of its own."""
        return None if self.folder is None else ChromaFiles(self.folder)

    @contextlib.contextmanager
    def claimed(self, owner: str) -> Iterator[Callable[[], None]]:
        """Hold the lock that a server holds; see `claim.Claimable`. An engine of this process needs none. Writes."""
        if self._is_remote:
            with ServerLock(self._live).held(owner) as still:
                yield still
        else:
            yield lambda: None

    def is_claimed(self) -> bool:
        """See `claim.Claimable`."""
        return self._is_remote and ServerLock(self._live).is_held()

    def wait_until_unclaimed(self) -> None:
        """See `claim.Claimable`."""
        if self._is_remote:
            ServerLock(self._live).wait()

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """The collections whose index Chroma cannot read vectors from, which can be made anew only in their folder."""
        first = "stop the server" if self.folder is None else "close the client"
        folder = "FOLDER" if self.folder is None else shlex.quote(str(self.folder))
        return {
            address: f"{fault}; {first}, and embed its documents again in the folder:  lightmigrate migrate {folder} "
            f"--collection {shlex.quote(str(address))} --embed-again --target-model MODEL"
            for address, fault in super().damaged(addresses).items()
        }

    @property
    def _is_remote(self) -> bool:
        return bool(self._live.get_settings().chroma_server_host)

    def unsupported(self) -> str | None:
        """Why this server is too old: before 1.3 it keeps no schemas, by which a collection is copied. Only reads."""
        if not self._is_remote:
            return None
        version = str(self._live.get_version())
        collections = self._live.list_collections(limit=1)
        old = version.startswith("0.") or any(one.get_model().serialized_schema is None for one in collections)
        if not old:
            return None
        return (
            f"the Chroma server at {self} is older than {OLDEST} (it answers as version {version}), and {OLDEST} or "
            f"newer is needed: {UPDATE_SERVER}"
        )

    def refusal(self, address: Address, dimension: int | None) -> str | None:
        """See `stores.base.Refusing`: an index that only distributed Chroma has, such as Chroma Cloud."""
        reason = not_copied(self.collection(address).schema())
        if reason is None:
            return None
        return (
            f"collection {address} has {reason}, which only distributed Chroma has, and which cannot be compared: "
            "build it in another database instead:  lightmigrate migrate DATABASE --to postgresql://USER@HOST/NAME"
        )

    def __str__(self) -> str:
        settings, own = self._live.get_settings(), (self._live.tenant, self._live.database)
        server = f"{settings.chroma_server_host}:{settings.chroma_server_http_port}"
        place = server if settings.chroma_server_host else str(settings.persist_directory)
        return place if own == (DEFAULT_TENANT, DEFAULT_DATABASE) else "/".join((place, *own))

    def _databases(self) -> list[Address]:
        return [Address("", self._live.tenant, self._live.database)]

    def _client(self, address: Address) -> Any:
        if (address.tenant, address.database) != (self._live.tenant, self._live.database):
            raise CollectionNotFoundError(
                f"{address} is in another database than the client's, {self._live.tenant}/{self._live.database}: "
                "open a client for that one"
            )
        return self._live


def connect_store(
    host: str, port: int, *, ssl: bool, headers: Mapping[str, str], tenant: str, database: str
) -> LiveChromaStore:
    """A database of a Chroma server; see `client.connect`."""
    return LiveChromaStore(connect(host, port, ssl=ssl, headers=headers, tenant=tenant, database=database))
