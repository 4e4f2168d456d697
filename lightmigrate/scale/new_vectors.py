"""The new vectors of a unit: projected, or made by the new model of the texts that are embedded whole."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lightmigrate.errors import CostError, InvalidVectorsError, ProviderError
from lightmigrate.migration.job import InvalidVectors, projected
from lightmigrate.migration.partly_exact import PartlyExact
from lightmigrate.objects.scratch import local_copy
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.careful import NONE_SHORTENED, Shortened
from lightmigrate.providers.same_model import exchanged, same_probe
from lightmigrate.scale.digests import DigestFile
from lightmigrate.scale.embedding import Embedding
from lightmigrate.stores.base import Page
from lightmigrate.vectors import Vectors, meaningful

# Among what the file of the projection says of its training: the model's vector of the fixed text.
_FIXED_TEXT = "fixed_text"


@dataclass(frozen=True)
class Loaded:
    """What a worker has loaded for all of its units.

    Attributes:
        projection: of the records without an exact vector; it embeds with the model.
        exact: gives some records the model's own vectors; `None` where no text is embedded whole.
        model: the new model; `None` where no text is embedded.
    """

    projection: Projection
    exact: PartlyExact | None = None
    model: Cached | None = None


@functools.lru_cache(maxsize=1)
def loaded(projection: Path, embedding: Embedding | None) -> Loaded:
    """A projection from its file, and the new model where texts are embedded; once in a process. Only reads.

    Raises:
        LightmigrateError: one of them cannot be opened.
    """
    with local_copy(projection) as file:
        of_others = Projection.load(file)
    if embedding is None:
        return Loaded(of_others)
    model = embedding.open()
    _require_model(of_others.info, model)
    of_others = of_others.reading_with(model.embed_each)
    with local_copy(embedding.whole) as file:
        whole = DigestFile(file)  # stays mapped
    exact = PartlyExact(of_others.steps, whole, model.embed_each) if len(whole) else None
    return Loaded(of_others, exact, model)


def with_model(projection: Projection, model: Cached) -> Projection:
    """A projection that says which model embeds the texts, for workers and for a run that goes on later."""
    if (probe := _probe_of(model)) is None:
        return projection
    training = {**projection.info.training, _FIXED_TEXT: probe[0].tolist()}
    return Projection(projection.steps, replace(projection.info, training=training))


def _require_model(info: ProjectionInfo, model: Cached) -> None:
    """Raise `ModelExchangedError` where another model answers than the one that `with_model` was given."""
    before, now = info.training.get(_FIXED_TEXT), _probe_of(model)
    if before is not None and now is not None and not same_probe(np.asarray(before, np.float32), now[0]):
        raise exchanged(model.name, "other vectors than when the first files were converted")


def _probe_of(model: Cached) -> Vectors | None:
    """The model's vector `(1, d)` of the fixed text; `None` where it cannot be asked."""
    try:
        return model.probe()
    except (ProviderError, CostError):
        return None


class NewVectors:
    """Makes the new vectors of one unit, and counts what it was made of.

    Args:
        loaded: the projection and the model.

    Attributes:
        dimension: of the new vectors.
        reads_texts: whether the texts of records are needed.
        invalid: number of vectors that were invalid so far.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded, self._projection = loaded, loaded.projection
        if loaded.exact is not None:
            self._projection = Projection((loaded.exact,), loaded.projection.info)
        self.dimension = self._projection.info.target.dimension
        self.reads_texts = loaded.projection.reads_texts or loaded.exact is not None
        self.invalid = 0
        self._exact = 0
        self._before = self._shortened()

    def __call__(self, page: Page) -> Vectors:
        """The new vectors of a page, float32 `(n, dimension)`; those that are invalid become the centre."""
        self._projection.check_input(page.vectors.shape[1])
        self.invalid += int((~meaningful(page.vectors)).sum())
        new = projected(self._projection, page.vectors, page.texts if self.reads_texts else None)
        if (exact := self._loaded.exact) is not None:
            self._exact += sum(map(exact.embeds, page.texts))
        return new

    def embedded(self) -> tuple[int, int, int]:
        """How many vectors are the model's own, and how many texts were cut and refused, of this unit."""
        now = self._shortened()
        return self._exact, now.cut - self._before.cut, now.refused - self._before.refused

    def _shortened(self) -> Shortened:
        return NONE_SHORTENED if self._loaded.model is None else self._loaded.model.shortened

    def require_valid(self, count: int, what: InvalidVectors) -> None:
        """Raise `InvalidVectorsError` when any of so many was invalid, unless they become the centre."""
        if self.invalid and what == "refuse":
            raise InvalidVectorsError(
                f"{self.invalid} of {count} vectors hold NaN or infinity or are all zero: embed those documents again, "
                "or give  --invalid-vectors centre  to give them the centre of the new space",
                ids=(),
            )
