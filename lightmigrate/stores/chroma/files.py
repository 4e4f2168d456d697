"""A Chroma folder as a `FileDatabase`: reads it without opening it, and changes closed copies of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.stores.base import Address, CollectionFacts, Page
from lightmigrate.stores.chroma.collection_metadata import collection_metadata, set_collection_metadata
from lightmigrate.stores.chroma.folder import (
    DATABASE_FILE,
    finish_writes,
    has_log,
    has_unfinished_write,
    id_bytes_of,
    is_chroma_entry,
    is_chroma_folder,
    last_writes_of,
    read_catalog,
    require_chroma_folder,
    writes_of,
)
from lightmigrate.stores.chroma.foreign import what_is_there
from lightmigrate.stores.chroma.health import damaged_indexes
from lightmigrate.stores.chroma.indexes import remove_orphaned_indexes, rename_indexes, segments_of
from lightmigrate.stores.chroma.records import sample_records
from lightmigrate.stores.chroma.renaming import rename_collections
from lightmigrate.stores.chroma.sample import sample_vectors
from lightmigrate.stores.chroma.set_aside import put_back, set_aside
from lightmigrate.stores.chroma.versions import upgrade_notice
from lightmigrate.stores.chroma.working_copy import begin_work, end_work
from lightmigrate.stores.files import fingerprint
from lightmigrate.stores.foreign import foreign_database
from lightmigrate.vectors import Metric, Vectors

if TYPE_CHECKING:
    from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
    from lightmigrate.stores.chroma.replacement import ChromaReplacement

# Bytes per vector that Chroma's index stores besides the vector: graph links, label, length, id. Measured on 1.5.9 with
# 16 neighbours: 300 bytes; rounded up.
INDEX_BYTES_PER_VECTOR = 400

# Bytes of a row of an id in Chroma's tables and their indexes, besides the id.
ROW_BYTES = 400

# How often an id's bytes are in a draft at most, whose JSON has six for some of one; in an index; and in tables with
# their indexes and the log.
IDS_IN_A_DRAFT, IDS_IN_AN_INDEX, IDS_IN_TABLES = 6, 2, 4

# Old vectors of a collection that a draft holds, at most.
SAMPLED = 1000


class ChromaFiles:
    """A Chroma folder. See `files.FileDatabase`; needs no chromadb until it is opened.

    Args:
        folder: the folder that holds `chroma.sqlite3`.
    """

    kind = "chroma"
    main = DATABASE_FILE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._damaged: tuple[Mapping[str, tuple[int, int]], Mapping[Address, str]] | None = None

    def __str__(self) -> str:
        return str(self.folder)

    def at(self, folder: Path) -> ChromaFiles:
        """Another Chroma folder."""
        return ChromaFiles(folder)

    def exists(self) -> bool:
        """Whether the folder holds a Chroma database; only reads."""
        return is_chroma_folder(self.folder)

    def require(self) -> None:
        """Raise `DatabaseError` when there is none."""
        require_chroma_folder(self.folder)

    def instead(self) -> str | None:
        """What is in the place of a database; see `FileDatabase.instead`. Only reads."""
        return None if self.exists() else what_is_there(self.folder) or foreign_database(self.folder)

    def upgrade_notice(self) -> str | None:
        """That an older Chroma wrote it, which cannot use it once it is migrated; see `versions`. Only reads."""
        return upgrade_notice(self.folder)

    def catalog(self) -> list[CollectionFacts]:
        """All collections of all tenants and databases, by name; only reads."""
        return read_catalog(self.folder)

    def owns(self, entry: Path) -> bool:
        """Whether an entry is Chroma's own: the sqlite file, sqlite's files beside it, and index folders."""
        return is_chroma_entry(entry)

    def named_by(self, main: Path) -> set[str]:
        """Names of the index folders that a sqlite file lists; only reads."""
        return segments_of(main)

    def unfinished(self) -> bool:
        """Whether the last writer left sqlite's journal, or in WAL mode a log, which few processes empty at the end."""
        return has_unfinished_write(self.folder / DATABASE_FILE) or has_log(self.folder / DATABASE_FILE)

    def settle(self) -> None:
        """Roll an unfinished write back, and write the log into the sqlite file. Nobody has it open. Writes."""
        finish_writes(self.folder / DATABASE_FILE)

    def damaged(self, *, thorough: bool = True) -> Mapping[Address, str]:
        """The collections whose index cannot be read; see `health.damaged_indexes`. Only reads.

        The files are looked into once, and again when one of them was written.
        """
        if not thorough:
            return damaged_indexes(self.folder, thorough=False)
        self.require()
        state = fingerprint(self.folder, self.owns)
        if self._damaged is None or self._damaged[0] != state:
            self._damaged = state, damaged_indexes(self.folder, thorough=True)
        return self._damaged[1]

    def writes(self, address: Address) -> Iterator[tuple[str, int]]:
        """Chroma numbers every write; a record keeps the number of the last one that touched it. Only reads."""
        return writes_of(self.folder, address)

    def last_writes(self) -> Mapping[Address, int]:
        """The largest of these numbers in every collection that has records; only reads."""
        return last_writes_of(self.folder)

    def sample(self, most: int) -> Mapping[Address, Vectors]:
        """Up to `most` vectors, float32 `(n, d)`, of each collection; others may write meanwhile. Only reads."""
        return sample_vectors(self.folder, most)

    def sample_records(self, most: int, only: Container[Address] | None = None) -> Mapping[Address, Page]:
        """Up to `most` records with their vectors of each collection, or of some; see `records`. Only reads."""
        return sample_records(self.folder, most, only)

    def room_needed(self, dimensions: Mapping[Address, int]) -> int:
        """Bytes that drafts and the largest route write besides a copy of the folder; only reads.

        Drafts hold ids, vectors and a sample of the old vectors. The route `rewrite` writes tables and an index. Going
        from `keep` to `rebuild` needs two indexes, and ids and vectors in the tables and the log of the database in
        which the second index is built.
        """
        catalog = {facts.address: facts for facts in self.catalog()}
        records = sum(catalog[address].count for address in dimensions)
        # where some are migrated, their texts may be the longest
        tables = (self.folder / DATABASE_FILE).stat().st_size if records else 0
        names = id_bytes_of(self.folder)
        ids = sum(names.get(address, 0) for address in dimensions)
        vectors = sum(catalog[address].count * 4 * dimension for address, dimension in dimensions.items())
        sample = sum(SAMPLED * 4 * (catalog[address].dimension or 0) for address in dimensions)
        rows = records * ROW_BYTES
        drafts = vectors + IDS_IN_A_DRAFT * ids + rows + sample
        index = vectors + records * INDEX_BYTES_PER_VECTOR + IDS_IN_AN_INDEX * ids
        built = index + vectors + rows + IDS_IN_TABLES * ids
        return drafts + index + max(built, tables + vectors + rows)

    def isolate(self) -> None:
        """Rename every index folder of a closed copy, so that no name is shared with the original. Writes."""
        rename_indexes(self.folder)

    def set_aside(self, damaged: Collection[Address], place: Path) -> None:
        """Move the index folders of damaged collections out of a closed copy; see `set_aside`. Writes."""
        set_aside(self.folder, damaged, place)

    def put_back(self, place: Path) -> None:
        """Move them back; see `set_aside.put_back`. Writes."""
        put_back(self.folder, place)

    def prepare(self) -> None:
        """Make a closed copy one to work on; see `working_copy`. Writes."""
        begin_work(self.folder)

    def rename(self, names: Mapping[Address, str]) -> None:
        """Give collections of a closed copy other names; see `renaming`. Writes."""
        rename_collections(self.folder, names)

    def metadata(self) -> Mapping[Address, Mapping[str, object]]:
        """The metadata of every collection that has some; see `collection_metadata`. Only reads."""
        return collection_metadata(self.folder)

    def set_metadata(self, given: Mapping[Address, Mapping[str, object]]) -> None:
        """Give collections of a closed copy other metadata; see `collection_metadata`. Writes."""
        set_collection_metadata(self.folder, given)

    def tidy(self) -> None:
        """Delete the index folders that no segment names any more, and take back what `prepare` did. Writes."""
        remove_orphaned_indexes(self.folder)
        end_work(self.folder)

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """What Chroma records of an embedding function; see `client.describe_function`. Calls no model."""
        if embedding_function is None:
            return None
        from lightmigrate.stores.chroma.client import describe_function  # chromadb takes a second to import

        return describe_function(embedding_function)

    def open(self) -> ChromaFolderStore:
        """Open it with Chroma's embedded client, for this process alone."""
        from lightmigrate.stores.chroma.exclusive import ChromaFolderStore  # likewise

        return ChromaFolderStore(self.folder)

    def receive(self) -> ChromaFolderStore:
        """Open it to receive; see `stores.receive.ReceivingFiles`. Writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.open()

    def replacement(
        self,
        address: Address,
        dimension: int,
        model: Mapping[str, Any] | None,
        *,
        scratch: Path,
        run: str,
        number: int,
        page_size: int,
        on_done: Callable[[int, int], None],
        distance: Metric | None = None,
    ) -> ChromaReplacement:
        """New vectors for one collection of this folder. See `ChromaReplacement`."""
        from lightmigrate.stores.chroma.replacement import ChromaReplacement  # likewise

        return ChromaReplacement(
            self.folder,
            address,
            dimension,
            model,
            scratch=scratch,
            run=run,
            number=number,
            page_size=page_size,
            on_done=on_done,
            distance=distance,
        )
