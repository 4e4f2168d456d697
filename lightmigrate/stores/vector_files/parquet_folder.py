"""A folder of Parquet files that are one collection. Loads pyarrow."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.errors import DamagedCollectionError, RefusedError, VerificationError
from lightmigrate.stores.base import Page
from lightmigrate.stores.page import sample_ranges
from lightmigrate.stores.vector_files.parquet_table import ParquetTable, numbers_of
from lightmigrate.stores.vector_files.parquet_writer import changed_vectors, row_groups
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.vectors import Vectors

# Files that a sample reads of.
_SAMPLED = 16

# What engines write beside their files to sum them up: it would contradict files with other vectors.
_SUMMARIES = ("_metadata", "_common_metadata", "_delta_log")


class ParquetFolder:
    """See `stores.units.UnitFolder`.

    Args:
        path: the folder; folders below it, such as Hive partitions, belong to it.
        options: which column holds what.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self._options = options

    def units(self) -> list[str]:
        """See `UnitFolder`."""
        for path in self._files():
            if path.is_symlink():
                raise RefusedError(f"{path} is a symbolic link: put the file itself there, {path.resolve()}")
            if set(path.relative_to(self.path).parts) & set(_SUMMARIES):
                raise RefusedError(
                    f"{path} sums up the columns of the other files and would contradict them: a Delta table cannot be "
                    "migrated as files; a _metadata file can be deleted, readers do without"
                )
        return [self._name(path) for path in self._files() if _is_unit(path)]

    def others(self) -> list[str]:
        """See `UnitFolder`."""
        return [self._name(path) for path in self._files() if not _is_unit(path)]

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_symlink() or not path.is_dir())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def rows(self, unit: str) -> int:
        """See `UnitFolder`."""
        try:
            return int(pq.read_metadata(self.path / unit).num_rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DamagedCollectionError(f"{self.path / unit} cannot be read as Parquet: {reason}") from None

    def sample(self, n: int, seed: int = 0) -> Page:
        """See `UnitFolder`."""
        units = self.units()
        chosen = [units[int(number)] for number in np.unique(np.linspace(0, len(units) - 1, _SAMPLED).round())]
        pages: list[Page] = []
        for number, unit in enumerate(chosen):
            try:
                table = ParquetTable(self.path / unit, self._options)
            except DamagedCollectionError:
                continue  # its conversion will say so
            starts, each = sample_ranges(len(table.ids), -(-n // len(chosen)), seed + number)
            rows = [row for start in starts for row in range(start, min(len(table.ids), start + each))]
            if rows:
                pages.append(table.page(rows))
        if not pages:
            raise DamagedCollectionError(f"{self.path}: none of {len(chosen)} files has a vector that can be read")
        usual = Counter(page.vectors.shape[1] for page in pages).most_common(1)[0][0]
        return Page.joined([page for page in pages if page.vectors.shape[1] == usual])

    def convert(self, unit: str, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors]) -> int:
        """See `UnitFolder`."""
        like = ParquetTable(self.path / unit, self._options)
        written = _Fingerprint()
        with changed_vectors(target, like, dimension) as writer:
            for batch in row_groups(like):
                column = batch.column(batch.schema.get_field_index(like.vector))
                present = np.flatnonzero(np.asarray(column.is_valid()))
                vectors = np.zeros((0, dimension), np.float32)
                if len(present):
                    vectors = new_vectors(_present_page(batch, column, present, like))
                written.add(writer.write(batch, vectors, present))
        self._compare(like, ParquetTable(target, self._options), written.hexdigest())
        return len(like.positions)

    def _compare(self, like: ParquetTable, new: ParquetTable, vectors: str) -> None:
        """Compare a file that was written with the one it was made from, all columns, a row group at a time."""
        others = [name for name in like.schema.names if name != like.vector]
        stored = _Fingerprint()
        number = 0
        for number, batch in enumerate(row_groups(like, others), start=1):
            if number > new.file.metadata.num_row_groups:
                break
            group = new.file.read_row_group(number - 1)
            stored.add(group.column(like.vector))
            for name in others:
                column = batch.column(batch.schema.get_field_index(name))
                if not _same(column, group.column(name)):
                    raise VerificationError(f"{like.path}: column {name} was not read back as it was")
        if number != new.file.metadata.num_row_groups or like.schema.names != new.schema.names:
            raise VerificationError(f"{like.path}: its columns or row groups were not read back as they were")
        if stored.hexdigest() != vectors:
            raise VerificationError(f"{like.path}: the new vectors were not read back as they were written")


class _Fingerprint:
    """A SHA-256 of a column of vectors, bit by bit as the file stores them, and of which are missing."""

    def __init__(self) -> None:
        self._values, self._valid = hashlib.sha256(), hashlib.sha256()

    def add(self, column: Any) -> None:
        """Add the vectors of an Arrow array or a chunked one; how they are divided does not matter."""
        for chunk in getattr(column, "chunks", [column]):
            storage = getattr(chunk, "storage", chunk)
            self._valid.update(np.ascontiguousarray(storage.is_valid()).data)
            values = storage.flatten().to_numpy(zero_copy_only=False)  # without those of missing vectors
            self._values.update(np.ascontiguousarray(values).view(np.uint8).data)

    def hexdigest(self) -> str:
        """128 hexadecimal digits."""
        return self._values.hexdigest() + self._valid.hexdigest()


def _is_unit(path: Path) -> bool:
    return path.suffix == ".parquet" and not path.name.startswith((".", "_"))


def _present_page(batch: Any, column: Any, present: Any, like: ParquetTable) -> Page:
    """The vectors of a batch and their texts, without rows that have no vector."""
    texts: list[str | None] = [None] * len(present)
    if like.text:
        texts = batch.column(batch.schema.get_field_index(like.text)).take(pa.array(present)).to_pylist()
    vectors = numbers_of(column.drop_null(), like.dimension or 0)
    return Page([""] * len(present), vectors, texts, [None] * len(present))


def _same(old: Any, new: Any) -> bool:
    """Whether two columns hold the same values, NaN being one."""
    return pa.chunked_array([old]).equals(new) or repr(old.to_pylist()) == repr(new.to_pylist())
