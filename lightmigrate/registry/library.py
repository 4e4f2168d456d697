"""A search for projections between two models, in all registries on this machine."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.model import UNNAMED, Model
from lightmigrate.projection.projection import Projection
from lightmigrate.registry.entry import Entry
from lightmigrate.registry.registry import Registry
from lightmigrate.results import Result

PACKAGED = Path(__file__).parent / "packaged"
ENVIRONMENT = "LIGHTMIGRATE_REGISTRY"

MOST_CANDIDATES = 20

# The most chains that are compared, those of the best links first: a manifest may list thousands of projections.
_MOST_CHAINS = 1000

By = Literal["pair", "target", "chain", "dimension"]

# How a candidate was found, the most certain first.
KINDS: tuple[By, ...] = ("pair", "target", "chain", "dimension")

logger = logging.getLogger("lightmigrate")


@dataclass(frozen=True)
class Candidate(Result):
    """A projection, or a chain of them, that may lead from one model to another. Its files were not opened.

    Attributes:
        entries: its links, in order; one for a direct projection.
        folders: the folder of each link.
        by: how it was found: both models by name, the target by name and the source by its dimension, a chain whose
            ends match in one of these ways, or nothing but the dimensions.
    """

    entries: tuple[Entry, ...]
    folders: tuple[Path, ...]
    by: By

    @property
    def description(self) -> str:
        """`source → target`, with the models between."""
        names = [str(self.entries[0].source["name"]), *(str(entry.target["name"]) for entry in self.entries)]
        return " → ".join(names)

    @property
    def stated_quality(self) -> float | None:
        """The retention stated in its file; `None` without one, and for chains, whose quality is not measured."""
        return self.entries[0].stated_quality if len(self.entries) == 1 else None

    def load(self) -> Projection:
        """The projection, composed by `Projection.then` for a chain. Only reads; every SHA-256 is checked.

        A chain's `info.training` names its links, its `info.quality` is empty: the quality of a chain does not follow
        from that of its links.

        Raises:
            LightmigrateError: a file is missing, altered, or contradicts its manifest.
        """
        pairs = zip(self.folders, self.entries, strict=True)
        return functools.reduce(Projection.then, [Registry(folder).load(entry) for folder, entry in pairs])


class Library:
    """Registries, searched in order.

    Args:
        folders: of the registries; may not exist. When left out: the folders that the environment variable
            `LIGHTMIGRATE_REGISTRY` names, then the user's own, then the packaged one.

    Attributes:
        folders: the folders it searches.
    """

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        unique: dict[Path, Path] = {}
        for folder in map(Path, _default_folders() if folders is None else folders):
            unique.setdefault(folder.resolve(), folder)
        self.folders = tuple(unique.values())

    def entries(self) -> list[tuple[Registry, Entry]]:
        """All entries, in the order of the folders. Only reads.

        A registry with a damaged manifest is left out with a warning, a missing one without.
        """
        entries: list[tuple[Registry, Entry]] = []
        for folder in self.folders:
            registry = Registry(folder)
            try:
                entries += [(registry, entry) for entry in registry.entries()]
            except LightmigrateError as error:
                logger.warning("left out: %s", error)
        return entries

    def find(self, *, source_dim: int, target_dim: int | None, source: str = "", target: str = "") -> list[Candidate]:
        """Candidates that may lead from stored vectors to another model, best first. Only reads, opens no projection.

        1. Both models match by name. 2. The target matches by name, and the source, unnamed, by its dimension.
        3. Chains of two links, then of three, whose ends match in one of these ways. 4. Only the dimensions match:
        such a candidate may be for other vectors, and must be compared with the stored ones before it is used
        (`rank` does). Among equals the better stated quality comes first, then the earlier folder. A projection in
        several folders counts once. Given dimensions always match.

        Args:
            source_dim: of the stored vectors.
            target_dim: of the new model; `None` when unknown.
            source: the old model's name; letter case and the part up to the last `/` are ignored. Empty when
                unknown.
            target: the new model's, likewise.

        Returns:
            At most 20.
        """
        source, target = _plain_name(source), _plain_name(target)
        links = self._links()

        def starts(link: _Link) -> bool:
            return link.source.dimension == source_dim and source in ("", _plain_name(link.source.name))

        def ends(link: _Link) -> bool:
            fits = target_dim is None or link.target.dimension == target_dim
            return fits and target != "" and _plain_name(link.target.name) == target

        def alike(link: _Link) -> bool:
            if link.source.dimension != source_dim or (starts(link) and ends(link)):
                return False
            return (ends(link) or target == "") if target_dim is None else link.target.dimension == target_dim

        by: By = "pair" if source else "target"
        found = [_candidate((link,), by) for link in links if starts(link) and ends(link)]
        if target:
            found += [_candidate(chain, "chain") for chain in _chains(links, starts, ends)]
        last = sorted(filter(alike, links), key=lambda link: (not ends(link), not starts(link)))
        return (found + [_candidate((link,), "dimension") for link in last])[:MOST_CANDIDATES]

    def _links(self) -> list[_Link]:
        """All usable links, best stated quality first; of the same file in several folders the first."""
        found: dict[str, _Link] = {}
        for registry, entry in self.entries():
            try:
                registry.file_of(entry)
            except LightmigrateError as error:
                logger.warning("left out: %s", error)
                continue
            found.setdefault(entry.sha256, _Link(registry.folder, entry, *entry.models))
        return sorted(found.values(), key=lambda link: -_order(link))


class _Link(NamedTuple):
    folder: Path
    entry: Entry
    source: Model
    target: Model


def user_projections() -> Path:
    """The user's own registry; it may not exist yet.

    Raises:
        RuntimeError: the user has no home folder.
    """
    root = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(root) / "lightmigrate" / "projections"


def same_name(one: str, other: str) -> bool:
    """Whether two names are equal, ignoring letter case and the part up to the last `/`."""
    return _plain_name(one) != "" and _plain_name(one) == _plain_name(other)


def _default_folders() -> list[Path]:
    named = os.environ.get(ENVIRONMENT, "").split(os.pathsep)
    folders = [Path(folder).expanduser() for folder in named if folder]
    with contextlib.suppress(RuntimeError):  # containers run as users without a home folder
        folders.append(user_projections())
    return [*folders, PACKAGED]


def _candidate(links: Sequence[_Link], by: By) -> Candidate:
    return Candidate(tuple(link.entry for link in links), tuple(link.folder for link in links), by)


def _chains(
    links: Sequence[_Link], starts: Callable[[_Link], bool], ends: Callable[[_Link], bool]
) -> list[tuple[_Link, ...]]:
    """Chains of two links, then of three; for each length those with the best worst link first."""
    from_model: dict[Model, list[_Link]] = defaultdict(list)
    for link in links:
        if _plain_name(link.source.name):
            from_model[link.source].append(link)
    first = [link for link in links if starts(link) and not ends(link)]
    two = ((a, b) for a in first for b in from_model[a.target] if ends(b))
    three = (
        (a, b, c) for a in first for b in from_model[a.target] if not ends(b) for c in from_model[b.target] if ends(c)
    )
    found: list[tuple[_Link, ...]] = []
    for chains in (two, three):
        sound: Iterator[tuple[_Link, ...]] = (chain for chain in chains if _no_model_twice(chain))
        found += sorted(itertools.islice(sound, _MOST_CHAINS), key=lambda chain: -min(map(_order, chain)))
    return found


def _no_model_twice(chain: Iterable[_Link]) -> bool:
    links = list(chain)
    models = [links[0].source, *(link.target for link in links)]
    names = {(_plain_name(model.name), model.dimension, model.revision, model.prefix) for model in models}
    return len(names) == len(models)


def _plain_name(name: str) -> str:
    """A model's name in lower case and without the part up to the last `/`; empty for an unnamed model."""
    plain = name.strip().rstrip("/").rsplit("/", 1)[-1].casefold()
    return "" if plain == UNNAMED else plain


def _order(link: _Link) -> float:
    stated = link.entry.stated_quality
    return -1.0 if stated is None else stated
