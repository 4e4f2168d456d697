"""The vectors a collection is to have, in a file: projected once, written from there, and compared with in the end.

So the old index can be closed before the new one is built, and the two are never in memory at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.files import replacing
from lightmigrate.migration.baseline import Baseline
from lightmigrate.migration.job import InvalidRows, Job, project
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Collection, Page

_NUMBER = np.dtype("<f4")


@dataclass(frozen=True)
class Projected:
    """New vectors of all records of a collection, in the order of its records.

    Attributes:
        baseline: what the collection was.
        dimension: length of the new vectors.
        file: float32 rows, little-endian, nothing else.
    """

    baseline: Baseline
    dimension: int
    file: Path

    def pages(self, source: Collection, size: int, start: int = 0) -> Iterator[Page]:
        """The records of the source from the `start`-th on, with their new vectors; its own are not read."""
        for page in source.pages(size, start, vectors=False):
            yield page.with_vectors(self._rows(start, len(page)))
            start += len(page)

    def _rows(self, start: int, count: int) -> Vectors:
        # Read, not mapped: a mapped file would count as memory of this process, all of it.
        bytes_each = self.dimension * _NUMBER.itemsize
        numbers = np.fromfile(self.file, _NUMBER, count * self.dimension, offset=start * bytes_each)
        return numbers.reshape(-1, self.dimension).astype(np.float32, copy=False)

    @classmethod
    def written(cls, folder: Path, number: int) -> Projected | None:
        """What `write` left in a folder; `None` when it is not whole, or not what was written."""
        try:
            said = json.loads((folder / f"{number}.json").read_bytes())
            sample = np.load(folder / f"{number}.sample.npy", allow_pickle=False)
            file = folder / f"{number}.vectors"
            if said.pop("sha256") != _sha256(said, sample, file):
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls(Baseline(**said["baseline"], vectors=sample), said["dimension"], file)

    @classmethod
    def write(cls, job: Job, folder: Path, number: int, page_size: int, on_progress: OnProgress) -> Projected:
        """Read the vectors of a job's collection, all of them, and write the new ones into a folder.

        Args:
            job: what to project.
            folder: is made when it is not there; what an interrupted call left in it is written over.
            number: tells the job from others in the folder.
            page_size: records held in memory at once.
            on_progress: hears about every page.

        Raises:
            InvalidVectorsError: vectors that mean nothing, and the job refuses them.
        """
        folder.mkdir(exist_ok=True)
        baseline = Baseline.of(job.source)
        file, dimension, done, invalid = folder / f"{number}.vectors", 0, 0, InvalidRows(job)
        with file.open("wb") as stream:
            for page in job.source.pages(page_size):
                if invalid.look(page):  # after the first, the rest is only looked through, to name them all
                    vectors = project(job.projection, page)
                    dimension = vectors.shape[1]
                    stream.write(np.ascontiguousarray(vectors, _NUMBER).data)
                done += len(page)
                on_progress(Progress("project", done, baseline.records, job.source.address.name))
            stream.flush()
            os.fsync(stream.fileno())
        invalid.require_none(done)
        with replacing(folder / f"{number}.sample.npy") as stream:
            np.save(stream, baseline.vectors)
        said = {name: value for name, value in vars(baseline).items() if name != "vectors"}
        header = {"baseline": said, "dimension": dimension}
        with replacing(folder / f"{number}.json") as stream:
            stream.write(json.dumps({**header, "sha256": _sha256(header, baseline.vectors, file)}).encode())
        return cls(baseline, dimension, file)


def _sha256(header: Mapping[str, Any], sample: Vectors, file: Path) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(sample).data)
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
