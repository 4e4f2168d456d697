"""Subscribers of a table: they stop at a column that they do not have, and then the server keeps its log for them.

What is refused is a subscription that exists and reads by columns (the plugin `pgoutput`): a publication alone stops
nobody.
"""

from __future__ import annotations

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector.partitions import numbers_of
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Table


def require_no_subscriber(session: Session, table: Table) -> None:
    """Check that a new column of a table is not sent to a subscriber. Only reads.

    Raises:
        LightmigrateError: it would be; the message has the command that takes the table out of the publication.
    """
    if not session.rows(sql.SQL("SELECT FROM pg_publication LIMIT 1")):  # the other query takes long to plan
        return
    rows = session.rows(
        sql.SQL("""
        SELECT p.pubname::text, p.puballtables, t.schemaname::text,
            (SELECT ARRAY[n.nspname::text, c.relname::text]
                FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
                JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE r.prpubid = p.oid AND r.prrelid IN (SELECT relid FROM {0} m) LIMIT 1)
        FROM pg_publication p JOIN pg_publication_tables t ON t.pubname = p.pubname
        JOIN pg_namespace n ON n.nspname = t.schemaname
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
        WHERE c.oid IN (SELECT relid FROM {0} m)
            AND EXISTS (
                SELECT FROM pg_replication_slots s WHERE s.database = current_database() AND s.plugin = 'pgoutput')
            AND NOT EXISTS (
                SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid IN (SELECT relid FROM {0} m)
                AND to_jsonb(r) ->> 'prattrs' IS NOT NULL)
        ORDER BY 1, 3, t.tablename LIMIT 1""").format(numbers_of(table))
    )
    for name, everything, schema, relation in rows:
        publication = sql.Identifier(name)
        if everything:
            way_out = sql.SQL("DROP PUBLICATION {}").format(publication)
        elif relation:
            way_out = sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(publication, sql.Identifier(*relation))
        else:
            way_out = sql.SQL("ALTER PUBLICATION {} DROP TABLES IN SCHEMA {}").format(
                publication, sql.Identifier(schema)
            )
        raise LightmigrateError(
            f"publication {name} sends all columns of table {table.name} to its subscribers, and these would stop at a "
            f"column that they do not have; take it out, and publish it again afterwards:  {way_out.as_string()}"
        )
