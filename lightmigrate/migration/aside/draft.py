"""A draft: the new vectors of a collection in files. The new collection gets them from there and is compared with them.

A store may load the whole index when a collection is first used. With a draft the old collection can be closed before
the new one is built, so that both indexes are never in memory at the same time. Texts and payloads are in the copy of
the database, which keeps the old records until the new ones are verified; of these a draft holds only digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import NothingToMigrateError
from lightmigrate.migration.baseline import Baseline
from lightmigrate.migration.digest import Contents, Digest
from lightmigrate.migration.job import InvalidRows, Job, projected
from lightmigrate.migration.recall import QUERIES, Exact
from lightmigrate.progress import OnProgress, Progress
from lightmigrate.projection.projection import Projection
from lightmigrate.scores.distances import Distances
from lightmigrate.scores.stored import distances_from_json, distances_to_json
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.files import RecordsInFiles
from lightmigrate.stores.ids import IdTable, hashed
from lightmigrate.stores.read_ahead import read_ahead
from lightmigrate.vectors import Vectors, evenly, meaningful

_NUMBER = np.dtype("<f4")

# Records projected at once.
_BATCH = 1000


@dataclass(frozen=True)
class Draft:
    """The ids of a collection with their new vectors, in its order.

    Attributes:
        baseline: what the collection was.
        dimension: length of the new vectors.
        queries: which records to search for when the recall of an index is measured.
        records: ids: one JSON string a line.
        vectors: float32 rows, little-endian, nothing else.
        projection: the projection that gave the vectors.
        contents: of the old records, without their vectors.
        lost: records without a vector of their own, which have the centre of the new space: only in a collection made
            anew.
        distances: from the queries in the old space; `None` where they were not measured.
    """

    baseline: Baseline
    dimension: int
    queries: Sequence[int]
    records: Path
    vectors: Path
    projection: Projection
    contents: Contents
    lost: int = 0
    distances: Distances | None = None

    @property
    def count(self) -> int:
        """Number of records."""
        return self.baseline.records

    def project(self, vectors: Vectors) -> Vectors:
        """Vectors `(n, d)` of the old space in the new one, without a text."""
        return projected(self.projection, vectors, None)

    def pages(self, size: int, start: int = 0) -> Iterator[Page]:
        """Ids and vectors from the `start`-th on, at most `size` at a time; only reads."""
        return self.pages_of(repeat(size), start)

    def pages_of(self, sizes: Iterable[int], start: int = 0) -> Iterator[Page]:
        """Ids and vectors from the `start`-th on, so many at a time, until there are no more; only reads."""
        # Read, not mapped: a mapped file would count as memory of this process, all of it.
        with self.records.open("rb") as lines, self.vectors.open("rb") as numbers:
            numbers.seek(start * self.dimension * _NUMBER.itemsize)
            rest = islice(lines, start, None)
            for size in sizes:
                if not (ids := _strings(islice(rest, size))):
                    return
                vectors = np.fromfile(numbers, _NUMBER, len(ids) * self.dimension).reshape(len(ids), -1)
                nothing = [None] * len(ids)
                yield Page(ids, vectors.astype(np.float32, copy=False), nothing, nothing)

    def rows(self) -> IdTable:
        """The number of every record by its id; only reads. See `files.NewVectors`."""
        with self.records.open("rb") as lines:
            return IdTable(hashed(chain.from_iterable(iter(lambda: _strings(islice(lines, _BATCH)), []))))

    def vectors_of(self, rows: npt.ArrayLike) -> Vectors:
        """The vectors of some records, by number, `(n, dimension)`; only reads."""
        # mapped anew each time, so that pages that were read do not stay in memory
        return np.asarray(self._mapped()[np.asarray(rows)], np.float32)

    def exact(self, page_size: int) -> Exact | None:
        """The true nearest neighbours of the queries in the new space; only reads. `None` without queries."""
        if self.baseline.new_space is None or not self.queries:
            return None
        exact = Exact(self.vectors_of(self.queries), self.baseline.new_space)
        with self.vectors.open("rb") as numbers:
            while (page := np.fromfile(numbers, _NUMBER, page_size * self.dimension)).size:
                exact.add(page.reshape(-1, self.dimension).astype(np.float32, copy=False))
        return exact

    def _mapped(self) -> Any:
        with self.vectors.open("rb") as numbers:  # given a path, NumPy resolves it, which takes longer than mapping
            return np.memmap(numbers, _NUMBER, "r").reshape(-1, self.dimension)

    @classmethod
    def written(cls, folder: Path, number: int, projection: Projection) -> Draft | None:
        """The draft that `write` left in a folder; `None` when it is incomplete or was changed. Only reads."""
        header, sample, records, vectors = _files(folder, number)
        try:
            fields = json.loads(header.read_bytes())
            if fields.pop("sha256") != _sha256(fields, sample, records, vectors):
                return None
            baseline = Baseline(**fields["baseline"], vectors=np.load(sample, allow_pickle=False))
            distances = distances_from_json(fields["distances"]) if fields.get("distances") else None
            queries, lost, contents = fields["queries"], fields["lost"], Contents(**fields["contents"])
            return cls(baseline, fields["dimension"], queries, records, vectors, projection, contents, lost, distances)
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
        in_files: RecordsInFiles | None = None,
    ) -> Draft:
        """Read a job's collection, all of it, and write the draft of the new one into a folder.

        The caller flushes the folder to the disk, once for all drafts. Until then a crash of the machine may leave a
        draft incomplete, which its checksum shows.

        Args:
            job: what to draft.
            folder: is made when it is not there; what an interrupted call left in it is written over.
            number: tells the job from others in the folder.
            page_size: records read at once.
            on_progress: hears about every page.
            sample: of the collection; is taken when it is left out.
            in_files: its records, where they can be read from files.

        Raises:
            InvalidVectorsError: vectors that mean nothing, and the job refuses them.
        """
        folder.mkdir(exist_ok=True)
        header, sample_file, records, vectors = _files(folder, number)
        dimension, done = job.projection.info.target.dimension, 0
        baseline, invalid, lost = Baseline.of(job.source, sample, job.distance), InvalidRows(job), _LostRows(dimension)
        # in no order, so that the first ones stand for all of them
        query_rows = np.random.default_rng(0).permutation(evenly(len(baseline.ids), QUERIES))
        queries = {baseline.ids[row]: 0 for row in query_rows}
        exact = Exact(baseline.vectors[query_rows], baseline.space) if baseline.space else None
        digest = Digest()

        def valid_pages(pages: Iterator[Page]) -> Iterator[Page]:
            read = 0
            for page in pages:
                read += len(page)
                if invalid.look(page):  # after the first invalid page the rest is only checked, to list all of them
                    yield page
                on_progress(Progress("project", read, baseline.records, job.source.address.name))

        with (
            records.open("wb") as lines,
            vectors.open("wb") as numbers,
            read_ahead((in_files or job.source).scan(page_size)) as pages,
        ):
            for group in _grouped(valid_pages(pages)):
                projected = job.new_vectors(group)
                if job.anew:
                    lost.look(projected, group, done)
                numbers.write(np.ascontiguousarray(projected, _NUMBER).data)
                lines.write(_lines(group.ids))
                digest.add_contents(group)
                for record in queries.keys() & set(group.ids):
                    queries[record] = done + group.ids.index(record)
                if exact:
                    exact.add(group.vectors)
                done += len(group)
        if job.invalid_vectors == "refuse":
            invalid.ids += lost.ids
        invalid.require_none(baseline.records)
        lost.give_centre(vectors, job.source.address)
        if exact:
            baseline = replace(baseline, recalls=exact.recalls(job.source).tolist())
        distances = exact.distances() if exact else None
        contents = Contents(digest.content, in_files.contents_sha256() if in_files else None)
        with sample_file.open("wb") as stream:
            np.save(stream, baseline.vectors)
        fields = {
            "baseline": {name: value for name, value in vars(baseline).items() if name != "vectors"},
            "dimension": dimension,
            "queries": list(queries.values()),
            "lost": len(lost.ids),
            "contents": vars(contents),
            "distances": distances_to_json(distances) if distances else None,
        }
        header.write_bytes(json.dumps({**fields, "sha256": _sha256(fields, sample_file, records, vectors)}).encode())
        rows = list(queries.values())
        return cls(baseline, dimension, rows, records, vectors, job.projection, contents, len(lost.ids), distances)


class _LostRows:
    """The records of a collection made anew that have no vector.

    Attributes:
        ids: their ids.
    """

    def __init__(self, dimension: int) -> None:
        self.ids: list[str] = []
        self._rows: list[int] = []
        self._sum = np.zeros(dimension)
        self._count = 0

    def look(self, vectors: Vectors, page: Page, start: int) -> None:
        """Find the records without a vector in a page, whose first record has the number `start`."""
        valid = meaningful(vectors)
        self._sum += vectors[valid].sum(axis=0, dtype=np.float64)
        self._count += int(valid.sum())
        for row in np.flatnonzero(~valid).tolist():
            self._rows.append(start + row)
            self.ids.append(page.ids[row])

    def give_centre(self, file: Path, address: Address) -> None:
        """Write the mean of all vectors in the place of each that is missing. Writes to the draft's vectors.

        Raises:
            NothingToMigrateError: no record has a vector.
        """
        if not self._rows:
            return
        if not self._count or not self._sum.any():
            raise NothingToMigrateError(f"collection {address} stores no text that the new model embeds: add the texts")
        with file.open("r+b") as numbers:
            for row in self._rows:
                numbers.seek(row * len(self._sum) * _NUMBER.itemsize)
                numbers.write((self._sum / self._count).astype(_NUMBER).tobytes())


def _strings(lines: Iterable[bytes]) -> list[str]:
    """The JSON strings of some lines, decoded at once, which takes a fifth of the time."""
    strings: list[str] = json.loads(b"[" + b",".join(lines) + b"]")
    return strings


def _lines(strings: Sequence[str]) -> bytes:
    """A JSON string a line."""
    return "".join([f"{encoded}\n" for encoded in map(encode_basestring_ascii, strings)]).encode()


def _grouped(pages: Iterator[Page]) -> Iterator[Page]:
    """The same records in batches of `_BATCH`, whatever pages they come in.

    The last bits of a matrix product depend on how many rows are multiplied at once, and on some machines on the place
    of a row among them. A run that is resumed with another page size must give the same bits.
    """
    waiting: list[Page] = []
    for page in pages:
        if not waiting and len(page) == _BATCH:
            yield page
            continue
        waiting.append(page)
        while sum(map(len, waiting)) >= _BATCH:
            whole = Page.joined(waiting)
            yield whole.part(0, _BATCH)
            waiting = [whole.part(_BATCH, len(whole))] if len(whole) > _BATCH else []
    if any(map(len, waiting)):
        yield Page.joined(waiting)


def _files(folder: Path, number: int) -> tuple[Path, Path, Path, Path]:
    """Of one draft: the header, which is written last, the baseline's sample, the records and their vectors."""
    header, sample, records, vectors = (
        folder / f"{number}.{what}" for what in ("json", "sample.npy", "records", "vectors")
    )
    return header, sample, records, vectors


def _sha256(fields: Mapping[str, Any], *files: Path) -> str:
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
