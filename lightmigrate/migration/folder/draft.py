"""A new collection as it is to be, in files: read off the old one once, written from there, compared with in the end.

Chroma loads an index at the first touch of its collection. With a draft the old one can be closed before the new one
is built, so that the two are never in memory at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.files import replacing
from lightmigrate.migration.ahead import ahead
from lightmigrate.migration.baseline import Baseline
from lightmigrate.migration.job import InvalidRows, Job, project
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.migration.recall import QUERIES, Exact
from lightmigrate.projection.vectors import Vectors, evenly
from lightmigrate.stores.base import Page

_NUMBER = np.dtype("<f4")

# Records that are projected at once.
_TOGETHER = 1000


@dataclass(frozen=True)
class Draft:
    """All records of a collection with their new vectors, in its order.

    Attributes:
        baseline: what the collection was.
        dimension: length of the new vectors.
        queries: which records to search for when the recall of an index is measured.
        records: ids, documents, metadatas and uris: a JSON list a line.
        vectors: float32 rows, little-endian, nothing else.
    """

    baseline: Baseline
    dimension: int
    queries: Sequence[int]
    records: Path
    vectors: Path

    def pages(self, size: int, start: int = 0) -> Iterator[Page]:
        """The records from the `start`-th on, at most `size` at a time; only reads."""
        return self.pages_of(repeat(size), start)

    def pages_of(self, sizes: Iterable[int], start: int = 0) -> Iterator[Page]:
        """The records from the `start`-th on, so many at a time, until there are no more; only reads."""
        # Read, not mapped: a mapped file would count as memory of this process, all of it.
        with self.records.open("rb") as lines, self.vectors.open("rb") as numbers:
            numbers.seek(start * self.dimension * _NUMBER.itemsize)
            rest = islice(lines, start, None)
            for size in sizes:
                if not (rows := [json.loads(line) for line in islice(rest, size)]):
                    return
                ids, documents, metadatas, uris = zip(*rows, strict=True)
                vectors = np.fromfile(numbers, _NUMBER, len(rows) * self.dimension)
                yield Page(
                    ids, vectors.reshape(len(rows), -1).astype(np.float32, copy=False), documents, metadatas, uris
                )

    def rows(self) -> dict[str, int]:
        """The number of every record by its id; only reads."""
        with self.records.open("rb") as lines:
            return {json.loads(line)[0]: row for row, line in enumerate(lines)}

    def vectors_of(self, rows: npt.ArrayLike) -> Vectors:
        """The vectors of some records, by number, `(n, dimension)`; only reads."""
        # mapped anew each time, so that what was looked at does not stay in memory
        return np.asarray(self._mapped()[np.asarray(rows)], np.float32)

    def exact(self, page_size: int) -> Exact | None:
        """The true nearest neighbours of the queries in the new space; only reads. `None` without queries."""
        if self.baseline.space is None or not self.queries:
            return None
        exact = Exact(self.vectors_of(self.queries), self.baseline.space)
        with self.vectors.open("rb") as numbers:
            while (page := np.fromfile(numbers, _NUMBER, page_size * self.dimension)).size:
                exact.add(page.reshape(-1, self.dimension).astype(np.float32, copy=False))
        return exact

    def _mapped(self) -> Any:
        return np.memmap(self.vectors, _NUMBER, "r").reshape(-1, self.dimension)

    @classmethod
    def written(cls, folder: Path, number: int) -> Draft | None:
        """What `write` left in a folder; `None` when it is not whole, or not what was written."""
        header, sample, records, vectors = _files(folder, number)
        try:
            said = json.loads(header.read_bytes())
            if said.pop("sha256") != _sha256(said, sample, records, vectors):
                return None
            baseline = Baseline(**said["baseline"], vectors=np.load(sample, allow_pickle=False))
            return cls(baseline, said["dimension"], said["queries"], records, vectors)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @classmethod
    def write(
        cls,
        job: Job,
        folder: Path,
        number: int,
        page_size: int,
        on_progress: OnProgress,
        sample: Page | None = None,
    ) -> Draft:
        """Read a job's collection, all of it, and write the draft of the new one into a folder.

        Args:
            job: what to draft.
            folder: is made when it is not there; what an interrupted call left in it is written over.
            number: tells the job from others in the folder.
            page_size: records read at once.
            on_progress: hears about every page.
            sample: of the collection; is taken when it is left out.

        Raises:
            InvalidVectorsError: vectors that mean nothing, and the job refuses them.
        """
        folder.mkdir(exist_ok=True)
        header, seen, records, vectors = _files(folder, number)
        baseline, dimension, done, invalid = Baseline.of(job.source, sample), 0, 0, InvalidRows(job)
        asked = evenly(len(baseline.ids), QUERIES)
        queries = {baseline.ids[row]: 0 for row in asked}
        exact = Exact(baseline.vectors[asked], baseline.space) if baseline.space else None

        def looked_at(pages: Iterator[Page]) -> Iterator[Page]:
            read = 0
            for page in pages:
                read += len(page)
                if invalid.look(page):  # after the first, the rest is only looked through, to name them all
                    yield page
                on_progress(Progress("project", read, baseline.records, job.source.address.name))

        with records.open("wb") as lines, vectors.open("wb") as numbers, ahead(job.source.pages(page_size)) as pages:
            for group in _grouped(looked_at(pages)):
                projected = project(job.projection, group, job.texts)
                dimension = projected.shape[1]
                numbers.write(np.ascontiguousarray(projected, _NUMBER).data)
                columns = zip(group.ids, group.documents, group.metadatas, group.uris, strict=True)
                lines.writelines(json.dumps(row).encode() + b"\n" for row in columns)
                queries.update((one, done + row) for row, one in enumerate(group.ids) if one in queries)
                if exact:
                    exact.add(group.vectors)
                done += len(group)
            for file in (lines, numbers):
                file.flush()
                os.fsync(file.fileno())
        invalid.require_none(baseline.records)
        if exact:
            baseline = replace(baseline, recall=exact.recall(job.source))
        with replacing(seen) as stream:
            np.save(stream, baseline.vectors)
        said = {
            "baseline": {name: value for name, value in vars(baseline).items() if name != "vectors"},
            "dimension": dimension,
            "queries": list(queries.values()),
        }
        with replacing(header) as stream:
            stream.write(json.dumps({**said, "sha256": _sha256(said, seen, records, vectors)}).encode())
        return cls(baseline, dimension, list(queries.values()), records, vectors)


def _grouped(pages: Iterator[Page]) -> Iterator[Page]:
    """The same records, the same ones together whatever pages they come in.

    The last bits of a matrix product depend on how many rows are multiplied at once, and on some machines on which of
    them a row is. An interrupted run that is gone on with in other pages is to end with the same bits.
    """
    waiting: list[Page] = []
    for page in pages:
        waiting.append(page)
        while sum(map(len, waiting)) >= _TOGETHER:
            whole = Page.joined(waiting)
            yield whole.part(0, _TOGETHER)
            waiting = [whole.part(_TOGETHER, len(whole))]
    if any(map(len, waiting)):
        yield Page.joined(waiting)


def _files(folder: Path, number: int) -> tuple[Path, Path, Path, Path]:
    """Of one draft: the header, which is written last, the baseline's sample, the records and their vectors."""
    header, sample, records, vectors = (
        folder / f"{number}.{what}" for what in ("json", "sample.npy", "records", "vectors")
    )
    return header, sample, records, vectors


def _sha256(said: Mapping[str, Any], *files: Path) -> str:
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
