"""`registry`: which projections are available, and are they what was listed?"""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.commands.conversation import Conversation
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.projection.model import Model
    from lightmigrate.registry.entry import Entry
    from lightmigrate.registry.library import Candidate, Library
    from lightmigrate.registry.registry import Problem, Registry


@dataclass(frozen=True)
class Listed(Result):
    """A listed projection.

    Attributes:
        folder: the folder that lists it.
        entry: what is listed.
        searched: whether the folder is one that projections are looked for in.
    """

    folder: Path
    entry: Entry
    searched: bool = True

    @property
    def file(self) -> Path:
        """The projection's file."""
        return self.folder / self.entry.file

    def to_json(self) -> dict[str, Any]:
        """The folder and the entry, as plain JSON values."""
        return {"folder": str(self.folder), **self.entry.to_json()}


@dataclass(frozen=True)
class FolderProblems(Result):
    """What is wrong with a folder of projections.

    Attributes:
        folder: the folder.
        problems: what is wrong; empty for a folder that is as listed.
    """

    folder: Path
    problems: tuple[Problem, ...]


def list_projections() -> list[Listed]:
    """All projections, by folder. Only reads."""
    return [_listed(registry, entry) for registry, entry in _library().entries()]


def show_projection(name: str) -> list[Listed]:
    """The projections of a name, the one that is used first. Only reads.

    Args:
        name: file name, with or without its ending; with its folder where several have it.

    Raises:
        LightmigrateError: there is none.
    """
    from lightmigrate.registry.names import SUFFIXES

    path = Path(name)
    files = {path.name, *(f"{path.name}{suffix}" for suffix in SUFFIXES)}
    listed = [projection for projection in list_projections() if projection.entry.file in files]
    if path.name != name:
        listed = [projection for projection in listed if projection.folder.resolve() == path.parent.resolve()]
    if not listed:
        raise LightmigrateError(f"no projection {name}; see  lightmigrate registry list")
    return listed


def add_projection(file: Path, folder: Path | None = None, *, conversation: Conversation) -> Listed:
    """Copy a projection into a folder and list it there. Asks before it replaces another one; writes.

    Args:
        file: the projection, `.npz` or `.onnx`.
        folder: by default the user's own.
        conversation: with the caller.

    Raises:
        LightmigrateError: as `Registry.add_file`.
    """
    from lightmigrate.registry.library import user_projections
    from lightmigrate.registry.registry import Registry

    registry = Registry(folder if folder is not None else user_projections())
    present = registry.folder / file.name
    if present.is_file() and file.is_file() and not filecmp.cmp(present, file, shallow=False):
        conversation.require(f"Replace {present}?", "replace")
    entry = registry.add_file(file)
    searched = registry.folder.resolve() in [folder.resolve() for folder in _library().folders]
    return Listed(registry.folder, entry, searched)


def remove_projection(name: str, *, conversation: Conversation) -> Listed:
    """Remove a projection from its list and delete its file. Asks, then writes. Packaged ones stay.

    Args:
        name: see `show_projection`.
        conversation: with the caller.

    Raises:
        RefusedError: it is packaged with lightmigrate, or the answer was no.
        LightmigrateError: there is none of that name, or more than one.
    """
    from lightmigrate.registry.library import PACKAGED
    from lightmigrate.registry.registry import Registry

    listed = show_projection(name)
    own = [projection for projection in listed if projection.folder.resolve() != PACKAGED.resolve()]
    if not own:
        raise RefusedError(f"{listed[0].entry.file} is packaged with lightmigrate and stays")
    if len(own) > 1:
        files = ", ".join(str(projection.file) for projection in own)
        raise LightmigrateError(f"{name} may be any of {files}; give it with its folder and its ending")
    conversation.require(f"Delete {own[0].file}?", "delete")
    Registry(own[0].folder).remove(own[0].entry.file)
    return own[0]


def verify_projections() -> list[FolderProblems]:
    """Check every listed file: is it there, unaltered, readable, and what the list says? Only reads."""
    from lightmigrate.registry.registry import Registry

    return [
        FolderProblems(folder, tuple(Registry(folder).verify())) for folder in _library().folders if folder.exists()
    ]


def find_projections(source: str, target: str) -> list[Candidate]:
    """The projections that lead from one model to another, best first. Only reads.

    Args:
        source: name of the old model, or its dimension.
        target: name of the new model, or its dimension.

    Raises:
        LightmigrateError: no projection names the old model, so that its dimension is not known.
    """
    from lightmigrate.registry.library import KINDS

    library, old, new = _library(), _model(source), _model(target)
    dimensions = {old.dimension} if old.dimension else _dimensions(library, old.name)
    if not dimensions:
        raise LightmigrateError(f"no projection names {source}: give its dimension instead")
    candidates: list[Candidate] = []
    for dimension in sorted(dimensions):
        candidates += library.find(
            source_dim=dimension, target_dim=new.dimension or None, source=old.name, target=new.name
        )
    return sorted(candidates, key=lambda candidate: KINDS.index(candidate.by))  # of several dimensions


def _library() -> Library:
    from lightmigrate.registry.library import Library

    return Library()


def _listed(registry: Registry, entry: Entry) -> Listed:
    return Listed(registry.folder, entry)


def _model(text: str) -> Model:
    """A model as far as it is known: its name or its dimension; the other one is empty or 0."""
    from lightmigrate.projection.model import Model

    return Model("", int(text)) if text.isdecimal() else Model(text, 0)


def _dimensions(library: Library, name: str) -> set[int]:
    from lightmigrate.registry.library import same_name

    entries: Sequence[Entry] = [entry for _, entry in library.entries()]
    return {model.dimension for entry in entries for model in entry.models if same_name(model.name, name)}
