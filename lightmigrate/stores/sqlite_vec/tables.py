"""The vec0 tables of a file: the application's, and the versions of them that lightmigrate keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import Address, Role, Version
from lightmigrate.stores.defaults import by_age
from lightmigrate.stores.sqlite_vec.declaration import Declaration, declaration_of
from lightmigrate.stores.sqlite_vec.related import (
    RowsChoice,
    RowsTable,
    chosen_rows,
    find_rows,
    has_columns,
    plain_tables,
    rows_in,
    with_copies,
)
from lightmigrate.stores.sqlite_vec.session import Session
from lightmigrate.stores.sqlite_vec.sql import ROWS_SUFFIX, VERSION_MARK, quoted

# Holds a random token for each table that lightmigrate created or exchanged, and which table has its texts.
_REGISTER = "lightmigrate_tables"
_VERSION = re.compile(rf"^(.*){VERSION_MARK}(new|old)_(\w+)$", re.DOTALL)


@dataclass(frozen=True)
class VecTable:
    """A vec0 table.

    Attributes:
        name: its name.
        declaration: what it was created with.
        version: what it is a version of; `None` for the application's own.
        token: changes whenever another table takes its name by an exchange; empty before the first.
    """

    name: str
    declaration: Declaration
    version: Version | None
    token: str


@dataclass(frozen=True)
class _Registered:
    """What lightmigrate keeps about a table: its token, which table has its texts, or that it has them itself."""

    token: str = ""
    rows: RowsChoice | None = None
    alone: bool = False

    @classmethod
    def read(cls, token: str, texts: str | None) -> _Registered:
        names = json.loads(texts) if texts else None
        return cls(token, RowsChoice(*names) if names else None, alone=names == [])


_NOTHING = _Registered()


def version_of(own: str, role: Role, key: str) -> Version:
    """A version of a table, with the name that it has."""
    return Version(Address(own), role, key, Address(f"{own}{VERSION_MARK}{role.value}_{key}"))


class Catalog:
    """What the file holds, read again after every change of its schema.

    Args:
        session: the open file.
        rows: the table and column that hold the texts, as the user named them; `None` to find them.

    Attributes:
        session: the open file.
        read_in_parts: by table, whether its records can be read as `parts` does; see there.
    """

    def __init__(self, session: Session, rows: RowsChoice | None = None) -> None:
        self.session = session
        self._rows = rows
        self._state: tuple[int, int] | None = None
        self._tables: dict[str, VecTable | str] = {}
        self._found: dict[str, RowsTable | None] = {}
        self.read_in_parts: dict[str, bool] = {}

    def tables(self) -> Mapping[str, VecTable | str]:
        """Every vec0 table by name; for one that cannot be migrated, why. Only reads."""
        version = int(self.session.rows("PRAGMA schema_version")[0][0])
        state = (version, self.session.rollbacks)
        if state != self._state:
            register = self._register()
            found = self.session.rows(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE 'create virtual table%' "
                "AND sql LIKE '%using%vec0%' ORDER BY name"
            )
            self._tables, self._found, self.read_in_parts = {}, {}, {}
            for name, statement in found:
                declared = declaration_of(statement)
                if isinstance(declared, str):
                    self._tables[name] = declared
                    continue
                match = _VERSION.match(name)
                kept = version_of(match[1], Role(match[2]), match[3]) if match else None
                self._tables[name] = VecTable(name, declared, kept, register.get(name, _NOTHING).token)
            self._state = state
        return self._tables

    def table(self, name: str) -> VecTable:
        """A table by name. Only reads.

        Raises:
            CollectionNotFoundError: there is none.
            DatabaseError: it cannot be migrated.
        """
        tables = self.tables()
        found = tables.get(name)
        if found is None:
            others = sum(isinstance(table, VecTable) and table.version is None for table in tables.values())
            raise CollectionNotFoundError(f"no vec0 table {name} in {self.session.path}; there are {others} others")
        if isinstance(found, str):
            raise DatabaseError(f"table {name} cannot be migrated: {found}")
        return found

    def rows_of(self, table: VecTable) -> RowsTable | None:
        """The table that has the texts of a table or of a version; `None` where it has them itself. Only reads."""
        self.tables()
        if table.name not in self._found:
            found = self._look_for_rows(table)
            if found is None and not self._has_records(table.name):
                return None  # there is nothing yet to find it by
            self._found[table.name] = found
        return self._found[table.name]

    def _look_for_rows(self, table: VecTable) -> RowsTable | None:
        own = table.version.own.name if table.version else table.name
        if table.version is not None:
            name = table.name + ROWS_SUFFIX
            live = self._tables.get(own)
            if name not in plain_tables(self.session) or not isinstance(live, VecTable):
                return None
            like = self.rows_of(live)
            return None if like is None else rows_in(self.session, name, "lightmigrate_key", like.text)
        kept = self._kept_choice(own)
        if kept.alone and self._rows is None:
            return None
        choice = self._rows or kept.rows
        if choice is not None:
            found: RowsTable | None = chosen_rows(self.session, choice)
        else:
            found = find_rows(self.session, own, table.declaration)
        return None if found is None else with_copies(self.session, found, own, table.declaration)

    def _kept_choice(self, own: str) -> _Registered:
        """What a migration of a table was made with, so that its versions can be compared with it. Only reads.

        What is found anew depends on how many rows other tables have.
        """
        register = self._register()
        versions = [
            table.version
            for table in self._tables.values()
            if isinstance(table, VecTable) and table.version is not None
        ]
        names = [version.address.name for version in by_age(versions) if version.own.name == own]
        for name in [own, *reversed(names)]:
            registered = register.get(name, _NOTHING)
            if registered.alone or (registered.rows and has_columns(self.session, registered.rows)):
                return registered
            # a version has a copy of the rows that belong to it
            if name != own and name + ROWS_SUFFIX not in plain_tables(self.session) and self._has_records(name):
                return _Registered(alone=True)
        return _NOTHING

    def _has_records(self, name: str) -> bool:
        return bool(self.session.rows(f"SELECT 1 FROM {quoted(name + '_rowids')} LIMIT 1"))  # noqa: S608

    def _register(self) -> dict[str, _Registered]:
        if not self.session.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [_REGISTER]):
            return {}
        rows = self.session.rows(f"SELECT name, token, rows FROM {_REGISTER}")  # noqa: S608
        return {name: _Registered.read(token, texts) for name, token, texts in rows}

    def is_alone(self, name: str) -> bool:
        """Whether a table is known to hold its texts itself. Only reads."""
        return self._register().get(name, _NOTHING).alone

    def register(self, name: str, token: str, rows: RowsTable | None, *, alone: bool = False) -> None:
        """Keep a token for a table and which table has its texts. Writes.

        Args:
            name: of the table.
            token: see `VecTable`.
            rows: the table that has its texts; `None` for none that was found.
            alone: whether none is to be looked for.
        """
        self.session.execute(
            f"CREATE TABLE IF NOT EXISTS {_REGISTER} (name TEXT PRIMARY KEY, token TEXT NOT NULL, rows TEXT)"
        )
        texts = json.dumps([rows.table, rows.key, rows.text] if rows else []) if rows or alone else None
        self.session.execute(f"INSERT OR REPLACE INTO {_REGISTER} VALUES (?, ?, ?)", [name, token, texts])  # noqa: S608
        self._state = None

    def forget(self, name: str) -> None:
        """Delete what is kept about a table; the last one takes the register with it. Writes."""
        if self._register():
            self.session.execute(f"DELETE FROM {_REGISTER} WHERE name = ?", [name])  # noqa: S608
            self._state = None
            if not self._register():
                self.session.execute(f"DROP TABLE {_REGISTER}")
