"""What the administrator set for one column: who may use it, how it is stored, how much is known of its values.

It belongs to the column, not to its name, and so would stay with the old vectors when two columns exchange their names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from psycopg import sql

from lightmigrate.stores.pgvector.partitions import Relation, numbers_of, relations_of
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table

# `pg_attribute` has them as letters; an empty one stands for the server's setting.
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
_COMPRESSION = {"": "DEFAULT", "p": "pglz", "l": "lz4"}

# The first server with a compression of each column.
_COMPRESSES = 140000

# What `ANALYZE` takes where nothing was set.
_ANY_TARGET = -1


@dataclass(frozen=True)
class _Grant:
    """A right on a column; without a role, everybody's."""

    role: str | None
    right: str
    may_grant: bool


@dataclass
class _Settings:
    """Of one column of one relation."""

    storage: str = ""
    compression: str = ""
    target: int = _ANY_TARGET
    options: dict[str, str] = field(default_factory=dict)
    grants: set[_Grant] = field(default_factory=set)


def making_alike(session: Session, table: Table, column: Column, like: Column) -> list[sql.Composed]:
    """The statements that give a column the settings of another one, in all partitions; none where they are equal.

    Args:
        session: the connection; only reads.
        table: that has both.
        column: that is to be changed.
        like: that has the settings.
    """
    settings = _read(session, table, [column.name, like.name])
    return [
        statement
        for relation in relations_of(session, table)
        for statement in _changing(
            relation, column.sql, settings[relation.oid, column.name], settings[relation.oid, like.name]
        )
    ]


def _read(session: Session, table: Table, names: list[str]) -> dict[tuple[int, str], _Settings]:
    found: dict[tuple[int, str], _Settings] = defaultdict(_Settings)
    compression = sql.SQL("a.attcompression::text" if session.version >= _COMPRESSES else "''")
    # a new server has NULL for no target
    rows = session.rows(
        sql.SQL("""
        SELECT a.attrelid::int8, a.attname::text, a.attstorage::text, {},
            coalesce(a.attstattarget, {})::int4, coalesce(a.attoptions, '{{}}')
        FROM {} m JOIN pg_attribute a ON a.attrelid = m.relid WHERE a.attname = ANY(%s)""").format(
            compression, _ANY_TARGET, numbers_of(table)
        ),
        [names],
    )
    for oid, name, storage, method, target, options in rows:
        named = dict(option.split("=", 1) for option in options)
        found[oid, name] = _Settings(storage, method, target, named)
    grants = session.rows(
        sql.SQL("""
        SELECT a.attrelid::int8, a.attname::text, CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee)::text END,
            g.privilege_type, bool_or(g.is_grantable)
        FROM {} m JOIN pg_attribute a ON a.attrelid = m.relid CROSS JOIN aclexplode(a.attacl) g
        WHERE a.attname = ANY(%s) GROUP BY 1, 2, g.grantee, g.privilege_type""").format(numbers_of(table)),
        [names],
    )
    for oid, name, role, right, may_grant in grants:
        found[oid, name].grants.add(_Grant(role, right, may_grant))
    return found


def _changing(relation: Relation, name: sql.Identifier, now: _Settings, wanted: _Settings) -> list[sql.Composed]:
    """The statements that turn the settings of a column into others."""
    alter = sql.SQL("ALTER TABLE ONLY {} ALTER {} ").format(relation.sql, name)
    statements = []
    if now.storage != wanted.storage:
        statements.append(alter + sql.SQL("SET STORAGE " + _STORAGE[wanted.storage]))
    if now.compression != wanted.compression:
        statements.append(alter + sql.SQL("SET COMPRESSION " + _COMPRESSION[wanted.compression]))
    if now.target != wanted.target:
        statements.append(alter + sql.SQL("SET STATISTICS {}").format(wanted.target))
    for option in now.options.keys() - wanted.options.keys():
        statements.append(alter + sql.SQL("RESET ({})").format(sql.Identifier(option)))
    for option, value in wanted.options.items():
        if now.options.get(option) != value:
            statements.append(alter + sql.SQL("SET ({} = {})").format(sql.Identifier(option), value))
    return statements + _granting(relation, name, now.grants, wanted.grants)


def _granting(relation: Relation, name: sql.Identifier, now: set[_Grant], wanted: set[_Grant]) -> list[sql.Composed]:
    def on(action: str, grant: _Grant, end: str) -> sql.Composed:
        role = sql.SQL("PUBLIC") if grant.role is None else sql.Identifier(grant.role)
        return sql.SQL(action).format(sql.SQL(grant.right), name, relation.sql, role) + sql.SQL(end)

    taken = [on("REVOKE {} ({}) ON {} FROM {}", grant, " CASCADE") for grant in now - wanted]
    # what a role passed on goes with its own right
    given = wanted if taken else wanted - now
    return taken + [
        on("GRANT {} ({}) ON {} TO {}", grant, " WITH GRANT OPTION" if grant.may_grant else "") for grant in given
    ]
