"""Which columns of a table are the id, the vectors, the text, and everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.lance.values import is_id, is_text, is_vector

# Usual names of the column that tells rows apart, and of the one with the embedded text.
_IDS = ("id", "_id", "ID", "Id", "uuid", "key", "doc_id", "chunk_id")
_TEXTS = ("text", "document", "content", "page_content", "chunk", "body")

# In the metadata of a vector column: which migration made it.
TOKEN = b"lightmigrate"


@dataclass(frozen=True)
class Layout:
    """The columns of a table.

    Attributes:
        table: name of the table, for messages.
        schema: of the table.
    """

    table: str
    schema: pa.Schema

    @property
    def vectors(self) -> list[str]:
        """Names of the vector columns."""
        return [field.name for field in self.schema if is_vector(field.type)]

    def vector(self, name: str) -> str:
        """A vector column; an empty name means the only one."""
        names = self.vectors
        if not name and len(names) == 1:
            return names[0]
        if name in names:
            return name
        raise CollectionNotFoundError(
            f"table {self.table} has no vector column {name!r}; it has: {', '.join(names) or 'none'}"
        )

    def vector_name(self, column: str) -> str:
        """The name of a vector column in an address: empty where there is only one."""
        return "" if len(self.vectors) == 1 else column

    @property
    def has_id(self) -> bool:
        """Whether a column tells rows apart."""
        return self._id is not None

    @property
    def id(self) -> pa.Field:
        """The column that tells rows apart.

        Raises:
            DatabaseError: no column has a usual name.
        """
        found = self._id
        if found is None:
            raise DatabaseError(
                f"table {self.table} has no column of ids to tell its rows apart: add one with unique values, named id"
            )
        return found

    @property
    def _id(self) -> pa.Field | None:
        fields = {field.name: field for field in self.schema if is_id(field.type)}
        return next((fields[name] for name in _IDS if name in fields), None)

    @property
    def text(self) -> str | None:
        """The column of the embedded text; `None` when none has a usual name."""
        texts = {field.name for field in self.schema if is_text(field.type)} - {self.id.name}
        return next((name for name in _TEXTS if name in texts), None)

    @property
    def payload(self) -> list[pa.Field]:
        """All other columns, except those of vectors."""
        others = {self.id.name, self.text, *self.vectors}
        return [field for field in self.schema if field.name not in others]

    def dimension(self, column: str) -> int:
        """The dimension of a vector column."""
        return int(self.schema.field(column).type.list_size)

    def token(self, column: str) -> str:
        """Which migration made a vector column; empty for one that an application made."""
        metadata: Mapping[bytes, bytes] = self.schema.field(column).metadata or {}
        return metadata.get(TOKEN, b"").decode()


def quoted(name: str) -> str:
    """The name of a column in Lance's SQL."""
    return "`" + name.replace("`", "``") + "`"
