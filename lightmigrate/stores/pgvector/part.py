"""The rows of one of several collections in a table."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from lightmigrate.stores.pgvector.tables import Column

# Types whose values can be compared with a text without a cast of the column, so that its index is used.
_EXACT = ("text", "varchar", "uuid")


@dataclass(frozen=True)
class Part:
    """The rows in which a column has a value.

    Attributes:
        column: identifies the collections in the table.
        value: of the rows, as text; empty for all rows.
    """

    column: Column | None
    value: str

    @property
    def values(self) -> list[object]:
        """The parameters of `condition`."""
        return [self.value] if self.value else []

    def condition(self, row: str) -> sql.Composable:
        """` AND ...`, with a parameter for the value; empty for all rows.

        Args:
            row: the name of the table in the statement.
        """
        if not self.value or self.column is None:
            return sql.SQL("")
        if self.column.base in _EXACT:
            return sql.SQL(f" AND {row}.{{}} = %s::" + self.column.type).format(self.column.sql)
        return sql.SQL(f" AND {row}.{{}}::text = %s").format(self.column.sql)
