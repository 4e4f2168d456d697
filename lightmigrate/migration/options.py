"""The options of a migration, apart from what is migrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:  # the command line imports this module for its help, without NumPy
    from lightmigrate.migration.job import InvalidVectors
    from lightmigrate.stores.files import IndexRoute

# Whether all is read back and compared before the exchange; `full`: through the store's engine alone.
Verify: TypeAlias = bool | Literal["full"]


@dataclass(frozen=True)
class MigrationOptions:
    """The options of a migration.

    Attributes:
        auto_backup: keep the old database as a backup. Without it there is no rollback.
        verify: read everything back and compare it before the exchange. Without it only counts and dimensions are
            checked. A database of files in a known format is read from its files, and its engine is asked for a sample
            of 1,000 records and for all searches; with `full` the engine is asked for everything.
        invalid_vectors: what to do with vectors that hold NaN or infinity or are all zero.
        force: migrate although the gate failed the projection, or the stored vectors do not look like those of its
            source model.
        index: how the new vectors get into the index of a database that is files. `keep`: keep the graph and exchange
            the vectors, if searches find as much as before. `rebuild`: build a new index; records are not touched.
            Both need tables and files of a known version; where one fails, the next is used. `rewrite`: write every
            record again through the store's public interface.
    """

    auto_backup: bool = True
    verify: Verify = True
    invalid_vectors: InvalidVectors = "refuse"
    force: bool = False
    index: IndexRoute = "keep"
