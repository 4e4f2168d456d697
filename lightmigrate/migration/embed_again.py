"""A collection made anew from its stored texts: for vectors that cannot be read, and for an emptied collection.

It goes through the same engine as a projection: a copy is built aside, verified, and exchanged; the old one is the
backup. The old vectors are not read.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lightmigrate.errors import DamagedCollectionError, ProjectionError
from lightmigrate.migration.request import Request
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.terms.base import Texts
from lightmigrate.projection.terms.extract import Embed
from lightmigrate.stores.base import Address, Cursor, Page
from lightmigrate.texts.collection import WithTexts
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class EmbedAgain:
    """In place of a projection: the new vectors are those of the stored texts.

    Attributes:
        model: the new model.
        embed: embeds texts as documents with it, such as `provider.embed_each`: NaN for a text that it refuses.
    """

    model: Model
    embed: Embed

    def projection(self, dimension: int) -> Projection:
        """The same in the form of a projection from vectors of this dimension, which it does not read."""
        info = ProjectionInfo(Model("unreadable", dimension), self.model, {"method": "embed again"})
        return Projection((EmbedTexts((dimension, self.model.dimension), self.embed),), info)


@dataclass(frozen=True)
class EmbedTexts:
    """A step that embeds the texts of records, and does not read their vectors.

    Attributes:
        shape: `(d_in, d_out)`.
        embed: see `EmbedAgain`.
    """

    shape: tuple[int, int]
    embed: Embed

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The new vectors of n texts, float32 `(n, d_out)`; NaN for a record without one."""
        if texts is None:
            raise ProjectionError("embedding again needs the texts of the records")
        return self.embed([text or "" for text in texts])


class WithoutVectors(WithTexts):
    """A collection whose vectors cannot be read: its records come without them."""

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, without vectors."""
        return super().scan(size, after, vectors=False)

    def sample(self, n: int, seed: int = 0) -> Page:
        """No records, because there are no vectors to be compared with."""
        return Page.joined([])


def embed_again_command(database: str, address: Address) -> str:
    """The command that makes a collection anew from its texts.

    Args:
        database: what names the database on the command line, quoted.
        address: of the collection.
    """
    return (
        f"lightmigrate migrate {database} --collection {shlex.quote(str(address))} --embed-again --target-model MODEL"
    )


def require_readable(requests: Iterable[Request], damaged: Mapping[Address, str], database: str) -> None:
    """Raise `DamagedCollectionError` for a request that would read vectors which cannot be read.

    Args:
        requests: of the migration.
        damaged: the collections whose vectors cannot be read, with what is wrong.
        database: see `embed_again_command`.
    """
    for request in requests:
        if request.address in damaged and not request.anew:
            raise DamagedCollectionError(
                f"collection {request.address} cannot be read: {damaged[request.address]}; embed its documents again: "
                f" {embed_again_command(database, request.address)}"
            )
