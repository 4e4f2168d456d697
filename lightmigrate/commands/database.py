"""Which database a command works on, and which of its collections."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.errors import (
    CollectionNotFoundError,
    DamagedCollectionError,
    LightmigrateError,
    NothingToMigrateError,
    PasswordNeededError,
    RefusedError,
)

if TYPE_CHECKING:
    from lightmigrate.commands.arguments import ModelChoice
    from lightmigrate.migrator import Migrator
    from lightmigrate.projection.projection import Projection
    from lightmigrate.stores.base import Address, CollectionFacts, Metric
    from lightmigrate.stores.open import Database


@dataclass(frozen=True)
class Server:
    """A database of a server.

    Attributes:
        host: its name or address.
        port: its port.
        ssl: whether it speaks https.
        headers: headers that it requires, with their values.
        tenant: tenant of the database.
        database: the database.
    """

    host: str
    port: int
    ssl: bool
    headers: Mapping[str, str] = field(repr=False)
    tenant: str
    database: str


@dataclass(frozen=True)
class DatabaseChoice:
    """The database to work on.

    Attributes:
        database: a folder, a URL, an open client, an opened `Store`, or a `Server` to connect to.
        words: what names it on the command line, for the commands that messages suggest; without a password.
        password: asks for the password of a URL without one, if the server wants it; `None` if nobody can be asked.
        opened_from: what `database` was opened from, where `opened` did so; `None` otherwise.
    """

    database: object
    words: tuple[str, ...] = ()
    password: Callable[[], str] | None = None
    opened_from: object = None

    @property
    def named(self) -> object:
        """What the caller named: a folder that workers migrated is known by its path, also when it is open."""
        return self.database if self.opened_from is None else self.opened_from

    def connect(self) -> Database:
        """The database, opened or not (see `open_database`); asks for a password that a server wants. Only reads.

        Raises:
            DatabaseError: there is no database.
            PasswordNeededError: a server wants a password, and nobody can be asked.
        """
        from lightmigrate.stores.open import connect, open_database

        named = self.database
        if isinstance(named, Server):
            return connect(
                named.host,
                named.port,
                ssl=named.ssl,
                headers=named.headers,
                tenant=named.tenant,
                database=named.database,
            )
        try:
            return open_database(named)
        except PasswordNeededError:
            if self.password is None or not isinstance(named, str):
                raise
            return open_database(with_password(named, self.password()))

    @contextlib.contextmanager
    def opened(self) -> Iterator[DatabaseChoice]:
        """The same for several commands: opened once, and closed at the end. What the caller opened stays open.

        Raises:
            DatabaseError: there is no database.
        """
        from lightmigrate.stores.base import Store

        database = self.connect()
        with contextlib.ExitStack() as stack:
            if database is not self.database and isinstance(database, Store):
                stack.callback(database.close)
            yield replace(self, database=database, opened_from=self.named)

    def open_to_migrate(self, conversation: Conversation, *, writing: bool = True) -> Migrator:
        """Open it for a migration or its plan, and show what cannot be promised there; see `open`. Only reads."""
        from lightmigrate.stores.files import FileDatabase

        migrator = self.open(conversation, writing=writing)
        said = writing and isinstance(migrator.database, FileDatabase)
        for notice in (
            "" if said else migrator.promises.not_promised,
            migrator.upgrade_notice,
            migrator.exchange_notice,
        ):
            if notice:
                conversation.show(Notice(notice))
        return migrator

    def open(self, conversation: Conversation, *, writing: bool = False, notices: bool = True) -> Migrator:
        """Open it. Only reads.

        Args:
            conversation: shown what an interrupted run left there; by a command that writes, that it is not known
                whether somebody has files open.
            writing: whether the command writes, and so ends an interrupted exchange before it does anything else.
            notices: whether an interrupted run is shown; not by a command whose result says so.
        """
        from lightmigrate.migrator import Migrator  # loads NumPy
        from lightmigrate.stores.files import FileDatabase, said_unknown

        migrator = Migrator(self.connect(), on_progress=conversation.on_progress)
        if writing:
            migrator.recover()
            if migrator.recovered is not None:
                conversation.show(Notice(migrator.recovered))
            if isinstance(migrator.database, FileDatabase) and (unseen := migrator.promises.not_promised):
                conversation.show(Notice(unseen))
                said_unknown(migrator.database)
        elif notices and migrator.unfinished is not None:
            conversation.show(Notice(migrator.unfinished))
        return migrator


def with_password(url: str, password: str) -> str:
    """A URL with a password among its parameters."""
    return f"{url}{'&' if '?' in url else '?'}password={quote(password, safe='')}"


def without_password(url: str) -> str:
    """A URL as it may be shown: without the password of its user, and without one among its parameters."""
    url = re.sub(r"^([\w+.-]+://[^:/?#]*):.*@", r"\1@", url)
    address, mark, query = url.partition("?")
    kept = [each for each in query.split("&") if not each.lower().startswith("password=")]
    return address + (mark + "&".join(kept) if any(kept) else "")


def find_address(name: str, catalog: Sequence[CollectionFacts]) -> Address:
    """The address of a collection that is named alone, or as TENANT/DATABASE/NAME; it need not exist.

    Raises:
        CollectionNotFoundError: the name has another form.
    """
    from lightmigrate.stores.base import Address

    addresses = [facts.address for facts in catalog if name in (facts.name, str(facts.address))]
    if len(addresses) == 1:
        return addresses[0]
    match name.split("/"):
        case [collection]:
            return Address(collection)
        case [tenant, database, collection]:
            return Address(collection, tenant, database)
    raise CollectionNotFoundError(f"{name!r} is neither NAME nor TENANT/DATABASE/NAME")


def only_collection(migrator: Migrator, name: str) -> Address:
    """The collection of that name, or the only one with vectors when the name is empty. Only reads.

    Raises:
        CollectionNotFoundError: there is none, or more than one.
    """
    addresses = [facts.address for facts in migrator.collections() if facts.count and facts.dimension]
    if not name and len(addresses) > 1:
        damaged = migrator.damaged()
        addresses = [address for address in addresses if address not in damaged]
    return only_one(addresses, name, migrator)


def only_filled(migrator: Migrator) -> Address | None:
    """The only collection with vectors; `None` when there are several. Only reads.

    Raises:
        CollectionNotFoundError: there is none.
    """
    addresses = [facts.address for facts in migrator.collections() if facts.count and facts.dimension]
    return None if len(addresses) > 1 else only_one(addresses, "", migrator)


def migrate_all(database: DatabaseChoice, target: ModelChoice) -> str:
    """The command that migrates all collections of a database to a model, each old model's together."""
    return shlex.join(["lightmigrate", "migrate", *database.words, *target.words])


