"""What every store must do, and the pages records travel in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lightmigrate.projection.vectors import Vectors
from lightmigrate.results import Result

DEFAULT_TENANT = "default_tenant"
DEFAULT_DATABASE = "default_database"


@dataclass(frozen=True)
class Address:
    """Where a collection is: its name is unique only within a database of a tenant."""

    name: str
    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE

    def __str__(self) -> str:
        if (self.tenant, self.database) == (DEFAULT_TENANT, DEFAULT_DATABASE):
            return self.name
        return f"{self.tenant}/{self.database}/{self.name}"


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
        embedding_function: what it records as its embedding function: `name` and `config`, or `None`.
        id: the store's own, which a collection of the same name that is made anew has not got.
    """

    name: str
    tenant: str
    database: str
    count: int
    dimension: int | None
    space: str
    embedding_function: Mapping[str, Any] | None
    id: str = ""

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self.name, self.tenant, self.database)


@dataclass(frozen=True)
class Page:
    """Some consecutive records of a collection, column by column, all columns n long.

    Attributes:
        ids: unique within the collection.
        vectors: float32 `(n, d)`; `(n, 0)` where they were not asked for.
        documents: the stored texts, `None` where there is none.
        metadatas: `None` where there is none (never an empty mapping).
        uris: `None` where there is none.
    """

    ids: Sequence[str]
    vectors: Vectors
    documents: Sequence[str | None]
    metadatas: Sequence[Mapping[str, Any] | None]
    uris: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def joined(cls, pages: Sequence[Page]) -> Page:
        """The records of all pages, one page after the other; vectors `(0, 0)` when there is none."""
        full = [page for page in pages if len(page)]
        return cls(
            ids=[one for page in full for one in page.ids],
            vectors=np.concatenate([page.vectors for page in full]) if full else np.zeros((0, 0), np.float32),
            documents=[one for page in full for one in page.documents],
            metadatas=[one for page in full for one in page.metadatas],
            uris=[one for page in full for one in page.uris],
        )

    def part(self, start: int, end: int) -> Page:
        """The records from `start` to before `end`."""
        columns = (self.ids, self.vectors, self.documents, self.metadatas, self.uris)
        return Page(*(column[start:end] for column in columns))  # type: ignore[arg-type]  # each its own kind

    def rows(self, rows: Sequence[int]) -> Page:
        """Some of the records, in the order given."""
        return Page(
            ids=[self.ids[row] for row in rows],
            vectors=self.vectors[list(rows)],
            documents=[self.documents[row] for row in rows],
            metadatas=[self.metadatas[row] for row in rows],
            uris=[self.uris[row] for row in rows],
        )

    def with_vectors(self, vectors: Vectors) -> Page:
        """The same records with other vectors `(n, d_out)`."""
        return Page(self.ids, vectors, self.documents, self.metadatas, self.uris)


class Collection(Protocol):
    """One open collection of a store."""

    @property
    def address(self) -> Address:
        """Where it is."""

    def count(self) -> int:
        """Number of records."""

    def pages(self, size: int, start: int = 0, *, vectors: bool = True) -> Iterator[Page]:
        """All records from the `start`-th on, in the order they were added, at most `size` at a time; only reads.

        Without their vectors they are there several times as fast.
        """

    def ids(self) -> list[str]:
        """All ids in the order they were added; only reads."""

    def records(self, ids: Sequence[str]) -> Page:
        """Those of these records that there are, in the order they are asked for; only reads."""

    def put(self, page: Page) -> None:
        """Write records, in place of those of the same ids where there are any; durable on return."""

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Give existing records other vectors `(n, d)` and touch nothing else of them; durable on return."""

    def remove(self, ids: Sequence[str]) -> None:
        """Delete those of these records that there are."""

    def add(self, page: Page) -> None:
        """Write new records after the existing ones, in order; durable on return."""

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""

    def settings(self) -> Mapping[str, Any]:
        """All that configures it (distance, index, metadata) but the embedding function, comparable by `==`."""

    def rename(self, name: str) -> None:
        """Give it another name within its database."""

    def delete(self) -> None:
        """Remove it and its records."""


class Store(Protocol):
    """An open database."""

    def collection(self, address: Address) -> Collection:
        """Open a collection; `CollectionNotFoundError` when there is none."""

    def create_like(self, source: Collection, name: str, embedding_function: Mapping[str, Any] | None) -> Collection:
        """Create an empty collection beside `source` with all its settings, for vectors of any dimension.

        Args:
            source: the collection to take after.
            name: of the new one, in the same database.
            embedding_function: `name` and `config` to record instead of the source's; `None` keeps that.
        """

    def close(self) -> None:
        """Release every file."""
