"""Which collections of a database are of one embedding model: by measuring, with what they record as a hint.

All collections of one model teach one projection. Vectors of one dimension are of one model unless they are measured to
be of several (`quality.mixture`); collections that record different models are of one only if their vectors look alike.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.projection.space import Space
from lightmigrate.providers.chroma import DEFAULT_FUNCTIONS, model_name, said_identity
from lightmigrate.quality.metrics import unit
from lightmigrate.quality.mixture import FEWEST_ROWS, find_mixture
from lightmigrate.stores.base import Address, CollectionFacts, Page
from lightmigrate.stores.joined import Collections, JoinedCollections
from lightmigrate.vectors import Metric, Vectors, evenly, meaningful

# Vectors examined in one collection, and of all collections of one dimension together; at least so many of each.
SAMPLED, POOLED, FEWEST_OF_EACH = 1000, 1500, 2

# Directions that tell the models of a mixture apart, row by row.
MOST_DIRECTIONS = 32

# Models, and collections of several, that a message names.
NAMED = 5

# A collection is of two models when at least so many of its rows, and such a share, are of the rarer one. Below that
# they are rows that were told apart wrongly.
RARER_ROWS, RARER_SHARE = 3, 0.2


@dataclass(frozen=True)
class ModelGroup:
    """Collections of one model.

    Attributes:
        members: the collections, in the order given.
        name: of the model, if at least one of them records it and no other name is recorded; a hint.
    """

    members: tuple[CollectionFacts, ...]
    name: str = ""

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return self.members[0].dimension or 0

    @property
    def count(self) -> int:
        """Number of records of all members."""
        return sum(facts.count for facts in self.members)

    @property
    def title(self) -> str:
        """Names the group in a message: the only collection, or how many there are."""
        if len(self.members) == 1:
            return f"collection {self.members[0].address}"
        return f"{len(self.members)} collections of {self.dimension} dimensions"

    def open(self, store: Collections, distance: Metric | None = None) -> JoinedCollections:
        """Its collections as one, to be judged by a distance that they will have; only reads."""
        return JoinedCollections([store.collection(facts.address) for facts in self.members], distance)


@dataclass(frozen=True)
class Grouping:
    """The models of some collections.

    Attributes:
        groups: one for each model, the one with the most records first.
        mixed: the collections whose own vectors are of several models, and how that is known, in one line.
        samples: the records of each collection that were examined; all have a usable vector.
    """

    groups: tuple[ModelGroup, ...]
    mixed: Mapping[Address, str]
    samples: Mapping[Address, Page]

    def sample_of(self, group: ModelGroup) -> Page:
        """The records of a group that were examined."""
        return Page.joined([self.samples[facts.address] for facts in group.members if facts.address in self.samples])


def group_by_model(
    store: Collections, collections: Sequence[CollectionFacts], names: Mapping[Address, str] | None = None
) -> Grouping:
    """Group collections by the model of their vectors. Only reads; calls no model.

    Args:
        store: the open database.
        collections: those to group; all hold vectors.
        names: what each collection records about its model; empty or missing for nothing that tells anything. What
            Chroma records by default tells nothing.
    """
    most = max(FEWEST_OF_EACH, min(SAMPLED, 20 * POOLED // max(1, len(collections))))
    samples = {facts.address: _sample(store, facts.address, most) for facts in collections}
    mixed: dict[Address, str] = {}
    by_dimension: dict[int, list[CollectionFacts]] = defaultdict(list)
    for facts in collections:
        page = samples[facts.address]
        mixture = find_mixture(page.vectors) if len(page) >= FEWEST_ROWS else None
        if mixture is not None:
            mixed[facts.address] = str(mixture)
        else:
            by_dimension[facts.dimension or 0].append(facts)
    groups: list[ModelGroup] = []
    for members in by_dimension.values():
        vectors = [samples[facts.address].vectors for facts in members]
        parts, of_both = _parts(vectors)
        for number, reason in of_both.items():
            mixed[members[number].address] = reason
        for part in parts:
            groups += _by_name([members[number] for number in part], [vectors[number] for number in part], names or {})
    return Grouping(tuple(sorted(groups, key=lambda group: -group.count)), mixed, samples)


def _sample(store: Collections, address: Address, most: int) -> Page:
    page = store.collection(address).sample(most)
    return page.rows(np.flatnonzero(meaningful(page.vectors)).tolist()) if len(page) else page


def _parts(vectors: Sequence[Vectors]) -> tuple[list[list[int]], dict[int, str]]:
    """The numbers of the collections of each model, and of those that are of several, with the reason."""
    if len(vectors) < 2:
        return [list(range(len(vectors)))], {}
    each = max(FEWEST_OF_EACH, POOLED // len(vectors))
    pools = [rows[evenly(len(rows), each)] for rows in vectors]
    pool = np.concatenate([rows for rows in pools if len(rows)] or [np.zeros((0, 1), np.float32)])
    mixture = find_mixture(pool)
    if mixture is None:
        return [list(range(len(vectors)))], {}
    labels = np.array(mixture.labels)
    directions = [_directions(pool[labels == part]) for part in range(len(mixture.counts))]
    parts: list[list[int]] = [[] for _ in directions]
    of_both: dict[int, str] = {}
    for number, rows in enumerate(vectors):
        counts = np.bincount(_nearest_space(rows, directions), minlength=len(directions))
        rarer = int(counts.sum() - counts.max(initial=0))
        if rarer >= RARER_ROWS and rarer >= RARER_SHARE * counts.sum():
            shares = " and ".join(f"{count:,}" for count in np.sort(counts)[::-1] if count)
            of_both[number] = f"rows of several models that other collections hold, too: {shares}"
        else:
            parts[int(counts.argmax())].append(number)
    return [part for part in parts if part], of_both


def _directions(rows: Vectors) -> Vectors:
    """The directions along which rows `(n, d)` are longest, their mean included: `(k, d)`, orthonormal."""
    k = max(1, min(MOST_DIRECTIONS, len(rows) // 2, rows.shape[1] // 4))
    return np.asarray(np.linalg.svd(unit(rows), full_matrices=False)[2][:k], dtype=np.float32)


def _nearest_space(rows: Vectors, spaces: Sequence[Vectors]) -> npt.NDArray[np.int64]:
    """For each row `(n, d)` the number of the space that holds the most of it, relative to chance: int64 `(n,)`."""
    unit_rows = unit(rows)
    along = [np.sum((unit_rows @ space.T) ** 2, axis=1) / len(space) for space in spaces]
    return np.asarray(np.argmax(np.stack(along), axis=0), dtype=np.int64)


def _by_name(
    members: Sequence[CollectionFacts], vectors: Sequence[Vectors], names: Mapping[Address, str]
) -> list[ModelGroup]:
    """Collections that no measurement separated, separated by name unless their vectors look alike.

    Collections without a name go to the model whose vectors theirs look like, or to the one with the most records.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, facts in enumerate(members):
        by_name[names.get(facts.address, "")].append(number)
    nameless = by_name.pop("", [])
    order = sorted(by_name, key=lambda name: -sum(members[number].count for number in by_name[name]))
    if len(order) < 2:
        return [ModelGroup(tuple(members), order[0] if order else "")]
    joined: list[tuple[list[str], list[int], Space | None]] = []
    for name in order:
        rows = np.concatenate([vectors[number] for number in by_name[name]])
        like = next((group for group in joined if group[2] is not None and group[2].holds(rows)), None)
        if like is not None:
            like[0].append(name)
            like[1].extend(by_name[name])
        else:
            joined.append(([name], list(by_name[name]), Space.of(rows)))
    for number in nameless:
        scores = [0.0 if space is None else space.likeness(vectors[number]) for _, _, space in joined]
        joined[int(np.argmax(scores))][1].append(number)
    return [
        ModelGroup(tuple(members[number] for number in sorted(numbers)), group[0] if len(group) == 1 else "")
        for group, numbers, _ in joined
    ]


