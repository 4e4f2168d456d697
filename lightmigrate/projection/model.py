"""The identity of an embedding model, and the description of a projection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.lengths import Lengths

# The name of a model that nobody named; two unnamed models may differ.
UNNAMED = "unnamed"

# Parts of a path that do not name a model: hashes, versions, and what folders and files of models are called.
_NAMELESS = re.compile(
    r"[0-9a-f]{7,}|v?\d+(\.\d+)*|(model|pytorch_model|weights)s?([._-].*)?|onnx|snapshots?|checkpoints?(-\d+)?|latest|"
    r"final|best|main|output|files|data|.*\.(onnx|bin|safetensors|gguf|pt)",
    re.IGNORECASE,
)

# In the cache of Hugging Face a folder `models--OWNER--NAME` holds the versions of a model.
_CACHED = re.compile(r"models--(?:.*--)?(.+)")


@dataclass(frozen=True)
class Model:
    """The identity of an embedding model: all that determines its vectors.

    Two models are the same when all of these are equal: another prefix or revision gives other vectors.

    Attributes:
        name: its published name, such as `all-mpnet-base-v2`.
        dimension: length of its vectors.
        provider: what computes its embeddings (`sentence-transformers`, `openai`, ...); empty when unknown.
        revision: version or commit of the weights; empty when unknown.
        prefix: text put before every document, such as `passage: `.
        query_prefix: text put before every query, such as `query: `.
        normalised: whether its vectors have length 1.
    """

    name: str
    dimension: int
    provider: str = ""
    revision: str = ""
    prefix: str = ""
    query_prefix: str = ""
    normalised: bool = True

    def __str__(self) -> str:
        return f"{self.name} ({self.dimension})"

    @property
    def title(self) -> str:
        """What a message calls it; see `title_of`."""
        return title_of(self.name, self.dimension)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Model:
        """Read back what `to_json` wrote; unknown keys are an error, because they would change the identity."""
        try:
            return cls(**fields)
        except TypeError as error:
            raise ProjectionFileError(f"not a model description: {error}; train the projection again") from None

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return asdict(self)


def title_of(name: str, dimension: int | None = None) -> str:
    """What a message calls a model: its name; of a path the part that names the model; without one its dimension.

    Args:
        name: of the model; a path, where an application gave one.
        dimension: of its vectors, where it is known.
    """
    if name.strip() in ("", UNNAMED, "<lambda>"):
        return "an unnamed model" if dimension is None else f"an unnamed model of {dimension} dimensions"
    parts = [part for part in re.split(r"[/\\]", name) if part.strip(". ~")]
    if len(parts) < 3 and not re.match(r"[/\\.~]|[A-Za-z]:[/\\]", name):
        return name  # such as `OWNER/NAME`
    cached = (_CACHED.fullmatch(part) for part in parts)
    named = [match[1] for match in cached if match] or [part for part in parts if not _NAMELESS.fullmatch(part)]
    return (named or parts or [name])[-1]


@dataclass(frozen=True)
class ProjectionInfo:
    """The description of a projection, stored in its file.

    Attributes:
        source: the model of the input vectors.
        target: the model whose space the output is in.
        training: how it was made: method, number of pairs, corpus, regularisation.
        quality: measured on pairs it was not fitted to; empty when not measured.
    """

    source: Model
    target: Model
    training: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)

    @property
    def direction(self) -> str:
        """`source (dimension) → target (dimension)`."""
        return f"{self.source} → {self.target}"

    @property
    def source_lengths(self) -> Lengths | None:
        """The lengths of the source vectors that it was fitted to; `None` where they are not known."""
        return Lengths.from_json(self.training.get("source_lengths"))

    @property
    def target_lengths(self) -> Lengths | None:
        """The lengths of the target vectors that it was fitted to, and restores; `None` where they are not known."""
        return Lengths.from_json(self.training.get("target_lengths"))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ProjectionInfo:
        """Read back what `to_json` wrote."""
        try:
            return cls(
                source=Model.from_json(fields["source"]),
                target=Model.from_json(fields["target"]),
                training=dict(fields["training"]),
                quality=dict(fields["quality"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProjectionFileError(f"not a projection header: {error!r}; train the projection again") from None

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {
            "source": self.source.to_json(),
            "target": self.target.to_json(),
            "training": dict(self.training),
            "quality": dict(self.quality),
        }
