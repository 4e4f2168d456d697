"""A vector column written beside the files of a table, and the one commit that puts it in the place of the old one.

No version of the table has both columns, so an application that searches without naming a column never sees two.
"""

from __future__ import annotations

import copy
import itertools
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from lightmigrate.stores.lance.schema import UNNAMED, schema_with
from lightmigrate.stores.lance.staged import Staged
from lightmigrate.stores.lance.table import Dataset, Table
from lightmigrate.stores.lance.values import as_vectors_column, ids_of
from lightmigrate.system import sync_file, sync_folder

# Rows whose vectors are in memory at once.
_BATCH = 4000


class NewColumn:
    """The files of the new column, for every fragment that the table has had so far.

    Args:
        table: the table.
        column: the vector column.
        staged: the vectors; rows without one get none.
        scratch: a folder for a copy of the table's description; need not exist.
    """

    def __init__(self, table: Table, column: str, staged: Staged, scratch: Path) -> None:
        self._table, self._column, self._staged, self._scratch = table, column, staged, scratch
        self._files: dict[int, tuple[tuple[str, ...], Any]] = {}
        self._staged_until = 0

    def prepare(self, dataset: Dataset) -> None:
        """Write the files of the fragments of a version that have none yet; on the disk on return. Writes.

        Commits nothing.
        """
        newest = self._staged.newest()
        stale = self._fragments_of(dataset, self._staged.since(self._staged_until)) if self._files else set()
        folder, written_any = self._table.path / "data", False
        for fragment in dataset.get_fragments():
            number, rows = fragment.fragment_id, row_files(fragment.metadata)
            if number in self._files and self._files[number][0] == rows and number not in stale:
                continue
            ids = [self._table.layout(dataset).id.name]
            written, _ = fragment.merge_columns(self._look_up(), columns=ids, batch_size=_BATCH)
            sync_file(folder / written.files[-1].path)
            self._files[number], written_any = (rows, written.files[-1]), True
        if written_any:
            sync_folder(folder)
        self._staged_until = newest

    def operation(self, dataset: Dataset, model: Mapping[str, Any] | None) -> Any:
        """The `lance.LanceOperation` that replaces the column in a prepared version. Writes only in `scratch`.

        Args:
            dataset: the version.
            model: the embedding function to record; `None` keeps the record.
        """
        files = {number: file for number, (_, file) in self._files.items()}
        token = str(self._staged.settings["token"])
        return replacing(dataset, self._column, self._type, files, token, model, self._scratch)

    @property
    def _type(self) -> pa.DataType:
        return pa.list_(pa.float32(), self._staged.dimension)

    def _look_up(self) -> Any:
        """What gives the vectors of a batch of ids, null where none is staged."""
        schema, staged = pa.schema([pa.field(UNNAMED, self._type)]), self._staged

        def vectors_for(batch: pa.RecordBatch) -> pa.RecordBatch:
            ids = ids_of(batch.column(0))
            rows, vectors = staged.get(ids)
            places = np.full(len(ids), -1, np.int64)
            places[rows] = np.arange(len(rows))
            column = as_vectors_column(vectors, self._type)
            if len(rows) < len(ids):
                column = column.take(pa.array(places, mask=places < 0))
            return pa.record_batch([column], schema=schema)

        return lance.batch_udf(output_schema=schema)(vectors_for)

    def _fragments_of(self, dataset: Dataset, ids: list[str]) -> set[int]:
        """The fragments that hold some records."""
        fragments = dataset.get_fragments()
        ends = np.fromiter(itertools.accumulate(fragment.count_rows() for fragment in fragments), np.int64)
        rows = self._table.index_of_ids(dataset).rows(ids) if ids else []
        return {fragments[place].fragment_id for place in np.searchsorted(ends, rows, "right").tolist()}


def replacing(
    dataset: Dataset,
    column: str,
    kind: pa.DataType,
    files: Mapping[int, Any],
    token: str,
    model: Mapping[str, Any] | None,
    scratch: Path,
) -> Any:
    """The `lance.LanceOperation` that puts a written column in the place of another. Writes only in `scratch`.

    Args:
        dataset: the version of the table.
        column: the vector column.
        kind: type of the new one.
        files: the file of the new column of every fragment.
        token: of the exchange.
        model: the embedding function to record; `None` keeps the record.
        scratch: a folder for a copy of the table's description; need not exist.
    """
    schema = schema_with(dataset, column, kind, token, model, scratch / secrets.token_hex(8))
    number = schema.field(column).id()
    fragments = []
    for fragment in dataset.get_fragments():
        metadata, file = fragment.metadata, copy.copy(files[fragment.fragment_id])
        file.fields = [number]
        fragments.append(replace(metadata, files=[*metadata.files, file]))
    return lance.LanceOperation.Merge(fragments, schema)


def row_files(metadata: Any) -> tuple[str, ...]:
    """The files of a fragment; a row that is written again is in another one."""
    return (*(file.path for file in metadata.files), repr(metadata.overlays))
