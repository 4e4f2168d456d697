"""What the benchmark of the stores needs of each of them, and the records and the projection that all of them get."""

from __future__ import annotations

import abc
import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import Model, Projection
from lightmigrate.vectors import Vectors, normalise_rows

OLD, NEW = Model("old", 384), Model("new", 768)
COLLECTION = "docs"
WORDS = 60  # of a text
# Records that a script hands over at once.
BATCH = 100


@dataclass(frozen=True)
class Data:
    """The records of one run, float32 `(n, 384)` of length 1, as an application stores them."""

    ids: list[str]
    texts: list[str]
    vectors: Vectors
    payloads: list[dict[str, Any]]


def data(rows: int, seed: int) -> Data:
    """Passages with the vectors of a real encoder; other ones for every seed."""
    from synthetic_passages import Passages  # loads what a child that only migrates has no use for

    texts, vectors = Passages(OLD.dimension, WORDS).take(seed * rows, (seed + 1) * rows)
    payloads = [{"source": f"{row % 97}.txt", "part": row, "score": row / 7} for row in range(rows)]
    return Data([f"record-{row:08d}" for row in range(rows)], texts, vectors, payloads)


def weights(seed: int) -> tuple[Vectors, Vectors]:
    """W `(384, 768)` and b `(768,)` of a linear projection, as ridge regression finds them; random."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((OLD.dimension, NEW.dimension), dtype=np.float32) / np.float32(OLD.dimension**0.5)
    return matrix, 0.01 * rng.standard_normal(NEW.dimension, dtype=np.float32)


def projection(seed: int) -> Projection:
    """The same as a projection."""
    return Projection.affine(*weights(seed), source=OLD, target=NEW)


def projected(vectors: Vectors, seed: int) -> Vectors:
    """What a script makes of vectors `(n, 384)`: `(n, 768)` of length 1."""
    matrix, bias = weights(seed)
    new = np.asarray(vectors, np.float32) @ matrix + bias
    normalise_rows(new)
    return new


def batches(total: int) -> Iterator[slice]:
    """The slices of a script's batches."""
    return (slice(start, start + BATCH) for start in range(0, total, BATCH))


class Contestant(abc.ABC):
    """One store: how an application's database is made, and the script that people write to change its model.

    Attributes:
        name: in tables.
        collection: its name.
        modules: loaded before anything is timed.
        rows: the most records that it is measured with; `None` for no limit. For scripts that take hours.
        routes: what is measured, in turns.
    """

    name = ""
    collection = COLLECTION
    modules: Sequence[str] = ()
    rows: int | None = None
    routes: Sequence[str] = ("script", "lightmigrate")

    def prepare(self, built: Path) -> str:
        """Where the database is to be built: in an empty folder."""
        built.mkdir()
        return str(built)

    @abc.abstractmethod
    def build(self, place: str, records: Data) -> None:
        """Write the database there, as an application does."""

    @abc.abstractmethod
    def script(self, address: str, seed: int) -> None:
        """Change the model as people do: everything into memory, projected, written anew."""

    def address(self, place: Path) -> str:
        """What lightmigrate opens, of a database in a folder."""
        return str(place)

    @contextlib.contextmanager
    def copied(self, built: Path) -> Iterator[str]:
        """A copy of what was built, for one run: its address."""
        copy = built.with_name("copy")
        shutil.copytree(built, copy)
        try:
            yield self.address(copy)
        finally:
            shutil.rmtree(copy)

    def server(self, address: str) -> int | None:
        """The process whose time and memory are counted as well, with its children; `None` for no server."""
        return None

    def close(self) -> None:  # noqa: B027  # most have nothing to stop
        """Stop what was started."""
