"""Finds the table with the texts of a vec0 table: vec0 knows no foreign keys, so its keys are looked for in others."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lightmigrate.errors import DatabaseError
from lightmigrate.progress import logger
from lightmigrate.stores.sqlite_vec.declaration import Declaration
from lightmigrate.stores.sqlite_vec.session import Session
from lightmigrate.stores.sqlite_vec.sql import VERSION_MARK, column_of, places, quoted

# Usual names of the column with the embedded text.
TEXTS = ("document", "content", "contents", "text", "page_content", "chunk", "body")

# Tables that virtual tables keep, by suffix: vec0, FTS5, FTS4, R-Tree.
_SHADOWS = re.compile(
    r"_(info|chunks|rowids|auxiliary|vector_chunks\d+|metadatachunks\d+|metadatatext\d+|data|idx|content|docsize|config"
    r"|segments|segdir|stat|node|parent|rowid)$"
)

# Keys that are looked for at each end, and the share of them that must be there.
_SAMPLED, _FOUND = 100, 0.9

# Rows in which columns are compared with the vectors.
_COMPARED = 20


@dataclass(frozen=True)
class RowsChoice:
    """Which table has the texts.

    Attributes:
        table: its name.
        key: its column with the keys of the vec0 table.
        text: its column with the texts; `None` for a usual name.
    """

    table: str
    key: str
    text: str | None = None


@dataclass(frozen=True)
class RowsTable(RowsChoice):
    """The same, with its other columns.

    Attributes:
        columns: all columns that can be written, without those of the key, the text and the vectors.
        copies: columns that hold a second copy of each vector.
    """

    columns: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    key: int
    hidden: int

    @property
    def is_text(self) -> bool:
        """Whether it is declared to hold text."""
        return any(word in self.type for word in ("CHAR", "TEXT", "CLOB", "STRING"))


def plain_tables(session: Session) -> set[str]:
    """The tables of a file that are no virtual ones and belong to none. Only reads."""
    rows = session.rows(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    virtual = {name for name, sql in rows if str(sql).lower().startswith("create virtual table")}
    names = {name for name, _ in rows} - virtual
    return {name for name in names if not ((match := _SHADOWS.search(name)) and name[: match.start()] in virtual)}


def rows_in(session: Session, table: str, key: str, text: str | None) -> RowsTable:
    """A table with its columns, as they are now. Only reads."""
    columns = [column for column in _columns(session, table) if not column.hidden]
    alias = _row_key(columns) if key == "rowid" else None
    names = [column.name for column in columns if column.name not in (key, alias)]
    texts = [column.name for column in columns if column.is_text and column.name in names]
    if text is None or text not in names:
        text = text_among(names, texts)
    return RowsTable(table, key, text, tuple(name for name in names if name != text))


def text_among(names: list[str], texts: list[str]) -> str | None:
    """The column with the texts: one with a usual name, else the only one that holds text; `None` for none."""
    usual = [name for wanted in TEXTS for name in names if name.lower() == wanted]
    return next(iter(usual), texts[0] if len(texts) == 1 else None)


def with_copies(session: Session, rows: RowsTable, vec: str, declaration: Declaration) -> RowsTable:
    """The same, after a look at which of its columns hold the vectors a second time. Only reads."""
    if not rows.columns:
        return rows
    key = "r.id" if declaration.text_keys else "r.rowid"
    same = [f"sum({column_of('b', name)} IS {column_of('v', declaration.vector)})" for name in rows.columns]
    counted = session.rows(
        f"SELECT count(*), {', '.join(same)} "  # noqa: S608
        f"FROM (SELECT * FROM {quoted(vec + '_rowids')} LIMIT {_COMPARED}) r "
        f"CROSS JOIN {quoted(vec)} v ON {column_of('v', declaration.key_name)} = {key} "
        f"JOIN {quoted(rows.table)} b ON {column_of('b', rows.key)} = {key}"
    )[0]
    pairs = zip(rows.columns, counted[1:], strict=True)
    copies = tuple(name for name, equal in pairs if counted[0] and equal == counted[0])
    return replace(rows, columns=tuple(name for name in rows.columns if name not in copies), copies=copies)


def chosen_rows(session: Session, choice: RowsChoice) -> RowsTable:
    """The table that was chosen. Only reads.

    Raises:
        DatabaseError: it is not there, or the column does not tell its rows apart.
    """
    columns = {column.name for column in _columns(session, choice.table)}
    wanted = {choice.key, choice.text or choice.key} - {"rowid"}
    if not columns or not wanted <= columns:
        missing = ", ".join(sorted(wanted - columns))
        raise DatabaseError(
            f"{session.path} has no column {missing} in a table {choice.table}: give ?rows=TABLE.COLUMN"
        )
    if choice.key not in _unique(session, choice.table, _columns(session, choice.table)):
        key = quoted(choice.key)
        counted = f"SELECT count({key}), count(DISTINCT {key}) FROM {quoted(choice.table)}"  # noqa: S608
        every, different = session.rows(counted)[0]
        if every != different:
            raise DatabaseError(
                f"{choice.table}.{choice.key} has {every} values and {different} different ones: name a column that "
                "identifies a row"
            )
    return rows_in(session, choice.table, choice.key, choice.text)


def has_columns(session: Session, choice: RowsChoice) -> bool:
    """Whether there is such a table, with the columns of the key and the text. Only reads."""
    columns = {column.name for column in _columns(session, choice.table)}
    return bool(columns) and {choice.key, choice.text or choice.key} - {"rowid"} <= columns


def find_rows(session: Session, vec: str, declaration: Declaration) -> RowsTable | None:
    """The table with the keys of a vec0 table and columns of text; `None` for none, or for several. Only reads."""
    keys = _some_keys(session, vec, declaration)
    ranked = []
    for table in plain_tables(session):
        if VERSION_MARK in table or table.startswith("lightmigrate_"):
            continue
        columns = _columns(session, table)
        if not any(column.is_text for column in columns):
            continue
        for key in _unique(session, table, columns):
            column = next((column for column in columns if column.name == key), None)
            if (column is not None and column.is_text) != declaration.text_keys:
                continue
            affinity = _affinity(vec, table)
            if not (_found(session, table, key, keys) if keys else affinity):
                continue
            rank = _rank(session, vec, table, affinity, key == declaration.key_name)
            if declaration.text_keys or affinity or rank[1]:  # small integers are the keys of any table
                ranked.append((rank, table, key))
    ranked.sort(reverse=True)
    best = [choice for choice in ranked if choice[0] == ranked[0][0]]
    if len({table for _, table, _ in best}) > 1:
        names = ", ".join(sorted({table for _, table, _ in best}))
        logger.warning(
            "%s: the keys of %s are in the tables %s; name the one with its texts:  sqlite:///%s?rows=TABLE.COLUMN",
            session.path, vec, names, session.path,
        )  # fmt: skip
        return None
    return rows_in(session, best[0][1], best[0][2], None) if best else None


def _rank(session: Session, vec: str, table: str, affinity: float, same_name: bool) -> tuple[float, bool, bool]:
    counts = [
        session.rows(f"SELECT count(*) FROM {quoted(name)}")[0][0]  # noqa: S608
        for name in (table, vec + "_rowids")
    ]
    return affinity, counts[0] == counts[1], same_name


def _affinity(vec: str, table: str) -> float:
    """The share of the words of a table's name that the vec0 table's name has, too."""
    words, others = ({word.removesuffix("s") for word in name.lower().split("_")} for name in (table, vec))
    return len(words & others) / len(words)


def _some_keys(session: Session, vec: str, declaration: Declaration) -> list[object]:
    key, table = "id" if declaration.text_keys else "rowid", quoted(vec + "_rowids")
    ends = [
        session.rows(f"SELECT {key} FROM {table} ORDER BY {key} {order} LIMIT {_SAMPLED}")  # noqa: S608
        for order in ("ASC", "DESC")
    ]
    return list({row[0]: None for end in ends for row in end})


def _found(session: Session, table: str, key: str, keys: list[object]) -> bool:
    column = column_of("t", key)
    counted = f"SELECT count(*) FROM {quoted(table)} t WHERE {column} IN ({places(len(keys))})"  # noqa: S608
    return bool(session.rows(counted, keys)[0][0] >= _FOUND * len(keys))


def _columns(session: Session, table: str) -> list[_Column]:
    rows = session.rows("SELECT name, upper(type), pk, hidden FROM pragma_table_xinfo(?)", [table])
    return [_Column(*row) for row in rows]


def _row_key(columns: list[_Column]) -> str | None:
    """The column that is another name of `rowid`."""
    keys = [column for column in columns if column.key]
    return keys[0].name if len(keys) == 1 and keys[0].type == "INTEGER" else None


def _unique(session: Session, table: str, columns: list[_Column]) -> list[str]:
    """The columns each of which identifies a row, the primary key first."""
    names = [column.name for column in columns if column.key]
    found = names if len(names) == 1 else []
    indexes = session.rows('SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', [table])
    for (index,) in indexes:
        indexed = session.rows("SELECT name FROM pragma_index_info(?)", [index])
        if len(indexed) == 1 and indexed[0][0] and indexed[0][0] not in found:
            found.append(indexed[0][0])
    statement = session.rows("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", [table])
    rowids = statement and not re.search(r"\bwithout\s+rowid\b", str(statement[0][0]), re.IGNORECASE)
    return [*found, "rowid"] if rowids and _row_key(columns) is None else found
