"""A table's schema with a new vector column in the place of the old one, numbered by Lance in a copy of the table."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from lightmigrate.stores.lance.layout import TOKEN
from lightmigrate.stores.lance.model import metadata_with
from lightmigrate.stores.lance.table import Dataset

# A name that no application uses.
UNNAMED = "lightmigrate_new_vectors"

# The first version of Lance's files, in which no column is without files and no vector is missing.
LEGACY = "0.1"


def schema_with(
    dataset: Dataset, column: str, kind: pa.DataType, token: str, model: Mapping[str, Any] | None, folder: Path
) -> Any:
    """The schema of a version of a table with the new column. Writes only in `folder`, which is deleted.

    Args:
        dataset: the version of the table.
        column: the vector column.
        kind: type of the new one.
        token: of the exchange.
        model: the embedding function to record; `None` keeps the record.
        folder: for a copy of the table's description; does not exist.
    """
    old = dataset.schema.field(column)
    metadata = {key.decode(): value.decode() for key, value in (old.metadata or {}).items()}
    metadata[TOKEN.decode()] = token
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        clone = dataset.shallow_clone(folder, dataset.version)
        if dataset.data_storage_version == LEGACY:
            clone = _with_written_column(clone, kind)
        else:
            clone.add_columns(pa.field(UNNAMED, kind))
        clone.drop_columns([column])
        clone.alter_columns({"path": UNNAMED, "name": column})
        clone.update_field_metadata({column: metadata}, replace=True)
        if model is not None and (recorded := metadata_with(dataset.schema, column, model)):
            clone.update_schema_metadata(recorded)
        return lance.dataset(folder).lance_schema
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_written_column(clone: Dataset, kind: pa.DataType) -> Dataset:
    """A copy of a table with the column `UNNAMED`: written for one row, and said to be that of all. Writes."""
    schema = pa.schema([pa.field(UNNAMED, kind)])

    def missing(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch([pa.nulls(len(batch), kind)], schema=schema)

    function = lance.batch_udf(output_schema=schema)(missing)
    if not clone.count_rows():
        clone.add_columns(function)
        return clone
    longer = lance.write_dataset(clone.head(1), clone.uri, mode="append")
    fragments = longer.get_fragments()
    written, numbered = fragments[-1].merge_columns(function, columns=longer.schema.names[:1])
    described = [replace(each.metadata, files=[*each.metadata.files, written.files[-1]]) for each in fragments]
    operation = lance.LanceOperation.Merge(described, numbered)
    return lance.LanceDataset.commit(longer.uri, operation, read_version=longer.version)
