"""A table whose fragments are given new vectors one by one, in any process, and take their place in one commit."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance.file import LanceFileReader as LanceFileReader  # tests replace it
from lance.fragment import FragmentMetadata

from lightmigrate.errors import DamagedCollectionError, DatabaseChangedError, RefusedError, VerificationError
from lightmigrate.files import file_sha256
from lightmigrate.stores.base import Page
from lightmigrate.stores.lance.exchange import SCRATCH, build_indexes, clear_scratch, commit_exchange, missing_indexes
from lightmigrate.stores.lance.flushing import Descriptions
from lightmigrate.stores.lance.history import exchanges_of, forget, keep_after, tidy
from lightmigrate.stores.lance.indexes import indexes_of
from lightmigrate.stores.lance.layout import Layout
from lightmigrate.stores.lance.new_column import replacing, row_files
from lightmigrate.stores.lance.schema import LEGACY, UNNAMED
from lightmigrate.stores.lance.table import Dataset, Table
from lightmigrate.stores.lance.vector_cache import VectorCache
from lightmigrate.stores.timestamp import next_timestamp
from lightmigrate.stores.units import Made
from lightmigrate.system import sync_file, sync_folder
from lightmigrate.vectors import Vectors, evenly

# Rows that are converted at once, and fragments that a sample reads of.
_BATCH, _SAMPLED = 4_096, 16


class LanceFragments:
    """See `units.UnitTable`.

    Args:
        path: of the table, `NAME.lance`.

    Raises:
        RefusedError: it has several vector columns, or none, or is in Lance's first file format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table, self._cache = Table(path), VectorCache(path.parent)
        layout = self._layout(self._table.latest())
        if len(layout.vectors) != 1:
            raise RefusedError(
                f"{path} has {len(layout.vectors)} columns of vectors ({', '.join(layout.vectors) or 'none'}) and one "
                "is needed: leave out --workers or --cluster"
            )
        if (version := self._table.latest().data_storage_version) == LEGACY:
            raise RefusedError(
                f"{path} is in version {version} of Lance's files, of which one alone cannot be read back, and 2.0 is "
                "needed: leave out --workers or --cluster"
            )
        (self._column,) = layout.vectors

    def _layout(self, dataset: Dataset) -> Layout:
        return self._table.layout(dataset)

    @property
    def work(self) -> Path:
        """See `UnitTable`: where the store keeps its other files, which no reader of the table looks at."""
        return self.path / ".lightmigrate"

    def units(self) -> dict[str, str]:
        """See `UnitTable`."""
        dataset = self._table.latest()
        return {_name(each): _state(each, self._column) for each in dataset.get_fragments()}

    def rows(self) -> int:
        """See `UnitTable`."""
        return int(self._table.latest().count_rows())

    def sample(self, n: int, seed: int = 0) -> Page:
        """See `UnitTable`."""
        fragments = self._table.latest().get_fragments()
        chosen = [fragments[number] for number in evenly(len(fragments), _SAMPLED)] if fragments else []
        pages, each = [], -(-n // max(1, len(chosen)))
        for fragment in chosen:
            try:
                found = fragment.to_table(columns=[self._column], limit=each, offset=_offset(fragment, each, seed))
            except (ValueError, RuntimeError, OSError):
                continue  # its conversion will say so
            vectors, _ = _vectors_in(found.column(0).combine_chunks())
            pages.append(Page([""] * len(vectors), vectors, [None] * len(vectors), [None] * len(vectors)))
        if chosen and not pages:
            raise DamagedCollectionError(f"{self.path}: none of {len(chosen)} of its fragments can be read")
        return Page.joined(pages)

    def convert(
        self, unit: str, state: str, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Made:
        """See `UnitTable`."""
        dataset = self._table.latest()
        fragment = dataset.get_fragment(_number(unit))
        if fragment is None or _state(fragment, self._column) != state:
            raise DatabaseChangedError("it was written to since it was listed: run this again")
        layout = self._layout(dataset)
        text = layout.text if texts and layout.has_id else None
        schema = pa.schema([pa.field(UNNAMED, pa.list_(pa.float32(), dimension))])
        written, count = _Fingerprint(), 0

        def convert_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
            nonlocal count
            old, present = _vectors_in(batch.column(self._column))
            stored = batch.column(text).filter(pa.array(present)).to_pylist() if text else [None] * len(old)
            page = Page([""] * len(old), old, stored, [None] * len(old))
            new = new_vectors(page) if len(old) else np.zeros((0, dimension), np.float32)
            count += len(new)
            column = _column_of(new, present, schema.field(0).type)
            written.add(column)
            return pa.record_batch([column], schema=schema)

        columns = [self._column, *([text] if text else [])]
        function = lance.batch_udf(output_schema=schema)(convert_batch)
        try:
            metadata, _ = fragment.merge_columns(function, columns=columns, batch_size=_BATCH)
        except (ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DamagedCollectionError(f"it cannot be read, or its new vectors not written: {reason}") from None
        file = self.path / "data" / metadata.files[-1].path
        if _fingerprint(file, fragment) != written.hexdigest():
            raise VerificationError("the new vectors were not read back as they were written")
        sync_file(file)
        sync_folder(file.parent)
        return Made(count, file.stat().st_size, file_sha256(file), json.dumps(metadata.to_json()))

    def put_in_place(
        self, made: Mapping[str, str], states: Mapping[str, str], dimension: int, token: str
    ) -> str | None:
        """See `UnitTable`."""
        table, column = self._table, self._column
        dataset = table.latest()
        if self.units() != dict(states) or table.latest().version != dataset.version:
            return None
        files = {_number(unit): FragmentMetadata.from_json(text).files[-1] for unit, text in made.items()}
        kind = pa.list_(pa.float32(), dimension)
        operation = replacing(dataset, column, kind, files, token, None, self.work / SCRATCH)
        key = next_timestamp(each.key for each in exchanges_of(table))
        specs, written = indexes_of(dataset, column), Descriptions(table.path)
        cached = self._cache.before(key)
        exchanged = commit_exchange(table, column, operation, dataset.version, token, key)
        if exchanged is None:
            return None
        self._cache.after(cached)
        keep_after(table, token, exchanged.version)
        build_indexes(table, column, specs)
        written.flush()
        return key

    def exchanged(self, token: str) -> str | None:
        """See `UnitTable`."""
        found = [each.key for each in exchanges_of(self._table) if each.token == token]
        return found[0] if found else None

    def live_token(self) -> str:
        """See `UnitTable`."""
        return self._layout(self._table.latest()).token(self._column)

    def backups(self) -> list[str]:
        """See `UnitTable`."""
        return [each.key for each in exchanges_of(self._table)]

    def forget(self, token: str) -> None:
        """See `UnitTable`."""
        for each in exchanges_of(self._table):
            if each.token == token:
                self._cache.forget(self.path, each.column, each.key)
                forget(self._table, each.key, each.token, each.column)

    def recover(self, token: str) -> None:
        """See `UnitTable`."""
        clear_scratch(self.work)
        tidy(self._table)
        self._cache.recover()
        for each in exchanges_of(self._table):
            if each.token == token:
                build_indexes(self._table, each.column, missing_indexes(self._table, each))
                Descriptions(self.path, known=False).flush()  # whoever wrote them may have been killed before that

    def made_bytes(self, description: str) -> int | None:
        """See `UnitTable`."""
        try:
            file = FragmentMetadata.from_json(description).files[-1].path
            return (self.path / "data" / str(file)).stat().st_size
        except FileNotFoundError:
            return None

    def digests(self) -> dict[str, str | None]:
        """See `UnitTable`."""
        dataset = self._table.latest()
        number = dataset.lance_schema.field(self._column).id()
        found: dict[str, str | None] = {}
        for fragment in dataset.get_fragments():
            files = [file.path for file in fragment.metadata.files if number in file.fields]
            found[_name(fragment)] = None
            with contextlib.suppress(OSError, IndexError):
                found[_name(fragment)] = file_sha256(self.path / "data" / files[-1])
        return found


class _Fingerprint:
    """A SHA-256 of a column of vectors, bit by bit, and of which are missing."""

    def __init__(self) -> None:
        self._values, self._valid = hashlib.sha256(), hashlib.sha256()

    def add(self, column: pa.Array) -> None:
        """Add the vectors of an Arrow array; how they are divided does not matter."""
        vectors, present = _vectors_in(column)
        self._values.update(vectors.data)
        self._valid.update(present.data)

    def hexdigest(self) -> str:
        """128 hexadecimal digits."""
        return self._values.hexdigest() + self._valid.hexdigest()


def _fingerprint(file: Path, fragment: Any) -> str:
    """What a written file holds for the rows that a fragment has; deleted ones have a place there, too."""
    addresses = fragment.scanner(columns=[], with_row_address=True).to_table().column("_rowaddr").to_numpy()
    places = addresses & np.uint64(0xFFFFFFFF)
    read, start = _Fingerprint(), 0
    for batch in LanceFileReader(str(file)).read_all(batch_size=_BATCH).to_batches():
        first, last = np.searchsorted(places, np.array([start, start + len(batch)], np.uint64))
        here = places[first:last] - np.uint64(start)
        column = batch.column(0)
        read.add(column if len(here) == len(column) else column.take(pa.array(here)))
        start += len(batch)
    return read.hexdigest()


def _name(fragment: Any) -> str:
    return f"fragment {fragment.fragment_id}"


def _number(unit: str) -> int:
    return int(unit.removeprefix("fragment "))


def _state(fragment: Any, column: str) -> str:
    """What the new vectors of a fragment are made from: its files. Rows that are deleted keep their places."""
    text = json.dumps([column, row_files(fragment.metadata)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _offset(fragment: Any, count: int, seed: int) -> int:
    free = max(0, fragment.count_rows() - count)
    return int(np.random.default_rng(seed + fragment.fragment_id).integers(free + 1))


def _vectors_in(column: pa.Array) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """The vectors of an Arrow array, float32 `(n, d)`, and which rows have one."""
    present = np.ones(len(column), np.bool_)
    if column.null_count:
        present = np.asarray(column.is_valid())
        column = column.drop_null()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(column), column.type.list_size), np.float32), present


def _column_of(vectors: Vectors, present: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Vectors as an Arrow array, with missing ones where none is present."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=kind)
    if present.all():
        return column
    places = np.cumsum(present) - 1
    return column.take(pa.array(places, mask=~present))
