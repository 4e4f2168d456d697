"""Whether the connected role can read all rows of a table, and what lets it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector.session import QueryError, Session

# A missing right or a policy that hides rows; a block of the table or of an index that is damaged.
_OF_A_TABLE = ("42501", "XX001", "XX002")


def is_of_a_table(error: LightmigrateError) -> bool:
    """Whether an error says something about the table that was read, and nothing about the others."""
    if isinstance(error, QueryError):
        return error.sqlstate in _OF_A_TABLE
    return type(error) is LightmigrateError  # its subclasses have other causes, such as a table that is not there


@contextlib.contextmanager
def suppressing_of_a_table() -> Iterator[None]:
    """Go on behind the block after an error that says nothing about other tables."""
    try:
        yield
    except LightmigrateError as error:
        if not is_of_a_table(error):
            raise


def require_readable(session: Session, oid: int) -> None:
    """Check that the role may read all rows and columns of a table. Only reads.

    Raises:
        LightmigrateError: it may not; the message has the command that lets it.
    """
    rows = session.rows(
        sql.SQL("""
        SELECT n.nspname::text, c.relname::text, has_schema_privilege(n.oid, 'USAGE'), (
                SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
            row_security_active(c.oid), c.relforcerowsecurity, pg_has_role(c.relowner, 'USAGE'),
            pg_get_userbyid(c.relowner)::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"""),
        [oid],
        prepare=True,
    )
    for schema, relation, enters, selects, hides, forced, owns, owner in rows:
        user = sql.Identifier(session.user)
        missing = []
        if not enters:
            missing.append(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), user))
        if not selects:
            table = sql.Identifier(schema, relation)
            missing.append(sql.SQL("GRANT SELECT ON {} TO {}").format(table, user))
        if missing:
            grants = "; ".join(statement.as_string() for statement in missing)
            raise LightmigrateError(f"role {session.user} may not read table {relation}; who may, grants it:  {grants}")
        if hides:
            lets, back = sql.SQL("ALTER ROLE {} BYPASSRLS").format(user), ", and takes it back with NOBYPASSRLS"
            if not forced and not owns:  # the owner sees all, and so does who is a member of that role
                lets, back = sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), user), ""
            raise LightmigrateError(
                f"row-level security may hide rows of table {relation} from role {session.user}, and a migration has "
                f"to see all; who may, lets it{back}:  {lets.as_string()}"
            )