def only_one(addresses: Sequence[Address], name: str, migrator: Migrator) -> Address:
    """The address of that name, or the only one when the name is empty.

    Raises:
        CollectionNotFoundError: there is none, or more than one.
        DamagedCollectionError: the only one that is meant cannot be read, and therefore is not among the addresses.
    """
    whole = [address for address in addresses if name == str(address)]
    # a name alone stands for the collection of the default database, where another database has one of that name, too
    matching = whole or [address for address in addresses if not name or name == address.name]
    if not matching:
        damaged = migrator.damaged()
        _require_readable(damaged, [address for address in damaged if name in ("", address.name, str(address))])
    if len(matching) != 1:
        known = ", ".join(map(str, addresses)) or "none"
        raise CollectionNotFoundError(f"--collection must name one collection of {migrator.path}; there are: {known}")
    return matching[0]


def addresses_for(
    migrator: Migrator,
    projection: Projection,
    names: Sequence[str],
    distance: Metric | None = None,
    *,
    in_place: bool = True,
) -> list[Address]:
    """The named collections, or all that can be read and whose vectors have the projection's dimension. Only reads.

    An emptied collection that keeps this dimension is among them: it is made anew for the other one.

    Args:
        migrator: of the database.
        projection: that they are migrated with.
        names: of collections; may be empty.
        distance: that they get; see `changeable`.
        in_place: whether they get the vectors where they are, which a store may refuse; see `possible`.

    Raises:
        NothingToMigrateError: the database has no vectors.
        DimensionError: no collection has vectors of that dimension.
        RefusedError: none of them can have the vectors, or the distance.
    """
    catalog = migrator.collections()
    if names:
        return [find_address(name, catalog) for name in names]
    source, target = projection.info.source.dimension, projection.info.target.dimension
    filled = [facts for facts in readable(migrator, catalog) if facts.dimension and (facts.count or source != target)]
    fitting = [facts for facts in filled if facts.dimension == source]
    if in_place:
        fitting = possible(migrator, fitting, target)
    addresses = [facts.address for facts in changeable(migrator, fitting, distance)]
    if not addresses and filled:
        projection.check_input(int(filled[0].dimension or 0))
    if not addresses:
        raise NothingToMigrateError(f"{migrator.path} holds no vectors: there is nothing to migrate")
    return addresses