def recorded_name(facts: CollectionFacts) -> str:
    """The model that a collection records, as a hint; empty for nothing, and for what a store records by default."""
    function = facts.embedding_function
    if function is None or function.get("name") in DEFAULT_FUNCTIONS:
        return ""
    name, config = said_identity(function)
    return model_name(name, config)


def only_group(store: Collections, collections: Sequence[CollectionFacts], database: str) -> ModelGroup:
    """The collections as one group. Only reads.

    Args:
        store: the open database.
        collections: those that hold vectors.
        database: as a command is given it.

    Raises:
        CollectionNotFoundError: they are of several models, or there are none.
    """
    grouping = group_by_model(store, collections, {facts.address: recorded_name(facts) for facts in collections})
    if len(grouping.groups) != 1 or grouping.mixed:
        raise CollectionNotFoundError(_several_models(grouping, database))
    return grouping.groups[0]


def _several_models(grouping: Grouping, database: str) -> str:
    """Why the collections of a database cannot be read as one, and what to do, in one line.

    Args:
        grouping: of its collections.
        database: as a command is given it.
    """
    if not grouping.groups and not grouping.mixed:
        return f"{database} holds no vectors: there is nothing to learn from"
    parts = [
        f"{len(group.members)} of {group.dimension} dimensions{f' ({group.name})' if group.name else ''}, such as "
        f"{group.members[0].address}"
        for group in grouping.groups
    ]
    parts += [f"{address}, which is of several models itself" for address in list(grouping.mixed)[:NAMED]]
    largest = grouping.groups[0].members[0].address if grouping.groups else next(iter(grouping.mixed))
    return (
        f"the collections of {database} are of several models: {'; '.join(parts[:NAMED])}; name one:  --collection "
        f"{shlex.quote(str(largest))}  or migrate them all, each model by itself:  lightmigrate migrate {database} "
        "--target-model MODEL"
    )
