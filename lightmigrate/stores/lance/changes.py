"""Which rows differ between two versions of a table: those of the fragments that are not the same files.

Lance never changes a file. A row that an application writes goes to a new fragment, a row that it deletes is marked in
a list of its own. So only new fragments and those lists are read. A compaction copies rows to new fragments; such rows
are compared. That may be all rows of the table, so what is known of them is outside of memory.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.lance.layout import Layout, quoted
from lightmigrate.stores.lance.pages import read_pages
from lightmigrate.stores.lance.values import ids_of
from lightmigrate.stores.record_tables import RecordTables

_SIZE = 2000


@dataclass(frozen=True)
class _Fragment:
    """One fragment of a version: the files of its rows, and the list of those that are deleted."""

    files: frozenset[tuple[str, tuple[int, ...]]]
    deletions: str


def written_between(before: Any, after: Any, table: str, column: str) -> dict[str, bool]:
    """Ids of the rows that differ between two versions, each with whether it was deleted; only reads.

    Where the column was exchanged in between, its vectors are not compared: they are those of another model.

    Args:
        before: the earlier version.
        after: the later one.
        table: its name, for messages.
        column: the vector column.
    """
    vectors = _field_ids(before, column) == _field_ids(after, column)
    ignored = set() if vectors else {*_field_ids(before, column), *_field_ids(after, column)}
    old, new = _Version(before, table, column, ignored), _Version(after, table, column, ignored)
    same = [n for n, fragment in old.fragments.items() if n in new.fragments and new.fragments[n] == fragment]
    marked = [
        n
        for n, fragment in old.fragments.items()
        if n in new.fragments and n not in same and new.fragments[n].files == fragment.files
    ]
    gone_fragments = [n for n in old.fragments if n not in same and n not in marked]
    new_fragments = [n for n in new.fragments if n not in same and n not in marked]
    gone, found, copied = RecordTables().table(), dict[str, bool](), False
    for ids in itertools.chain(old.lacking(new, marked), old.ids(gone_fragments)):
        gone.put(dict.fromkeys(ids, b""))
    round_ = gone.round()
    for ids in itertools.chain(new.lacking(old, marked), new.ids(new_fragments)):
        both = round_.meet(ids)
        copied |= bool(both)
        found.update((record, False) for record in ids if record not in both)
    found.update((record, True) for ids in round_.missed(_SIZE) for record in ids)
    if copied:
        for digests in old.digests([*gone_fragments, *marked], vectors):
            held = gone.get(list(digests))
            gone.put({record: digests[record] for record in held})
        for digests in new.digests([*new_fragments, *marked], vectors):
            held = gone.get(list(digests))
            found.update((record, False) for record, digest in held.items() if digest != digests[record])
    return found


class _Version:
    """One version, and its fragments by number."""

    def __init__(self, dataset: Any, table: str, column: str, ignored: set[int]) -> None:
        self._dataset = dataset
        self._layout, self._column = Layout(table, dataset.schema), column
        present = {number for field in dataset.lance_schema.fields() for number in _numbers(field)} - ignored
        self.fragments: Mapping[int, _Fragment] = {
            fragment.fragment_id: _described(fragment.metadata, present) for fragment in dataset.get_fragments()
        }

    def ids(self, fragments: Sequence[int]) -> Iterator[list[str]]:
        """The ids of the rows of some fragments that have a vector, some at a time."""
        return (ids for _, ids in self._rows(fragments))

    def lacking(self, other: _Version, fragments: Sequence[int]) -> Iterator[list[str]]:
        """The ids of such rows of some fragments that another version lacks, which has the same files of each."""
        for number in fragments:
            parts = [addresses for addresses, _ in other._rows([number])]
            known = np.concatenate(parts) if parts else np.zeros(0, np.uint64)
            for addresses, ids in self._rows([number]):
                yield [ids[row] for row in np.flatnonzero(~np.isin(addresses, known)).tolist()]

    def _rows(self, fragments: Sequence[int]) -> Iterator[tuple[npt.NDArray[np.uint64], list[str]]]:
        """Row address and id of every row of some fragments that has a vector, some at a time."""
        if not fragments:
            return
        scanner = self._dataset.scanner(
            columns=[self._layout.id.name],
            filter=f"{quoted(self._column)} IS NOT NULL",
            with_row_address=True,
            batch_size=_SIZE,
            fragments=self._opened(fragments),
        )
        for batch in scanner.to_batches():
            yield batch.column("_rowaddr").to_numpy(), ids_of(batch.column(self._layout.id.name))

    def digests(self, fragments: Sequence[int], vectors: bool) -> Iterator[dict[str, bytes]]:
        """A digest of the contents of each row of some fragments by id, some at a time."""
        if not fragments:
            return
        opened = self._opened(fragments)
        for page in read_pages(self._dataset, self._layout, self._column, _SIZE, vectors=vectors, fragments=opened):
            found = {}
            for row, record in enumerate(page.ids):
                content = json.dumps([page.texts[row], page.payloads[row]], sort_keys=True).encode()
                found[record] = hashlib.sha256(content + page.vectors[row].tobytes()).digest()
            yield found

    def _opened(self, fragments: Sequence[int]) -> list[Any]:
        return [self._dataset.get_fragment(number) for number in fragments]


def _described(metadata: Any, present: set[int]) -> _Fragment:
    files = ((file.path, tuple(sorted(present.intersection(file.fields)))) for file in metadata.files)
    # single values that were written again, which older versions of pylance do not have
    replaced = (f"{getattr(metadata, 'overlays', None)!r}", ())
    return _Fragment(
        files=frozenset([replaced, *((path, fields) for path, fields in files if fields)]),
        deletions=repr(metadata.deletion_file),
    )


def _field_ids(dataset: Any, column: str) -> set[int]:
    field = dataset.lance_schema.field(column)
    return set() if field is None else set(_numbers(field))


def _numbers(field: Any) -> list[int]:
    return [field.id(), *(number for child in field.children() for number in _numbers(child))]
