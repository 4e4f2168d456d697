"""The projection: a function from one embedding model's vectors to another's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import (
    DimensionError,
    ModelMismatchError,
    ProjectionError,
    ProjectionFileError,
    WrongDirectionError,
)
from lightmigrate.projection import archive, onnx
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.space import Space
from lightmigrate.projection.steps import ByText, Step, Sum, join
from lightmigrate.projection.terms.base import Texts
from lightmigrate.projection.terms.extract import Embed, Extract
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.projection.terms.lexical import Lexical
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import Vectors, as_vectors


class Projection:
    """A function from the vectors of `info.source` to the space of `info.target`.

    Immutable. `load` reads one from a file, `fit` fits one to pairs, `apply` uses it.

    Attributes:
        info: both models, how it was fitted, its measured quality.
        steps: applied in order. One step for a direct projection, several for a chain.
        error: the expected squared error of a row, a step with one output; `None` when unknown.
        spaces: sketches of the source and target space, `None` where unknown.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        info: ProjectionInfo,
        error: Step | None = None,
        spaces: tuple[Space | None, Space | None] = (None, None),
    ) -> None:
        if not steps:
            raise ValueError("a projection needs at least one step")
        shape = (steps[0].shape[0], steps[-1].shape[1])
        declared = (info.source.dimension, info.target.dimension)
        if shape != declared:
            raise ValueError(
                f"the steps project {shape[0]} → {shape[1]}, the models have {declared[0]} → {declared[1]}"
            )
        if error is not None and error.shape != (shape[0], 1):
            raise ValueError(f"the expected error has shape {error.shape}, not {(shape[0], 1)}")
        for space, dimension in zip(spaces, declared, strict=True):
            if space is not None and space.directions.shape[1:] != (dimension,):
                raise ValueError(f"a sketch of {space.directions.shape} for a space of {dimension} dimensions")
        self.steps = steps
        self.info = info
        self.error = error
        self.spaces = spaces

    def __repr__(self) -> str:
        return f"Projection({self.info.direction})"

    @classmethod
    def affine(
        cls,
        weights: Any,
        bias: Any,
        *,
        source: Model,
        target: Model,
        training: Mapping[str, Any] | None = None,
    ) -> Projection:
        """`y = x·W + b`, scaled to length 1 when the target model is normalised.

        Args:
            weights: W, `(d_in, d_out)`, any real dtype; kept as float32.
            bias: b, `(d_out,)`.
            source: the model of the input.
            target: the model of the output.
            training: facts about how W and b were fitted.

        Raises:
            ValueError: the shapes do not match each other or the models.
        """
        step = Sum(as_vectors(bias).copy(), (Linear(as_vectors(weights).copy()),), target.normalised)
        info = ProjectionInfo(source, target, dict(training or {}))
        return cls((step,), info)

    @classmethod
    def load(cls, path: str | Path) -> Projection:
        """Read a projection from an `.npz` or `.onnx` file. Never unpickles, never writes.

        Args:
            path: the file. `.onnx` needs the `onnx` extra and runs on CUDA when onnxruntime supports it.

        Raises:
            ProjectionFileError: missing, truncated, altered (SHA-256), pickled, or of another version.
            MissingExtraError: an `.onnx` file, but onnxruntime is not installed.
        """
        path = Path(path)
        try:
            if path.suffix == ".onnx":
                return cls(*onnx.read(path))
            return cls(*archive.read(path))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ProjectionFileError(f"{path.name} is inconsistent: {error}; train the projection again") from None

    def save(self, path: str | Path, *, stored: archive.Stored = "float32") -> Path:
        """Write the projection to a temporary file and rename it to `path`, an `.npz` file.

        Args:
            path: of the file.
            stored: how matrices are stored. `float16` halves the file and changes projected vectors in the fourth
                digit; they are computed as float32 either way.

        Returns:
            `path`. Equal projections give identical files, byte by byte.

        Raises:
            ProjectionFileError: the projection was read from ONNX (its weights are not accessible), or has numbers too
                large for float16.
        """
        return archive.write(Path(path), self.steps, self.info, self.error, self.spaces, stored)

    def export_onnx(self, path: str | Path) -> Path:
        """Write the same function as an ONNX model (input `vectors`, output `projected`).

        A graph has no texts as input: it computes what `apply` computes without texts.

        Raises:
            MissingExtraError: the `onnx` extra is not installed.
            ProjectionFileError: the projection was itself read from ONNX.
        """
        return onnx.write(Path(path), self.steps, self.info)

    def with_facts(
        self, *, training: Mapping[str, Any] | None = None, quality: Mapping[str, Any] | None = None
    ) -> Projection:
        """The same function, with facts added to `info.training` and `info.quality`."""
        info = dataclasses.replace(
            self.info,
            training={**self.info.training, **(training or {})},
            quality={**self.info.quality, **(quality or {})},
        )
        return Projection(self.steps, info, self.error, self.spaces)

    def with_spaces(self, source: Any, target: Any) -> Projection:
        """The same function, with sketches of both spaces from vectors `(n, d_in)` and `(m, d_out)`."""
        return Projection(self.steps, self.info, self.error, (Space.of(source), Space.of(target)))

    @property
    def extract_rule(self) -> ExtractRule | None:
        """How the extracts are made that it embeds with the new model; `None` when it embeds nothing."""
        sums = [step.with_text if isinstance(step, ByText) else step for step in self.steps]
        terms = (term for step in sums if isinstance(step, Sum) for term in step.terms)
        return next((term.rule for term in terms if isinstance(term, Extract)), None)

    @property
    def reads_texts(self) -> bool:
        """Whether it reads the texts of records."""
        sums = [step.with_text if isinstance(step, ByText) else step for step in self.steps]
        terms = [term for step in sums if isinstance(step, Sum) for term in step.terms]
        return any(isinstance(term, (Extract, Lexical)) for term in terms)

    def reading_with(self, embed: Embed) -> Projection:
        """The same function with an embedding function, for a projection that embeds extracts.

        Args:
            embed: embeds texts as documents with the new model: n texts to float32 `(n, d_out)`, such as
                `provider.embed_each`. It is called for every page; a provider with a cache embeds each extract once.
        """
        steps = (step.reading_with(embed) if isinstance(step, (Sum, ByText)) else step for step in self.steps)
        error = self.error.reading_with(embed) if isinstance(self.error, (Sum, ByText)) else self.error
        return Projection(tuple(steps), self.info, error, self.spaces)

    def apply(self, vectors: Any, texts: Texts | None = None) -> Vectors:
        """Project vectors into the target space. Writes nothing.

        Several threads may call it at once. It takes as many threads as matrix products have (`OPENBLAS_NUM_THREADS`
        sets them); while a large batch is computed, products in the whole process have one thread each.

        Args:
            vectors: `(n, d_in)` or one `(d_in,)`; any real dtype, or lists. A row with NaN gives a row of NaN.
            texts: the n stored documents (`None` for a record without one), for projections that use
                them; one string for a single vector.

        Returns:
            float32 `(n, d_out)`, or `(d_out,)` for a single vector. Rows have length 1 when
            `info.target.normalised`.

        Raises:
            DimensionError: the vectors do not have `d_in` dimensions.
            ValueError: not real numbers, or not as many texts as vectors.
        """
        rows = as_vectors(vectors)
        if rows.ndim == 1:
            single: Vectors = self.apply(rows[None, :], None if texts is None else [_one_text(texts)])[0]
            return single
        self._check(rows, texts)
        for step in self.steps:
            rows = step.apply(rows, texts)
        return rows

    def uncertainty(self, vectors: Any, texts: Texts | None = None) -> Vectors:
        """The expected squared error of each projected vector; the rows with the largest are best embedded first.

        Fitted to the held-out errors, with the same terms as the projection itself.

        Args:
            vectors: `(n, d_in)`, as for `apply`.
            texts: as for `apply`.

        Returns:
            float32 `(n,)`: expected squared distance to the true vector, at least 0.

        Raises:
            ProjectionError: a chain, a projection from `.onnx`, or one that `fit` did not make.
            DimensionError: the vectors do not have `d_in` dimensions.
            ValueError: as for `apply`.
        """
        if self.error is None:
            raise ProjectionError("this projection has no estimate of its errors; use one from lightmigrate.fit (.npz)")
        rows = as_vectors(vectors)
        if rows.ndim != 2:
            raise ValueError(f"vectors must have shape (n, d), not {rows.shape}")
        self._check(rows, texts)
        return np.maximum(self.error.apply(rows, texts)[:, 0], 0)

    def _check(self, rows: Vectors, texts: Texts | None) -> None:
        self.check_input(rows.shape[1])
        if isinstance(texts, str) or (texts is not None and len(texts) != len(rows)):
            given = "one text" if isinstance(texts, str) else f"{len(texts)} texts"
            raise ValueError(
                f"{given} for {len(rows)} vectors: give a list with one text for each vector, None where there is none"
            )

    def check_input(self, dimension: int) -> None:
        """Check the dimension of input vectors.

        Raises:
            WrongDirectionError: it is the dimension of the target: the projection has the opposite direction.
            DimensionError: it is any other dimension than that of the source.
        """
        expected, target = self.info.source.dimension, self.info.target.dimension
        if dimension == expected:
            return
        if dimension == target:
            raise WrongDirectionError(
                f"wrong direction: the vectors have {dimension} dimensions and the projection goes "
                f"{expected} → {target}; use one that goes {target} → {expected}",
                expected=expected,
                found=dimension,
            )
        raise DimensionError(
            f"the vectors have {dimension} dimensions, the projection needs {expected} ({self.info.direction}); "
            "use one for these vectors",
            expected=expected,
            found=dimension,
        )

    def then(self, other: Projection) -> Projection:
        """This projection, then `other`, as one projection. The chain's quality is unknown until measured.

        Raises:
            DimensionError: the dimensions of this projection's target and the other's source differ.
            ModelMismatchError: this projection's target and the other's source are different models.
        """
        middle, entry = self.info.target, other.info.source
        if middle.dimension != entry.dimension:
            raise DimensionError(
                f"cannot chain: the first projection's target has {middle.dimension} dimensions, the second's source "
                f"{entry.dimension}; chain projections that share a model",
                expected=entry.dimension,
                found=middle.dimension,
            )
        if middle != entry:
            fields = ("provider", "name", "revision", "prefix", "query_prefix", "normalised")
            differing = [name for name in fields if getattr(middle, name) != getattr(entry, name)]
            ends, starts = ({name: getattr(model, name) for name in differing} for model in (middle, entry))
            raise ModelMismatchError(
                f"cannot chain: the first projection's target has {ends}, the second's source {starts}; "
                "chain projections that share a model"
            )
        chain = [part for info in (self.info, other.info) for part in info.training.get("chain", [info.to_json()])]
        info = ProjectionInfo(self.info.source, other.info.target, {"method": "chain", "chain": chain}, {})
        return Projection(join(self.steps, other.steps), info, None, (self.spaces[0], other.spaces[1]))


def _one_text(texts: Texts) -> str | None:
    if isinstance(texts, str):
        return texts
    if len(texts) != 1:
        raise ValueError(f"{len(texts)} texts for a single vector: give one")
    return texts[0]
