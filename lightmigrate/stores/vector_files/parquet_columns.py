"""Which column of a Parquet file holds what, and how its vectors are stored. Loads pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from lightmigrate.errors import DamagedCollectionError
from lightmigrate.objects.path import readable
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.vectors import Vectors

# Names of columns in order of preference, where the caller names none.
_IDS = ("id", "_id", "ids", "uuid", "doc_id", "chunk_id", "node_id", "key")
_TEXTS = ("text", "document", "content", "page_content", "chunk", "body")
_VECTORS = ("embedding", "embeddings", "vector", "vectors")

# How much of a column chunk is read at once, so that a large row group takes no more memory than a small one.
_READ_BYTES = 1 << 20

# Rows of a column of bytes that tell which numbers they are.
_LOOKED_AT = 64

# How many bits the sizes of the numbers of embeddings scatter over at most: 1.6 where they are normally distributed.
_SCATTER = 4.0

NUMBERS = ("float16", "float32", "float64")


class ParquetColumns:
    """The columns of an open file. Reads the footer alone.

    Args:
        path: the file.
        options: which column holds what.

    Attributes:
        file: the open file.
        schema: its Arrow schema.
        vector: the column of vectors.
        id: the column that is named like one of ids; empty where there is none.
        text: the column of texts; empty where there is none.

    Raises:
        DamagedCollectionError: it cannot be read, or has no such columns.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path, self._options = path, options
        try:
            self.file = pq.ParquetFile(readable(path), buffer_size=_READ_BYTES)
            self.schema = self.file.schema_arrow
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(path, error) from None
        self.vector = self._column(options.vector, "vector", _VECTORS, _is_vector, needed=True)
        self.text = self._column(options.text, "text", _TEXTS, _is_text)
        self.id = self._column(options.id, "id", _IDS, _is_id)

    def _column(
        self, given: str, what: str, usual: Sequence[str], fits: Callable[[Any], bool], *, needed: bool = False
    ) -> str:
        names = [field.name for field in self.schema if fits(field.type)]
        # bytes can be anything, so only their name says that they are vectors
        in_bytes = [field.name for field in self.schema if needed and is_bytes(field.type)]
        if given:
            if given not in names and given not in in_bytes:
                raise DamagedCollectionError(f"{self.path} has no column {given} that can hold the {what}")
            return given
        names += [name for name in in_bytes if name in usual]
        found = [name for name in usual if name in names]
        if needed and not found and len(names) == 1:
            found = names
        if needed and (not found or (len(names) > 1 and len(found) != 1)):
            listed = ", ".join(names) or "none"
            raise DamagedCollectionError(
                f"{self.path} has {len(names)} columns of vectors ({listed}) and one is needed: name it, "
                f"'{self._address}?vector=COLUMN'"
            )
        return found[0] if found else ""

    @property
    def _address(self) -> str:
        return str(self.path) if "://" in str(self.path) else f"file://{self.path}"

    @property
    def vector_type(self) -> Any:
        """The Arrow type of the column of vectors, without what extends it."""
        kind = self.schema.field(self.vector).type
        return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind

    @property
    def number_type(self) -> np.dtype[Any]:
        """The type of the numbers of a vector; for a column of bytes, some rows are read.

        Raises:
            DamagedCollectionError: it cannot be told from the bytes.
        """
        kind = self.vector_type
        if not is_bytes(kind):
            return number_type(f"float{kind.value_type.bit_width}")
        if self._options.numbers:
            return number_type(self._options.numbers)
        for batch in self.file.iter_batches(_LOOKED_AT, columns=[self.vector]):
            values = [value for value in batch.column(0).to_pylist() if value is not None]
            if likely := _likely_numbers(values):
                return likely
            if values:
                break
        raise DamagedCollectionError(
            f"{self.path}: the bytes in column {self.vector} can be numbers of several types or of none: say which, "
            f"'{self._address}?vector={self.vector}&numbers=float32' (or float16, float64)"
        )

    @property
    def dimension(self) -> int | None:
        """Length of the vectors where the type of their column says it."""
        kind = self.vector_type
        if types.is_fixed_size_list(kind):
            return int(kind.list_size)
        return int(kind.byte_width) // self.number_type.itemsize if types.is_fixed_size_binary(kind) else None

    def batches(self, size: int, *, columns: Sequence[str], groups: Sequence[int] | None = None) -> Iterator[Any]:
        """Rows of some columns as record batches, those of whole row groups; only reads.

        Raises:
            DamagedCollectionError: they cannot be read.
        """
        chosen = range(self.file.metadata.num_row_groups) if groups is None else groups
        try:
            yield from self.file.iter_batches(size, row_groups=list(chosen), columns=list(columns))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(self.path, error) from None

    def vectors_in(self, column: Any) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """The vectors of an Arrow array, float32 `(n, d)`, and which rows have one, bool.

        Raises:
            DamagedCollectionError: they differ in length.
        """
        present, there = np.ones(len(column), np.bool_), column
        if column.null_count:
            present, there = np.asarray(storage_of(column).is_valid()), column.drop_null()
        lengths = lengths_of(there, self.number_type) if len(there) else np.zeros(1, np.int64)
        if len(lengths) > 1:
            raise self.several_lengths(lengths.tolist())
        return numbers_of(there, int(lengths[0]), self.number_type), present

    def several_lengths(self, lengths: Sequence[int]) -> DamagedCollectionError:
        """The error for vectors that differ in length."""
        listed = ", ".join(map(str, sorted(lengths)[:5]))
        return DamagedCollectionError(
            f"{self.path}: the vectors in column {self.vector} have {len(lengths)} lengths ({listed})"
        )


