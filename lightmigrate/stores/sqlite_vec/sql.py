"""Names in SQL statements, and names of what lightmigrate keeps in a file."""

from __future__ import annotations

# The name of a version: the table's, this, the role and the key. Its rows are in a table with another suffix.
VERSION_MARK = "__lightmigrate_"
ROWS_SUFFIX = "__lightmigrate_rows"


def quoted(name: str) -> str:
    """A name as a statement takes it."""
    return '"' + name.replace('"', '""') + '"'


def column_of(alias: str, name: str) -> str:
    """A column of a table that has an alias; `rowid` is no name that is quoted."""
    return f"{alias}.rowid" if name == "rowid" else f"{alias}.{quoted(name)}"


def places(n: int) -> str:
    """So many parameters."""
    return ", ".join("?" * n)