def readable(migrator: Migrator, catalog: Sequence[CollectionFacts]) -> list[CollectionFacts]:
    """The collections whose vectors can be read; a warning names each of the others. Only reads.

    Raises:
        DamagedCollectionError: there is only one, and it cannot be read.
    """
    from lightmigrate.progress import logger

    damaged = migrator.damaged()
    if len(catalog) == 1:
        _require_readable(damaged, [catalog[0].address])
    for address, fault in damaged.items():
        logger.warning("collection %s cannot be read and is left as it is: %s", address, fault)
    return [facts for facts in catalog if facts.address not in damaged]


def _require_readable(damaged: Mapping[Address, str], meant: Sequence[Address]) -> None:
    """Raise `DamagedCollectionError` for the first collection that is meant and that cannot be read."""
    for address in meant:
        if address in damaged:
            raise DamagedCollectionError(f"collection {address} cannot be read: {damaged[address]}")


def possible(migrator: Migrator, catalog: Sequence[CollectionFacts], dimension: int | None) -> list[CollectionFacts]:
    """The collections that their store can give new vectors; a warning names each of the others. Only reads.

    Args:
        migrator: of the database.
        catalog: the collections that nobody named; those that were named are refused.
        dimension: of the new vectors; `None` if it is not known, or differs.

    Raises:
        RefusedError: there are some, and none can get them.
    """
    from lightmigrate.progress import logger

    refused = migrator.refused(catalog, dimension)
    if refused and len(refused) == len(catalog):
        raise RefusedError(next(iter(refused.values())))
    for reason in refused.values():
        logger.warning("left as it is: %s", reason)
    return [facts for facts in catalog if facts.address not in refused]


def changeable(
    migrator: Migrator, catalog: Sequence[CollectionFacts], distance: Metric | None
) -> list[CollectionFacts]:
    """The collections that can have a distance; a warning names each of the others. Only reads.

    Args:
        migrator: of the database.
        catalog: the collections that nobody named; those that were named are refused if they cannot have it.
        distance: that they get; `None` if they keep theirs, which all can.

    Raises:
        RefusedError: there are some, and none can have it.
    """
    from lightmigrate.progress import logger

    fixed = {} if distance is None else migrator.fixed_distances(catalog, distance)
    if fixed and len(fixed) == len(catalog):
        raise RefusedError(next(iter(fixed.values())))
    for reason in fixed.values():
        logger.warning("left as it is: %s", reason)
    return [facts for facts in catalog if facts.address not in fixed]


def require_one_for_texts(addresses: Sequence[Address], texts: Path | None) -> None:
    """Raise `LightmigrateError` when texts by id are given for more than one collection."""
    if texts and len(addresses) != 1:
        raise LightmigrateError(
            f"--texts are those of one collection, and {len(addresses)} would be migrated: name one with --collection"
        )