def unreadable(path: Path, error: Exception) -> DamagedCollectionError:
    """The error for a file that pyarrow cannot read, in one line."""
    reason = " ".join(str(error).split())[:200]
    return DamagedCollectionError(f"{path} cannot be read as Parquet: {reason}")


def storage_of(column: Any) -> Any:
    """An Arrow array without what extends its type."""
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def lengths_of(column: Any, numbers: np.dtype[Any]) -> npt.NDArray[np.int64]:
    """The lengths that the vectors of an Arrow array have, each once, without missing ones; -1 where bytes are left."""
    storage = storage_of(column)
    kind = storage.type
    if types.is_fixed_size_list(kind):
        return np.array([kind.list_size])
    if not is_bytes(kind):
        return np.unique(np.asarray(storage.drop_null().value_lengths()))
    if types.is_fixed_size_binary(kind):
        sizes = np.array([kind.byte_width])
    else:
        sizes = np.unique(np.asarray(pa.compute.binary_length(storage.drop_null())))
    return np.where(sizes % numbers.itemsize, -1, sizes // numbers.itemsize)


def numbers_of(column: Any, dimension: int, numbers: np.dtype[Any]) -> Vectors:
    """The vectors of an Arrow array without missing ones, float32 `(n, dimension)`."""
    storage = storage_of(column)
    if not len(storage):
        return np.zeros((0, max(0, dimension)), np.float32)
    if is_bytes(storage.type):
        fixed = storage if types.is_fixed_size_binary(storage.type) else storage.cast(pa.large_binary())
        first = fixed.offset * dimension * numbers.itemsize
        if not types.is_fixed_size_binary(storage.type):
            first = int(np.frombuffer(fixed.buffers()[1], np.int64)[fixed.offset])
        flat = np.frombuffer(fixed.buffers()[-1], np.uint8)[first:][: len(storage) * dimension * numbers.itemsize]
        return np.ascontiguousarray(flat.view(numbers).reshape(len(storage), dimension), np.float32)
    flat = storage.flatten()
    if flat.null_count:  # become NaN
        values = flat.to_numpy(zero_copy_only=False)
    else:  # without pandas, which pyarrow loads to convert them
        values = np.frombuffer(flat.buffers()[1], numbers, len(flat), flat.offset * numbers.itemsize)
    return np.ascontiguousarray(values.reshape(len(column), dimension), np.float32)


def number_type(name: str) -> np.dtype[Any]:
    """The type of numbers in a file, by one of `NUMBERS`."""
    return np.dtype(f"<f{int(name.removeprefix('float')) // 8}")


def is_bytes(kind: Any) -> bool:
    """Whether an Arrow type is of bytes, of a fixed length or not."""
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _likely_numbers(values: Sequence[bytes]) -> np.dtype[Any] | None:
    """The only type of numbers that bytes make sense as; `None` where there are several or none.

    A pair of numbers read as one has some of their digits in its exponent, and half of one has digits for an exponent:
    their sizes scatter eight times as far, or they are no numbers at all.
    """
    likely = []
    for name in NUMBERS:
        kind = number_type(name)
        if not values or any(len(value) % kind.itemsize for value in values):
            continue
        sizes = np.abs(np.frombuffer(b"".join(values), kind).astype(np.float64))
        if np.isfinite(sizes).all() and sizes.any() and np.std(np.log2(sizes[sizes > 0])) < _SCATTER:
            likely.append(kind)
    return likely[0] if len(likely) == 1 else None


def _is_vector(kind: Any) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return isinstance(kind, pa.FixedShapeTensorType) and len(kind.shape) == 1 and _is_vector(kind.storage_type)
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(listed and types.is_floating(kind.value_type))


def _is_text(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_id(kind: Any) -> bool:
    return bool(_is_text(kind) or types.is_integer(kind))
