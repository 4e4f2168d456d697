"""Texts from a file: one a line, JSON lines, or a column of a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import LightmigrateError, MissingExtraError
from lightmigrate.results import Result


def read_texts(path: Path, key: str = "text") -> list[str]:
    """The different, non-empty texts of a file, in its order; only reads.

    Args:
        path: `.txt` (one text a line), `.jsonl` (one object a line), or `.parquet`.
        key: the field, or column, that holds the text.

    Raises:
        LightmigrateError: the file is missing, unreadable, of another kind, or not what its name says. The message
            names the line, where the file has lines, and never holds a text.
        MissingExtraError: a Parquet file, and pyarrow is not installed.
    """
    readers = {".txt": _lines, ".jsonl": _json_lines, ".parquet": _parquet}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise LightmigrateError(
            f"{path.name}: texts are read from {', '.join(readers)}, not from {path.suffix or 'this file'}"
        )
    try:
        if not path.is_file():
            raise LightmigrateError(f"no file of texts at {path}; check the path")
        texts = list(dict.fromkeys(text for text in readers[suffix](path, key) if text.strip()))
    except OSError as error:
        raise LightmigrateError(f"cannot read {path}: {error.strerror}") from None
    if not texts:
        raise LightmigrateError(f"{path.name} holds no text; give a file that does")
    return texts


@dataclass(frozen=True)
class TextsFile(Result):
    """A `.jsonl` file of texts by record id, for a collection that does not store its texts.

    Attributes:
        path: of the file, one object a line; empty for no file.
        text_key: the field that holds a text.
        id_key: the field that holds the record's id.
    """

    path: str = ""
    text_key: str = "text"
    id_key: str = "id"

    @classmethod
    def at(cls, path: Path | None, text_key: str, id_key: str) -> TextsFile:
        """The file at a path, which is made absolute; no file for `None`."""
        return cls("" if path is None else str(path.resolve()), text_key, id_key)

    def read(self) -> dict[str, str]:
        """The texts by id, the last one of each id; only reads.

        Raises:
            LightmigrateError: the file is missing, of another kind, or has a line without both fields. The message
                never holds a text.
        """
        path = Path(self.path)
        if not self.path:
            return {}
        if path.suffix.lower() != ".jsonl":
            raise LightmigrateError(
                f"{path.name}: texts by id are read from .jsonl, one object with id and text a line"
            )
        if not path.is_file():
            raise LightmigrateError(f"no file of texts at {path}: give its new path (--texts FILE.jsonl)")
        try:
            return dict(zip(_json_lines(path, self.id_key), _json_lines(path, self.text_key), strict=True))
        except OSError as error:
            raise LightmigrateError(f"cannot read {path}: {error.strerror}") from None


NO_TEXTS = TextsFile()


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, without line ends and byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise LightmigrateError(f"{path.name}, line {number}: not UTF-8; convert the file") from None
            yield number, text.rstrip("\r\n")


def _lines(path: Path, _: str) -> Iterable[str]:
    return (text for _, text in _numbered(path))


def _json_lines(path: Path, key: str) -> Iterator[str]:
    for number, line in _numbered(path):
        if not line.strip():
            continue
        try:
            text = json.loads(line)[key]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise LightmigrateError(f"{path.name}, line {number}: no JSON object with a field {key!r}") from None
        if not isinstance(text, str):
            raise LightmigrateError(f"{path.name}, line {number}: {key!r} is not a text")
        yield text


def _parquet(path: Path, key: str) -> Iterator[str]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet") from None
    try:
        with ParquetFile(path) as file:
            if key not in file.schema_arrow.names:
                raise LightmigrateError(
                    f"{path.name} has no column {key!r}; it has {', '.join(file.schema_arrow.names)}"
                )
            for batch in file.iter_batches(columns=[key]):
                for text in batch.column(0).to_pylist():
                    if text is not None and not isinstance(text, str):
                        raise LightmigrateError(f"{path.name}: the column {key!r} holds no texts")
                    yield text or ""
    except (ArrowException, UnicodeDecodeError, OSError) as error:
        raise LightmigrateError(f"{path.name} is not a Parquet file, or is damaged ({type(error).__name__})") from None
