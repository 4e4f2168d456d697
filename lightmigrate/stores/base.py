"""What a store is: where vectors live, and what it can promise; records travel in pages (`stores.page`).

Everything above this room works through these protocols. `tests/contract/` holds every store to what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from lightmigrate.results import Result
from lightmigrate.stores.page import Cursor as Cursor  # stores and those who use them find these here, too
from lightmigrate.stores.page import Page as Page
from lightmigrate.stores.page import Payload as Payload
from lightmigrate.stores.page import WrittenRecords as WrittenRecords
from lightmigrate.vectors import Metric as Metric
from lightmigrate.vectors import Vectors

DEFAULT_TENANT = "default_tenant"
DEFAULT_DATABASE = "default_database"


@dataclass(frozen=True)
class Address:
    """Where a collection is.

    Attributes:
        name: of the collection or table; unique only within a database of a tenant.
        tenant: of the database.
        database: that holds the collection.
        vector: which vector of its records, where a record can have several; empty where it has one.
        part: which of its records, where several collections share a table: a value of the column that tells them
            apart; empty for all.
    """

    name: str
    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE
    vector: str = ""
    part: str = ""

    def __str__(self) -> str:
        path = self.name + (f".{self.vector}" if self.vector else "") + (f"[{self.part}]" if self.part else "")
        if (self.tenant, self.database) == (DEFAULT_TENANT, DEFAULT_DATABASE):
            return path
        return f"{self.tenant}/{self.database}/{path}"


@dataclass(frozen=True)
class Capabilities(Result):
    """What a store guarantees. The user is told about missing guarantees before anything starts.

    Attributes:
        atomic_exchange: an exchange is one step: the collection's name always leads to a collection.
        holds_writers: writers wait during the exchange, so that no write comes between the last check and the exchange.
        sees_changes: the store logs which records were written; otherwise all records are read again to find out.
        ordered: a scan gives records in the order in which they were added.
        stale_handles: clients that opened a collection before an exchange still read and write the old one.
        shared_records: versions of a collection share ids, texts and payloads; only vectors are written again.
        settles_again: the store refuses an exchange when somebody wrote since `settle`, and then calls it again. So no
            write comes between the last check and the exchange, although writers do not wait.
        whole_backups: backups hold their own records, also where versions that are being built share theirs.
        unit_vectors: of vectors that are compared by cosine only the direction is stored, with length 1.
        one_client: only one client at a time can have it open, as a folder that a client locks.
        one_vector: a version holds all vectors of its records, so that only one of them is migrated at a time.
        notice: what an application has to do or to know because of a missing guarantee, in a sentence; empty for
            nothing. `doctor` prints it, and it is shown before a migration asks.
    """

    atomic_exchange: bool
    holds_writers: bool
    sees_changes: bool
    ordered: bool
    stale_handles: bool
    shared_records: bool
    settles_again: bool = False
    whole_backups: bool = False
    unit_vectors: bool = False
    one_client: bool = False
    one_vector: bool = False
    notice: str = ""


@dataclass(frozen=True)
class CollectionFacts(Result):
    """What a database says about one collection.

    Attributes:
        name: its name.
        tenant: the tenant its database belongs to.
        database: the database it belongs to.
        count: number of records.
        dimension: length of its vectors; `None` before the first vector.
        space: distance function: `l2`, `cosine` or `ip`.
        embedding_function: what the database records about the embedding model: `name` and `config`, or `None`.
        id: the store's own id; a collection created later under the same name has another one.
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
        stated_space: the distance that its metadata state, where its index has another one; `None` where they agree.
    """

    name: str
    tenant: str
    database: str
    count: int
    dimension: int | None
    space: str
    embedding_function: Mapping[str, Any] | None
    id: str = ""
    vector: str = ""
    part: str = ""
    stated_space: str | None = None

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self.name, self.tenant, self.database, self.vector, self.part)


class Collection(Protocol):
    """One open collection, or a version of it that is being built. Several threads may use it at once."""

    @property
    def address(self) -> Address:
        """Where it is."""

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads."""

    def count(self) -> int:
        """Number of records."""

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records after `after`, at most `size` at a time; only reads.

        A record that exists during the whole scan is returned exactly once, whatever is added and deleted meanwhile. A
        record that is added or deleted meanwhile is returned once or not at all. The store chooses the order, which is
        the same for every scan while nothing is written. A scan can resume after each page (`Page.cursor`). A page may
        hold fewer than `size` records and is never empty.

        Args:
            size: records held in memory at once.
            after: the cursor of a page of an earlier scan; `None` begins with the first record.
            vectors: whether to read vectors; a scan without them is several times as fast.
        """

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records from all over the collection, or all if it has fewer; only reads.

        The same seed gives the same records while nothing is written.
        """

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan, read while they are passed over; only reads."""

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""

    def add(self, page: Page) -> None:
        """Write new records after the existing ones, in order; durable on return."""

    def put(self, page: Page) -> None:
        """Write records; existing records of the same ids are replaced; durable on return."""

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; durable on return."""

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the existing records among these ids; durable on return."""

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index, nearest first.

        The distances are those of `facts().space`, as `Metric` defines them, whatever the store uses inside.
        """

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its settings (distance, index, metadata) without the embedding model, comparable by `==`. Only reads.

        Args:
            distance: the settings that it would have with this distance, wherever it is stated; `None` for its own.
        """

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written since an earlier `changes`; `None` where the store keeps no log (`Capabilities`).

        Without `since` nothing is listed, and the mark is that of now.
        """


