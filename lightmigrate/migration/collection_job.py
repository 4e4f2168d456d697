"""One collection to migrate, as the caller describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.distance import require_distance, same_vectors
from lightmigrate.migration.embed_again import EmbedAgain
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address, CollectionFacts, Metric
from lightmigrate.texts.source import Texts


@dataclass(frozen=True)
class EmbeddedTexts:
    """Texts that the new model has embedded whole: their records get its own vectors, and only the others projected.

    Attributes:
        provider: the new model, with a cache that holds their vectors.
        digests: of the texts; see `text_digest`.
        fitted: digests of those that the projection was fitted to.
        facts: about the migration, for `status` and `refine`; see `Provenance`.
        extract_words: length in words of the extracts that the projection embeds of the others; 0 for none.
    """

    provider: Provider
    digests: AbstractSet[bytes]
    fitted: AbstractSet[bytes]
    facts: Mapping[str, Any]
    extract_words: int = 0


@dataclass(frozen=True)
class CollectionJob:
    """One collection to migrate, and its projection.

    Attributes:
        collection_name: its name as it is listed, such as `NAME.VECTOR`, or its address.
        projection: a `Projection`, or the path of one; or `EmbedAgain`, to make the collection anew from its texts; or
            nothing, to build a new index alone, of another distance or not: the vectors stay as they are.
        embedding_function: the new model's Chroma embedding function (or `{"name", "config"}`), to be recorded on the
            collection; `None` keeps the record.
        tenant: tenant of the collection; used when `collection_name` is a name.
        database: database of the collection; used when `collection_name` is a name.
        texts: for a projection that reads texts: where the embedded texts come from (`TextSource`), or texts by id for
            records that store none. By default those that the projection was trained on, or those that the collection's
            records tell. They are only read; an interrupted run keeps them beside the database until it is resumed or
            undone.
        embedded: texts that the new model has embedded already; `None` for none. Where each vector comes from is then
            recorded for `status` and `refine`.
        distance: that the index gets: `l2`, `cosine` or `ip`; `None` keeps it.
        rebuild_index: whether the index is built anew although neither the vectors nor the distance change.
        soon_exact: whether all projected vectors are replaced by the model's own soon after, so that a new index would
            be built for vectors that are hardly searched: the old one's graph is kept where it finds nearly as much.

    Raises:
        LightmigrateError: there is no such distance, or nothing to do.
    """

    collection_name: str | Address
    projection: Projection | EmbedAgain | str | Path | None = None
    embedding_function: object = None
    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE
    texts: Texts = None
    embedded: EmbeddedTexts | None = None
    distance: Metric | None = None
    rebuild_index: bool = False
    soon_exact: bool = False

    def __post_init__(self) -> None:
        if require_distance(self.distance) is None and self.projection is None and not self.rebuild_index:
            raise LightmigrateError(
                f"the job for {self.address} has no projection and no distance: give one of them, or rebuild_index"
            )

    @property
    def address(self) -> Address:
        """Address of the collection; of a name, that of the whole collection until it was looked up (`named_in`)."""
        if isinstance(self.collection_name, Address):
            return self.collection_name
        return Address(self.collection_name, self.tenant, self.database)

    def named_in(self, catalog: Sequence[CollectionFacts]) -> CollectionJob:
        """The same job with the address that its name has among the collections of a database."""
        return replace(self, collection_name=address_named(self.collection_name, catalog, self.tenant, self.database))

    @property
    def file(self) -> Path | None:
        """The file of the projection; `None` for a projection in memory."""
        return Path(self.projection) if isinstance(self.projection, (str, Path)) else None

    @property
    def needs_dimension(self) -> bool:
        """Whether `load` needs the dimension of the stored vectors."""
        return self.projection is None or isinstance(self.projection, EmbedAgain)

    def load(self, dimension: int = 0) -> Projection:
        """The projection, loaded from its file when a path was given. Only reads.

        Args:
            dimension: of the stored vectors, where `needs_dimension`.
        """
        if self.projection is None:
            return same_vectors(max(1, dimension))
        if isinstance(self.projection, EmbedAgain):
            return self.projection.projection(dimension)
        return self.projection if isinstance(self.projection, Projection) else Projection.load(self.projection)


def address_named(
    collection: str | Address,
    catalog: Sequence[CollectionFacts],
    tenant: str = DEFAULT_TENANT,
    database: str = DEFAULT_DATABASE,
) -> Address:
    """The address of a collection that is named as it is listed, or is an address already; it need not exist.

    Args:
        collection: its name, with its vector and part where it is listed with them; or its address.
        catalog: the collections of the database.
        tenant: of a name.
        database: of a name.
    """
    if isinstance(collection, Address):
        return collection
    addresses, plain = [facts.address for facts in catalog], Address(collection, tenant, database)
    if plain in addresses:
        return plain
    inside = [replace(each, tenant=DEFAULT_TENANT, database=DEFAULT_DATABASE) for each in addresses]
    own = [
        address
        for address, within in zip(addresses, inside, strict=True)
        if (address.tenant, address.database, str(within)) == (tenant, database, collection)
    ]
    is_anywhere = (tenant, database) == (DEFAULT_TENANT, DEFAULT_DATABASE)
    listed = [address for address in addresses if is_anywhere and str(address) == collection]
    return (own or listed or [plain])[0]
