"""Where the parts of a record lie: the vec0 table has key, vector and perhaps more; another table may have the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lightmigrate.stores.page import Payload
from lightmigrate.stores.sqlite_vec.driver import Row
from lightmigrate.stores.sqlite_vec.related import RowsTable, text_among
from lightmigrate.stores.sqlite_vec.sql import column_of, quoted
from lightmigrate.stores.sqlite_vec.tables import VecTable
from lightmigrate.stores.sqlite_vec.values import decode, encode


@dataclass(frozen=True)
class Layout:
    """The SQL of one collection.

    Attributes:
        table: the vec0 table.
        rows: the table with the texts; `None` where the vec0 table has them, or nobody has.
    """

    table: VecTable
    rows: RowsTable | None

    @property
    def vec(self) -> str:
        """The vec0 table, quoted."""
        return quoted(self.table.name)

    @property
    def keys(self) -> str:
        """sqlite-vec's own table of keys, quoted; it is read in the order of the keys, which vec0 cannot be."""
        return quoted(self.table.name + "_rowids")

    @property
    def key(self) -> str:
        """The key in `keys`, with the alias `r`."""
        return "r.id" if self.table.declaration.text_keys else "r.rowid"

    @property
    def vec_key(self) -> str:
        """The key in the vec0 table, quoted unless it is `rowid`."""
        name = self.table.declaration.key_name
        return name if name == "rowid" else quoted(name)

    @cached_property
    def own_text(self) -> str | None:
        """The vec0 table's column with the text."""
        if self.rows is not None and self.rows.text is not None:
            return None
        names = [column.name for column in self.table.declaration.own]
        return text_among(names, [column.name for column in self.table.declaration.own if column.type == "text"])

    @cached_property
    def own(self) -> list[str]:
        """The other columns of the vec0 table that are no vectors."""
        return [column.name for column in self.table.declaration.own if column.name != self.own_text]

    def select(self, tail: str, *, vectors: bool) -> str:
        """A query of whole records through sqlite-vec; `tail` may use `r`, `v` and `b`. Its rows: see `payload`."""
        return self._select(tail, column_of("v", self.table.declaration.vector) if vectors else None, {})

    def select_parts(self, tail: str) -> str:
        """The same without vectors, and with their places as the last two columns; see `parts`."""
        auxiliary = [column.name for column in self.table.declaration.own if column.kind == "auxiliary"]
        direct = {name: f"a.value{number:02d}" for number, name in enumerate(auxiliary)}
        return self._select(tail, None, direct, ["r.chunk_id", "r.chunk_offset"])

    def _select(self, tail: str, vector: str | None, direct: Mapping[str, str], places: Sequence[str] = ()) -> str:
        columns = [self.key, vector or "NULL"]
        columns += [self._own_column(name, direct) for name in ([self.own_text] if self.own_text else [])]
        columns += [column_of("b", self.rows.text) for _ in range(1) if self.rows and self.rows.text]
        if len(columns) == 2:
            columns.append("NULL")
        columns += [self._own_column(name, direct) for name in self.own]
        source = f"{self.keys} r"
        if vector or not direct.keys() >= set(self.own_columns):
            source += f" CROSS JOIN {self.vec} v ON v.{self.vec_key} = {self.key}"
        if direct:
            source += f" LEFT JOIN {quoted(self.table.name + '_auxiliary')} a ON a.rowid = r.rowid"
        if self.rows is not None:
            columns += [column_of("b", name) for name in self.rows.columns]
            source += f" LEFT JOIN {quoted(self.rows.table)} b ON {column_of('b', self.rows.key)} = {self.key}"
        return f"SELECT {', '.join([*columns, *places])} FROM {source} {tail}"  # noqa: S608

    def _own_column(self, name: str, direct: Mapping[str, str]) -> str:
        return direct.get(name) or column_of("v", name)

    @cached_property
    def names(self) -> list[str]:
        """Names of the fields of a payload, in the order of `select`."""
        others = list(self.rows.columns) if self.rows else []
        return [*self.own, *(f"rows.{name}" if name in self.own else name for name in others)]

    def payload(self, row: Row) -> Payload | None:
        """The payload of a row of `select`."""
        named = zip(self.names, row[3:], strict=True)
        return {name: encode(value) for name, value in named if value is not None} or None

    def values(self, text: str | None, payload: Payload | None) -> tuple[list[object], list[object]]:
        """The values of a record: for `own_columns`, and for `row_columns`."""
        fields = payload or {}
        decoded = [decode(fields[name]) if name in fields else None for name in self.names]
        own, others = decoded[: len(self.own)], decoded[len(self.own) :]
        if self.rows is not None and self.rows.text:
            return own, [text, *others]
        return ([text, *own] if self.own_text else own), others

    @property
    def own_columns(self) -> list[str]:
        """The columns of the vec0 table that are no vectors and no key, as `values` gives them."""
        return [*([self.own_text] if self.own_text else []), *self.own]

    @property
    def row_columns(self) -> list[str]:
        """The columns of the other table, without its key, as `values` gives them."""
        if self.rows is None:
            return []
        return [*([self.rows.text] if self.rows.text else []), *self.rows.columns]

    def unknown(self, texts: Sequence[str | None], payloads: Sequence[Payload | None]) -> list[str]:
        """Names of fields that no column can hold."""
        known = set(self.names)
        names = {name for payload in payloads for name in payload or {} if name not in known}
        has_text = self.own_text or (self.rows is not None and self.rows.text)
        return sorted(names) + ([] if has_text or all(text is None for text in texts) else ["of text"])
