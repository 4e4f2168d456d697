"""A lock that a Chroma server holds: a collection of a fixed name, which only one client can create.

Its holder counts on in its metadata as long as it runs. A lock whose count stands still is taken over: whoever waits
measures that by its own clock, so that the clocks of two machines need not agree.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from chromadb.errors import ChromaError, NotFoundError

from lightmigrate.errors import AnotherRunError, DatabaseError
from lightmigrate.progress import logger

# The collection, and the start of the names of those that are about to be deleted.
LOCK = "lightmigrate-lock"

# How often the holder counts on, and how long it may fail to. A server answers late while it writes much at once.
SECONDS_PER_BEAT, SECONDS_TO_EXPIRE = 3.0, 30.0

# How often the lock is looked at.
_PAUSE = 0.5

_OWNER, _BEAT = "owner", "beat"


class ServerLock:
    """The lock of one database of a server, through a client.

    Args:
        client: of the server.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @contextlib.contextmanager
    def held(self, owner: str) -> Iterator[Callable[[], None]]:
        """Hold it; see `claim.Claimable.claimed`."""
        collection, ended = self._taken(owner), threading.Event()
        beating = threading.Thread(target=self._count_on, args=(collection, owner, ended), daemon=True)
        beating.start()
        try:
            yield lambda: self._require(collection.id)
        finally:
            ended.set()
            beating.join()
            with contextlib.suppress(Exception):  # the server is gone; the lock expires
                self._remove(collection)

    def is_held(self) -> bool:
        """Whether somebody holds it, or died without giving it back; only reads."""
        return self._holder() is not None

    def wait(self) -> None:
        """Wait until nobody holds it who still runs. Only reads."""
        while (holder := self._holder()) is not None and not self._is_silent(holder):
            pass

    def _taken(self, owner: str) -> Any:
        tries = 0
        while True:
            try:
                return self._client.create_collection(LOCK, metadata={_OWNER: owner, _BEAT: 0}, embedding_function=None)
            except ChromaError as error:
                if (holder := self._holder()) is None:  # given back since; or the server cannot write
                    tries += 1
                    if tries < 10:
                        continue
                    raise DatabaseError(f"the server grants no lock ({type(error).__name__}): {error}") from None
            if (holder.metadata or {}).get(_OWNER) != owner and not self._is_silent(holder):
                raise AnotherRunError(
                    "another machine is working on this database: wait until it has ended, then run this again"
                )
            logger.info("a run that was killed, or whose machine is gone, held the database; it is taken over")
            self._remove(holder)

    def _holder(self) -> Any:
        """The lock; `None` when nobody holds it."""
        try:
            return self._client.get_collection(LOCK, embedding_function=None)
        except NotFoundError:
            return None
        except Exception:  # servers before 1.0 say that there is no such collection in an error of no class of its own
            if any(one.name == LOCK for one in self._client.list_collections()):
                raise
            return None

    def _is_silent(self, holder: Any) -> bool:
        """Watch a lock until its count changes, or until it has expired: whether it has."""
        deadline = time.monotonic() + SECONDS_TO_EXPIRE
        while time.monotonic() < deadline:
            time.sleep(min(_PAUSE, SECONDS_PER_BEAT))
            now = self._holder()
            if now is None or (now.id, now.metadata) != (holder.id, holder.metadata):
                return False
        return True

    def _count_on(self, collection: Any, owner: str, ended: threading.Event) -> None:
        beat = 0
        while not ended.wait(SECONDS_PER_BEAT):
            beat += 1
            with contextlib.suppress(Exception):  # a server that does not answer now may answer in time
                collection.modify(metadata={_OWNER: owner, _BEAT: beat})

    def _require(self, own: object) -> None:
        holder = self._holder()
        if holder is None or holder.id != own:
            raise AnotherRunError(
                f"another machine took this database over, as this run could not reach it for "
                f"{SECONDS_TO_EXPIRE:.0f} s: nothing was exchanged, run this again when that one has ended"
            )

    def _remove(self, collection: Any) -> None:
        """Delete this lock, and no other one that has its name by now: a name is given away by id, and then deleted."""
        aside = f"{LOCK}-{secrets.token_hex(8)}"
        with contextlib.suppress(NotFoundError):
            collection.modify(name=aside)
            self._client.delete_collection(aside)
        for name in [one.name for one in self._client.list_collections() if one.name.startswith(f"{LOCK}-")]:
            with contextlib.suppress(NotFoundError):  # that a process was killed in between
                self._client.delete_collection(name)
