"""`NAME.parquet`: one column of vectors, and perhaps one of ids and one of texts; all others are payload."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import MissingExtraError
from lightmigrate.stores.base import Metric
from lightmigrate.stores.vector_files.suffix import SuffixFormat
from lightmigrate.stores.vector_files.table import Options, Rows, Table

_SUFFIX = ".parquet"


class ParquetFormat(SuffixFormat):
    """See `table.Format`. Loads pyarrow when a file is read."""

    kind, suffix = "parquet", _SUFFIX

    def beside(self, folder: Path, name: str) -> list[str]:
        """None."""
        return []

    def read(self, folder: Path, name: str, options: Options) -> Table:
        """Read ids; everything else is read when it is asked for."""
        try:
            from lightmigrate.stores.vector_files.parquet_table import ParquetTable
        except ImportError:
            raise MissingExtraError("pyarrow", "parquet") from None
        return ParquetTable(folder / self.main(name), options)

    def write(
        self,
        folder: Path,
        name: str,
        rows: Rows,
        like: Table,
        metric: Metric | None,
        *,
        same: bool,
        originals: Table | None = None,
    ) -> None:
        """Write a file with the schema, the metadata, the compression and the row groups of another one."""
        from lightmigrate.stores.vector_files.parquet_table import ParquetTable
        from lightmigrate.stores.vector_files.parquet_writer import write_records, write_vectors

        assert isinstance(like, ParquetTable)  # noqa: S101  # its own format only
        if same:
            write_vectors(folder / self.main(name), rows, like)
        else:
            newest = originals if isinstance(originals, ParquetTable) else like
            write_records(folder / self.main(name), rows, like, newest)
