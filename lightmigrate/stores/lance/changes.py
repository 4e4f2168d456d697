"""Which rows differ between two versions of a table: those of the fragments that are not the same files.

Lance never changes a file. A row that an application writes goes to a new fragment, a row that it deletes is marked in
a list of its own. So only new fragments and those lists are read. A compaction copies rows to new fragments; such rows
are compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightmigrate.stores.lance.layout import Layout, quoted
from lightmigrate.stores.lance.pages import read_pages
from lightmigrate.stores.lance.values import ids_of

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
    there, remaining = dict(old.addresses(marked)), dict(new.addresses(marked))
    gone = {record for address, record in there.items() if address not in remaining}
    gone.update(record for _, record in old.addresses(gone_fragments))
    come = {record for address, record in remaining.items() if address not in there}
    come.update(record for _, record in new.addresses(new_fragments))
    both = gone & come
    digests = old.digests([*gone_fragments, *marked], both, vectors) if both else {}
    later = new.digests([*new_fragments, *marked], both, vectors) if both else {}
    unchanged = {record for record in both if digests.get(record) == later.get(record)}
    return dict.fromkeys(come - unchanged, False) | dict.fromkeys(gone - come, True)


class _Version:
    """One version, and its fragments by number."""

    def __init__(self, dataset: Any, table: str, column: str, ignored: set[int]) -> None:
        self._dataset = dataset
        self._layout, self._column = Layout(table, dataset.schema), column
        present = {number for field in dataset.lance_schema.fields() for number in _numbers(field)} - ignored
        self.fragments: Mapping[int, _Fragment] = {
            fragment.fragment_id: _described(fragment.metadata, present) for fragment in dataset.get_fragments()
        }

    def addresses(self, fragments: Sequence[int]) -> list[tuple[int, str]]:
        """Row address and id of every row of some fragments that has a vector."""
        found: list[tuple[int, str]] = []
        for batch in self._batches(fragments):
            found += zip(batch.column("_rowaddr").to_pylist(), ids_of(batch.column(self._layout.id.name)), strict=True)
        return found

    def _batches(self, fragments: Sequence[int]) -> Iterator[Any]:
        if not fragments:
            return
        scanner = self._dataset.scanner(
            columns=[self._layout.id.name],
            filter=f"{quoted(self._column)} IS NOT NULL",
            with_row_address=True,
            fragments=self._opened(fragments),
        )
        yield from scanner.to_batches()

    def digests(self, fragments: Sequence[int], wanted: set[str], vectors: bool) -> dict[str, bytes]:
        """A digest of the contents of some rows."""
        found: dict[str, bytes] = {}
        opened = self._opened(fragments)
        for page in read_pages(self._dataset, self._layout, self._column, _SIZE, vectors=vectors, fragments=opened):
            for row, record in enumerate(page.ids):
                if record in wanted:
                    content = json.dumps([page.texts[row], page.payloads[row]], sort_keys=True).encode()
                    found[record] = hashlib.sha256(content + page.vectors[row].tobytes()).digest()
        return found

    def _opened(self, fragments: Sequence[int]) -> list[Any]:
        return [self._dataset.get_fragment(number) for number in fragments]


def _described(metadata: Any, present: set[int]) -> _Fragment:
    files = ((file.path, tuple(sorted(present.intersection(file.fields)))) for file in metadata.files)
    replaced = (f"{metadata.overlays!r}", ())  # single values that were written again
    return _Fragment(
        files=frozenset([replaced, *((path, fields) for path, fields in files if fields)]),
        deletions=repr(metadata.deletion_file),
    )


def _field_ids(dataset: Any, column: str) -> set[int]:
    field = dataset.lance_schema.field(column)
    return set() if field is None else set(_numbers(field))


def _numbers(field: Any) -> list[int]:
    return [field.id(), *(number for child in field.children() for number in _numbers(child))]
