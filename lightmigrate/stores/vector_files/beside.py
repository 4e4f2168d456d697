"""Ids, texts and payloads in files beside a file of vectors, row by row.

Read are, for `NAME.npy` or `NAME.faiss`, in this order:

- `NAME.jsonl`: an object a line, with `id`, `text` (or `content`, `document`, `page_content`) and any other fields;
- `NAME.ids.json` (a list) or `NAME.ids.txt` (one a line), and `NAME.texts.jsonl` (a text or an object a line);
- where it is the only file of its kind in the folder: `ids.json`, `ids.txt`, `texts.jsonl`.

Without ids, or where an id occurs twice, a record is known by its row number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DamagedCollectionError, LightmigrateError
from lightmigrate.stores.base import Page, Payload
from lightmigrate.stores.vector_files.blocks import places_in, read_bytes, runs
from lightmigrate.stores.vector_files.row_ids import RowNumbers
from lightmigrate.stores.vector_files.table import Rows, finite, pages_of
from lightmigrate.vectors import Vectors

# Reads a value without looking for what may stand around it, and what may stand behind it.
_parse = json.JSONDecoder().raw_decode
_LINE_ENDS = ("\n", "", "\r\n")

TEXT_FIELDS = ("text", "content", "document", "page_content")


@dataclass(frozen=True)
class Lines:
    """A file of JSON values, one a line, read from their places.

    Attributes:
        path: the file.
        offsets: where each line begins, and where the last one ends.
        text_field: the field of an object that holds the text.
    """

    path: Path
    offsets: Sequence[int]
    text_field: str
    _file: Any

    @classmethod
    def of(cls, path: Path) -> tuple[Lines, list[object]]:
        """The lines of a file, and the `id` of each; `None` for those without one.

        Raises:
            DamagedCollectionError: a line is no JSON.
        """
        offsets, ids, text_field = [0], list[object](), ""
        file = path.open("rb")
        for number, line in enumerate(file):
            value = _value(line, path, number)
            if isinstance(value, dict):
                ids.append(value.get("id"))
                text_field = text_field or next((name for name in TEXT_FIELDS if name in value), "")
            else:
                ids.append(None)
            offsets.append(offsets[-1] + len(line))
        return cls(path, offsets, text_field or TEXT_FIELDS[0], file), ids

    def line(self, row: int) -> bytes:
        """A line as it is in the file."""
        start, end = self.offsets[row], self.offsets[row + 1]
        return read_bytes(places_in(self._file), start, end - start)

    def record(self, row: int) -> tuple[str | None, Payload | None]:
        """The text and the payload of a row."""
        return self._record(self.line(row), row)

    def records(self, rows: Sequence[int]) -> list[tuple[str | None, Payload | None]]:
        """The texts and payloads of some rows, in the order given; lines that follow each other are read at once."""
        found = []
        for _, first, count in runs(rows):
            start = self.offsets[first]
            block = read_bytes(places_in(self._file), start, self.offsets[first + count] - start)
            for row in range(first, first + count):
                line = block[self.offsets[row] - start : self.offsets[row + 1] - start]
                found.append(self._record(line, row))
        return found

    def _record(self, line: bytes, row: int) -> tuple[str | None, Payload | None]:
        value = _value(line, self.path, row)
        if not isinstance(value, dict):
            return (value if isinstance(value, str) else None), None
        fields = {key: finite(each) for key, each in value.items() if key != "id"}
        text = fields.pop(self.text_field) if isinstance(fields.get(self.text_field), str) else None
        return text, fields or None


@dataclass(frozen=True)
class Beside:
    """What lies beside a file of vectors.

    Attributes:
        name: of the collection.
        kind: which files there are, for settings.
        ids: the id of every row.
        numbered: whether ids are row numbers, because no file has ids or one occurs twice.
        whole_numbers: whether the ids in the files are numbers.
        labels: whether the ids are those in the file of vectors itself.
        ids_file: the file of ids alone; empty where there is none.
        lines: texts and payloads; `None` where there are none.
    """

    name: str
    kind: str
    ids: Sequence[str]
    numbered: bool
    whole_numbers: bool = False
    labels: bool = False
    ids_file: str = ""
    lines: Lines | None = None

    @staticmethod
    def files(folder: Path, name: str, suffix: str) -> list[str]:
        """Names of the files that lie beside; only reads."""
        if (folder / f"{name}.jsonl").is_file():
            return [f"{name}.jsonl"]
        prefixes = [f"{name}."]
        if len([path for path in folder.glob(f"*{suffix}") if path.is_file()]) == 1:
            prefixes.append("")
        for prefix in prefixes:
            ids = [f"{prefix}{end}" for end in ("ids.json", "ids.txt")]
            found = [each for each in (*ids, f"{prefix}texts.jsonl") if (folder / each).is_file()]
            if found:
                return found
        return []

    def file_for(self, name: str, file: str) -> str:
        """Name of the file of a collection of that name which corresponds to one of these."""
        return file if name == self.name else f"{name}.{file.removeprefix(f'{self.name}.')}"

    def require_rows(self, count: int, path: Path) -> None:
        """Raise `DamagedCollectionError` when the files have another number of rows than the vectors."""
        if len(self.ids) != count:
            raise DamagedCollectionError(
                f"{path} has {count} vectors, and the files beside it have {len(self.ids)} records: they are not of "
                "the same state"
            )

    def page(self, rows: Sequence[int], vectors: Vectors) -> Page:
        """Some rows, in the order given, with their vectors."""
        records = self.lines.records(rows) if self.lines else [(None, None)] * len(rows)
        return Page(
            [self.ids[row] for row in rows], vectors, [text for text, _ in records], [load for _, load in records]
        )


def read_beside(
    folder: Path, name: str, suffix: str, count: Callable[[], int], keys: Sequence[int] | None = None
) -> Beside:
    """What lies beside a file of vectors; only reads.

    Args:
        folder: the folder.
        name: of the collection.
        suffix: of the file of vectors.
        count: the number of vectors; called where no file says how many records there are.
        keys: ids in the file of vectors itself, by row; used where no file beside it has ids.

    Raises:
        DamagedCollectionError: a file cannot be read, or two differ in length.
    """
    names = Beside.files(folder, name, suffix)
    lines_file = next((each for each in names if each.endswith(".jsonl")), "")
    ids_file = next((each for each in names if not each.endswith(".jsonl")), "")
    lines, found = Lines.of(folder / lines_file) if lines_file else (None, [])
    if ids_file:
        listed = _listed(folder / ids_file)
        if lines is not None and len(listed) != len(found):
            raise DamagedCollectionError(
                f"{folder / ids_file} has {len(listed)} ids and {folder / lines_file} {len(found)} texts: they are not "
                "of the same state"
            )
        found = listed
    kind = "+".join(each.removeprefix(f"{name}.") for each in names) or "none"
    whole_numbers = bool(found) and all(type(each) is int for each in found)
    ids = [str(each) for each in found if type(each) in (str, int)]
    labels = keys is not None and not ids and bool(keys or not names)  # an empty index says nothing of its ids
    if keys is not None and labels:
        ids, whole_numbers, found = [str(key) for key in keys], True, list(keys)
    stated = bool(names) or keys is not None
    if not stated or len(ids) != len(found) or len(set(ids)) != len(ids):
        total = len(found) if names else count()
        return Beside(name, kind, RowNumbers(total), True, False, False, ids_file, lines)
    return Beside(name, kind, ids, False, whole_numbers, labels, ids_file, lines)


def write_beside(
    folder: Path, name: str, suffix: str, rows: Rows, like: Beside, originals: Beside | None = None
) -> None:
    """Write the files of other rows, as `like` has them; lines of records that are the same are copied. Writes.

    Args:
        folder: has none of these files yet.
        name: of the collection.
        suffix: of the file of vectors.
        rows: its records.
        like: the files that are followed.
        originals: others that may have lines of these records.

    Raises:
        LightmigrateError: the files cannot hold these records.
    """
    if like.numbered and any(record != str(row) for row, record in enumerate(rows.ids)):
        raise LightmigrateError(
            f"{name}{suffix} has no ids beside it, so its rows are known by their number: rows can only be added at "
            "its end; write the ids into a file beside it"
        )
    ids: list[object] = [_number(each) if like.whole_numbers else each for each in rows.ids]
    ids_file = like.file_for(name, like.ids_file)
    if like.ids_file.endswith(".json"):
        (folder / ids_file).write_text(json.dumps(ids), encoding="utf-8")
    elif like.ids_file:
        if any("\n" in str(each) or "\r" in str(each) for each in ids):
            raise LightmigrateError(f"{like.ids_file} has an id a line, and an id has several lines: use ids.json")
        (folder / ids_file).write_text("".join(f"{each}\n" for each in ids), encoding="utf-8")
    if like.lines is None:
        if any(text is not None or payload for page in pages_of(rows, vectors=False) for text, payload in _of(page)):
            raise LightmigrateError(f"{name}{suffix} has no file for texts beside it: make {name}.jsonl")
        return
    sources = [each for each in (_Source.of(like, like), _Source.of(originals, like)) if each is not None]
    with (folder / like.file_for(name, like.lines.path.name)).open("wb") as file:
        start = 0
        for page in pages_of(rows, vectors=False):
            for number, (text, payload) in enumerate(_of(page)):
                stored = (source.line_of(page.ids[number], text, payload) for source in sources)
                line = next((each for each in stored if each is not None), b"")
                if not line:
                    alone = bool(like.ids_file) or like.numbered or like.labels
                    identity = {} if alone else {"id": ids[start + number]}
                    content = {} if text is None else {like.lines.text_field: text}
                    line = json.dumps({**identity, **content, **(payload or {})}).encode()
                file.write(line if line.endswith(b"\n") else line + b"\n")
            start += len(page)


@dataclass(frozen=True)
class _Source:
    """Lines of records, by the id of each."""

    lines: Lines
    rows: Mapping[str, int]

    @classmethod
    def of(cls, beside: Beside | None, like: Beside) -> _Source | None:
        """Those that files like some others have; `None` where their lines would mean something else there."""
        if beside is None or beside.lines is None or like.lines is None:
            return None
        if (beside.kind, beside.lines.text_field) != (like.kind, like.lines.text_field):
            return None
        return cls(beside.lines, {record: row for row, record in enumerate(beside.ids)})

    def line_of(self, record: str, text: str | None, payload: Payload | None) -> bytes | None:
        """The line of a record; `None` where there is none with this text and payload."""
        row = self.rows.get(record)
        return self.lines.line(row) if row is not None and self.lines.record(row) == (text, payload) else None


def _of(page: Page) -> Iterator[tuple[str | None, Payload | None]]:
    return zip(page.texts, page.payloads, strict=True)


def _number(record: str) -> int:
    try:
        return int(record)
    except ValueError:
        raise LightmigrateError(
            "the ids of these files are whole numbers, and a new one is not: use a number"
        ) from None


def _value(line: bytes, path: Path, row: int) -> Any:
    try:
        text = line.decode()
        value, end = _parse(text)
        if text[end:] in _LINE_ENDS:
            return value
    except (ValueError, RecursionError):
        pass
    try:  # what another encoding, or a space before it, made unreadable to this
        return json.loads(line)
    except (ValueError, RecursionError):
        raise DamagedCollectionError(f"{path}: line {row + 1} is no JSON; each line is one value") from None


def _listed(path: Path) -> list[object]:
    try:
        if path.suffix == ".txt":
            text = path.read_text(encoding="utf-8")
            return list(text.removesuffix("\n").split("\n")) if text else []
        ids = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise DamagedCollectionError(f"{path} is no {path.suffix[1:].upper()} file that can be read") from None
    if not isinstance(ids, list):
        raise DamagedCollectionError(f"{path} should be a JSON list of ids and is {type(ids).__name__}")
    return ids
