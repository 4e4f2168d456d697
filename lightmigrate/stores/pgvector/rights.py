"""Whether a collection can be migrated at all: what its table is like, and the rights that it takes. Only reads."""

from __future__ import annotations

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector import dependents
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.publications import require_no_subscriber
from lightmigrate.stores.pgvector.readable import require_readable
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.triggers import require_quiet


def require_possible(session: Session, source: PgCollection, dimension: int | None) -> None:
    """Check that a collection can get new vectors. Only reads.

    Args:
        session: the connection.
        source: the collection.
        dimension: of the new vectors; `None` if it is not known yet.

    Raises:
        LightmigrateError: a right is missing, or a policy hides rows, and the message has what helps; a trigger of the
            application would fire; something depends on the column, or a subscriber; or the column or an index cannot
            have the dimension.
    """
    _require_rights(session, source)
    require_readable(session, source.table.oid)
    _require_plain(session, source)
    require_quiet(session, source.table, [source.own])
    require_no_subscriber(session, source.table)
    if source.part.value:
        dependents.require_carried(source.table, source.own, part=True)
    else:
        dependents.require_none(session, source.table, source.own)
    if dimension is not None:
        _require_dimension(session, source, dimension)


def _require_rights(session: Session, source: PgCollection) -> None:
    table = source.table
    owner, owns, creates, temporary, database = session.rows(
        sql.SQL("""
        SELECT pg_get_userbyid(c.relowner)::text, pg_has_role(c.relowner, 'USAGE'),
            has_schema_privilege(c.relnamespace, 'CREATE'),
            has_database_privilege(current_database(), 'TEMPORARY'), current_database()::text
        FROM pg_class c WHERE c.oid = %s"""),
        [table.oid],
    )[0]
    user = sql.Identifier(session.user)
    missing = []
    if not owns:
        missing.append(sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), user))
    if not creates:
        missing.append(sql.SQL("GRANT CREATE ON SCHEMA {} TO {}").format(sql.Identifier(table.schema), user))
    if not temporary:  # in small letters, because commands put the address for the word in capitals
        missing.append(sql.SQL("GRANT TEMPORARY ON database {} TO {}").format(sql.Identifier(database), user))
    for right in ("SELECT", "UPDATE"):
        if not session.rows(sql.SQL("SELECT has_table_privilege(%s::oid, %s)"), [table.oid, right])[0][0]:
            missing.append(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(right), table.sql, user))
    if missing:
        grants = "; ".join(statement.as_string() for statement in missing)
        raise LightmigrateError(f"role {session.user} may not change table {table.name}; who may, grants it:  {grants}")


def _require_plain(session: Session, source: PgCollection) -> None:
    table = source.table
    heirs = sql.SQL("SELECT FROM pg_inherits WHERE inhparent = %s OR inhrelid = %s LIMIT 1")
    if not table.partitioned and session.rows(heirs, [table.oid, table.oid]):
        raise LightmigrateError(
            f"table {table.name} inherits from another, or another from it: its rows have no key together; use "
            "partitions instead"
        )
    foreign = sql.SQL(
        "SELECT c.relname::text FROM pg_partition_tree(%s::oid::regclass) p JOIN pg_class c ON c.oid = p.relid "
        "WHERE c.relkind = 'f' LIMIT 1"
    )
    for (name,) in session.rows(foreign, [table.oid]) if table.partitioned else []:
        raise LightmigrateError(f"partition {name} of table {table.name} is a foreign table: detach it first")


def _require_dimension(session: Session, source: PgCollection, dimension: int) -> None:
    own, table = source.own, source.table
    if not source.part.value:
        for spec in table.specs_of(own):
            try:
                wanted = spec.of(own.base, dimension)
            except LightmigrateError as error:
                raise LightmigrateError(f"{source.address} has an index, and {error}") from None
            if wanted.cast == "halfvec" and session.rows(sql.SQL("SELECT to_regtype('halfvec') IS NULL")) == [(True,)]:
                raise LightmigrateError(
                    f"{source.address} has an index, which takes {dimension:,} dimensions only as halfvec, and this "
                    "pgvector has no such type; 0.7 has:  ALTER EXTENSION vector UPDATE"
                )
        return
    if source.use.padded and own.dimension is not None and dimension > own.dimension:
        raise LightmigrateError(
            f"table {table.name} takes vectors of at most {own.dimension} numbers, not {dimension}: choose a model of "
            "fewer dimensions, or let the application have a longer column first"
        )
    if not source.use.padded and own.dimension not in (None, dimension):
        raise LightmigrateError(
            f"table {table.name} holds several collections in a column of {own.dimension} dimensions, which cannot "
            f"take {dimension} for one of them:  ALTER TABLE {table.sql.as_string()} ALTER COLUMN "
            f"{own.sql.as_string()} TYPE {own.base}"
        )
    for index in table.indexes_of(own):
        if index.spec is not None and index.spec.cast and index.spec.dimension != dimension:
            name = sql.Identifier(table.schema, index.name).as_string()
            raise LightmigrateError(
                f"index {index.name} of table {table.name} takes {index.spec.dimension} dimensions, and "
                f"{source.address} would have {dimension}; drop it, and create another afterwards:  DROP INDEX {name}"
            )
