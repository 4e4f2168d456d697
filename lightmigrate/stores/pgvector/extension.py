"""Where pgvector's types, operators and operator classes are found: the schema of the extension, on any search path."""

from __future__ import annotations

from psycopg import sql

from lightmigrate.stores.pgvector.session import Session


def find(session: Session) -> bool:
    """Let this session find pgvector by names alone, in whatever schema it is. Writes nothing.

    A role's search path need not have that schema, as on servers that keep extensions in one of their own. It comes
    last, so that no name means anything else than for the application.

    Returns:
        Whether the database has pgvector.
    """
    query = sql.SQL(
        "SELECT quote_ident(n.nspname), current_setting('search_path'), n.nspname = ANY(current_schemas(true)) "
        "FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    found = session.rows(query)
    for schema, path, on_path in found:
        if not on_path:
            session.set({"search_path": ", ".join(filter(None, (path, schema)))})
    return bool(found)


def hidden(session: Session) -> str | None:
    """Why the role cannot use pgvector though the database has it, with what helps; `None` if it can. Only reads."""
    query = sql.SQL(
        "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'vector' AND NOT has_schema_privilege(n.oid, 'USAGE')"
    )
    for (schema,) in session.rows(query):
        grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), sql.Identifier(session.user))
        return (
            f"role {session.user} may not use schema {schema}, which pgvector is in; who may, grants it:  "
            f"{grant.as_string()}"
        )
    return None