class Role(Enum):
    """What a version of a collection is for."""

    BUILDING = "new"
    BACKUP = "old"


@dataclass(frozen=True)
class Version:
    """A collection that lightmigrate keeps beside another one: built to replace it, or replaced by it.

    Attributes:
        own: the collection it stands for.
        role: what it is for.
        key: what it is built for (`BUILDING`), or when it was replaced (`BACKUP`); letters, digits and `_`.
        address: where it is.
    """

    own: Address
    role: Role
    key: str
    address: Address


@runtime_checkable
class Store(Protocol):
    """An open database. A context manager that closes it; a client that the caller opened stays open."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""

    @property
    def folder(self) -> Path | None:
        """The local folder that holds the database, where files about it can be kept; `None` for a server."""

    def unsupported(self) -> str | None:
        """Why nothing can be migrated here, such as the version of a server, with what helps. Only reads."""

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """Those of some collections whose vectors cannot be read, with what is wrong; reads some of each."""

    def __str__(self) -> str:
        """An address that identifies the database, without password or key."""

    def __enter__(self) -> Store: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    def close(self) -> None:
        """Release connections and files."""

    def collections(self) -> list[CollectionFacts]:
        """The application's collections, by name, without the versions that lightmigrate keeps; only reads."""

    def collection(self, address: Address) -> Collection:
        """Open a collection or a version of one; `CollectionNotFoundError` when there is none. Only reads."""

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""

    def backup_of(self, own: Address, key: str) -> Version:
        """The backup of a collection that an exchange has just made under this key; only reads."""

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """What the store would record about an embedding function; `None` for nothing. Calls no model.

        Raises:
            LightmigrateError: the object is neither an embedding function nor what the store records about one.
        """

    def fixed_distance(self, address: Address) -> str | None:
        """Why the distance of a collection cannot be changed, in one line; `None` where it can. Only reads.

        Where it can, `create` and `create_version` take a distance.
        """

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> Collection:
        """Create an empty collection with the settings of another one in a store of the same kind. Writes.

        Args:
            address: an unused address.
            like: the collection whose settings are copied.
            dimension: of its vectors.
            model: what to record about the embedding model (`describe_model`); `None` copies the record of `like`.
            distance: with this one, so that its settings are `like.settings(distance)`; `None` keeps that of `like`.
        """

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> Collection:
        """Create an empty version of a collection with all its settings, to be filled. Writes.

        Args:
            source: the collection whose settings are copied; from here on the store logs what is written to it.
            key: see `Version`.
            dimension: of the new vectors.
            model: what to record about the embedding model (`describe_model`); `None` keeps the record of `source`.
            distance: see `create`; also after an exchange.
        """

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """Put `incoming`, a version of `live`, in place; the old `live` becomes a backup. Writes.

        After a crash the name leads to the whole old or new collection, or `recover` completes or undoes the exchange.

        Args:
            incoming: a complete and verified version.
            live: the collection, as it was opened.
            key: of the backup; see `Version`.
            function: the application's embedding function, for its collection objects in this process.
            settle: brings `incoming` up to date for the last time. Called while writers wait, or again before every
                try (`Capabilities`); not called where the store can do neither. If it raises, the old collection stays
                in place.

        Returns:
            Number of collection objects of this process that now point to the new collection.

        Raises:
            DatabaseChangedError: another process has replaced `live` meanwhile; nothing was changed.
        """

    def restore(self, backup: Version, key: str) -> int:
        """Put a backup back in place, unchanged; what it replaces becomes backup `key`. See `exchange`. Writes."""

    def written_since(self, backup: Version) -> WrittenRecords | None:
        """What was written to a collection since `backup` was replaced by it; only reads.

        `None` where the store keeps no log: then the two are compared record by record.
        """

    def delete(self, address: Address) -> None:
        """Delete a collection or a version of one, with its records. Writes."""

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes.

        Returns:
            What was interrupted and what was done, in a sentence; `None` when no exchange was interrupted.
        """

    def interrupted_exchange(self) -> bool:
        """Whether there is an exchange that `recover` would finish or undo; only reads."""


@runtime_checkable
class Refusing(Protocol):
    """A store some of whose collections cannot be migrated, or not to every dimension."""

    def refusal(self, address: Address, dimension: int | None) -> str | None:
        """Why a collection cannot be migrated, such as a missing right, and what helps; `None` if it can. Only reads.

        Args:
            address: of the collection.
            dimension: of the new vectors; `None` if it is not known yet.
        """


@runtime_checkable
class Finishing(Protocol):
    """A store that has work to do on a filled version for which writers need not wait, such as building its indexes."""

    def finish(self, incoming: Collection) -> None:
        """Do that work, so that `exchange` finds it done. Writes. It can be interrupted and called again."""


@runtime_checkable
class Rounding(Protocol):
    """A collection that may store vectors with fewer bits than float32."""

    def as_stored(self, vectors: Vectors) -> Vectors:
        """The vectors `(n, d)` as they are read back after they were written, float32."""
