"""`look`: some records of one collection as a picture, before and after its migration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_collection
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migrator import Migrator
    from lightmigrate.quality.picture import Picture
    from lightmigrate.stores.base import Address, CollectionFacts, Page

# Records of the sample. A thousand points still can be told apart.
SAMPLED = 1000

# Groups of a picture, at most: more cannot be told apart.
GROUPS = 7

OTHERS, NONE = "others", "without"

# How each row was made, in place of a field.
MADE = ""

_MADE = {"EXACT": "exact", "EXTRACT": "projected with an extract", "PROJECTED": "projected"}


@dataclass(frozen=True)
class SampledVersion(Result):
    """A sample of one version of a collection.

    Attributes:
        backup: that holds it; empty for the live one.
        dimension: of its vectors.
        picture: of the vectors.
        groups: the group of each record, as a place in `CollectionLook.groups`.
        lengths: of the vectors that are valid, ascending.
        invalid: vectors that hold NaN or infinity or are all zero.
        same_vectors: records whose vector another record of the sample has, too.
        same_texts: records whose text another record of the sample has, too.
    """

    backup: str
    dimension: int
    picture: Picture
    groups: tuple[int, ...]
    lengths: tuple[float, ...]
    invalid: int
    same_vectors: int
    same_texts: int


@dataclass(frozen=True)
class CollectionLook(Result):
    """What a sample of a collection shows; it holds no texts and no ids.

    Attributes:
        facts: of the collection.
        now: the live version; `None` where it has no vectors.
        before: the version in a backup; `None` where there is none.
        backups: names of the backups with a version, the newest first.
        fields: of the metadata, by which records can be grouped.
        grouped_by: a field, or empty for how each row was made.
        groups: names of the groups; empty where nothing tells records apart.
    """

    facts: CollectionFacts
    now: SampledVersion | None
    before: SampledVersion | None
    backups: tuple[str, ...]
    fields: tuple[str, ...]
    grouped_by: str
    groups: tuple[str, ...]


def look(
    database: DatabaseChoice,
    collection: str = "",
    backup: str | None = None,
    group_by: str = MADE,
    *,
    conversation: Conversation,
) -> CollectionLook:
    """A picture of a sample of a collection, beside that of a backup. Only reads, also while others write.

    Args:
        database: the database.
        collection: its name; may be empty when there is only one.
        backup: to compare with; by default the newest one that holds the collection.
        group_by: a field of the metadata; by default how each row was made, where that is known.
        conversation: with the caller.

    Raises:
        CollectionNotFoundError: there is no such collection.
        BackupError: the backup does not hold it.
    """
    from lightmigrate.progress import LogProgress
    from lightmigrate.versions import backups_with, chosen_backup, sample_version

    migrator = database.open(conversation, notices=False)
    address = only_collection(migrator, collection)
    (facts,) = (facts for facts in migrator.collections() if facts.address == address)
    kept = backups_with(migrator.database, migrator.backups(), address)
    chosen = chosen_backup(kept, backup)
    on_progress = conversation.on_progress or LogProgress()
    pages = {"": sample_version(migrator.database, address, SAMPLED, None, on_progress)}
    if chosen is not None:
        pages[chosen.name] = sample_version(migrator.database, address, SAMPLED, chosen, on_progress)
    values = {name: _values(migrator, address, page, group_by, live=not name) for name, page in pages.items()}
    # of how rows were made nothing is known in a backup
    groups = _groups([value for name, column in values.items() if group_by != MADE or not name for value in column])
    now, before = _versions(pages, values, groups)
    return CollectionLook(
        facts=facts,
        now=now,
        before=before,
        backups=tuple(each.name for each in kept),
        fields=_fields(pages[""]),
        grouped_by=group_by,
        groups=groups,
    )


def _values(migrator: Migrator, address: Address, page: Page, field: str, *, live: bool) -> list[str]:
    """What each record is grouped by; empty where it has no such value."""
    from lightmigrate.texts.fields import fields_of

    if field == MADE:
        return _origins(migrator, address, page) if live else [""] * len(page)
    values = [fields_of(payload).get(field) for payload in page.payloads]
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(set(numbers)) > GROUPS:
        return [_quarter(value, sorted(numbers)) for value in values]
    return ["" if value is None else str(value) for value in values]


def _quarter(value: object, ordered: Sequence[float]) -> str:
    """In which quarter of the numbers one is, by the ends of that quarter."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    ends = [ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1) / 4))] for part in range(5)]
    part = next((part for part in range(1, 4) if value < ends[part]), 4)
    return f"{ends[part - 1]:g} to {ends[part]:g}"


def _origins(migrator: Migrator, address: Address, page: Page) -> list[str]:
    """How each row was made; empty for a collection that was not migrated by a plan."""
    from lightmigrate.refinement.provenance import Provenance, VectorOrigin

    if not Provenance.file_in(migrator.place).exists():
        return [""] * len(page)
    with Provenance.existing(migrator.place) as provenance:
        if address not in provenance.addresses():
            return [""] * len(page)
        rows = provenance.rows_by_id(address, page.ids)
    origins = (rows[record].origin if record in rows else VectorOrigin.EXACT for record in page.ids)
    return [_MADE[origin.name] for origin in origins]


def _groups(values: Sequence[str]) -> tuple[str, ...]:
    """The most frequent values, the others as one, and those without; none where all are without."""
    counted = Counter(value for value in values if value)
    if not counted:
        return ()
    common = [value for value, _ in counted.most_common(GROUPS if len(counted) <= GROUPS else GROUPS - 1)]
    rest = [OTHERS] if len(counted) > len(common) else []
    return (*sorted(common, key=_order), *rest, *([NONE] if "" in values else []))


def _order(value: str) -> tuple[float, str]:
    """Quarters of numbers by their numbers, other values by name."""
    first = value.split(" ", 1)[0]
    try:
        return float(first), value
    except ValueError:
        return 0.0, value


def _versions(
    pages: Mapping[str, Page], values: Mapping[str, Sequence[str]], groups: Sequence[str]
) -> tuple[SampledVersion | None, SampledVersion | None]:
    from lightmigrate.quality.picture import Picture

    pictures = {name: Picture.of(page.vectors) for name, page in pages.items() if len(page) and page.vectors.size}
    older = next((name for name in pages if name), None)
    if older in pictures and "" in pictures:
        rows = {record: row for row, record in enumerate(pages[""].ids)}
        shared = [(row, rows[record]) for row, record in enumerate(pages[older].ids) if record in rows]
        own, theirs = ([pair[side] for pair in shared] for side in (0, 1))
        pictures[older] = pictures[older].turned_to(pictures[""], own, theirs)
    now, before = (
        _version(name, pages[name], pictures[name], values[name], groups) if name in pictures else None
        for name in ("", older or "none")
    )
    return now, before


def _version(backup: str, page: Page, picture: Picture, values: Sequence[str], groups: Sequence[str]) -> SampledVersion:
    import numpy as np

    from lightmigrate.vectors import meaningful

    valid = meaningful(page.vectors)
    lengths = np.sort(np.linalg.norm(page.vectors[valid], axis=1))
    places = {name: place for place, name in enumerate(groups)}
    last = len(groups) - 1
    return SampledVersion(
        backup=backup,
        dimension=page.vectors.shape[1],
        picture=picture,
        groups=tuple(places.get(value or NONE, places.get(OTHERS, max(0, last))) for value in values),
        lengths=tuple(lengths.tolist()),
        invalid=int((~valid).sum()),
        same_vectors=_repeated([vector.tobytes() for vector in page.vectors]),
        same_texts=_repeated([text for text in page.texts if text]),
    )


def _repeated(values: Sequence[object]) -> int:
    return sum(count for count in Counter(values).values() if count > 1)


def _fields(page: Page) -> tuple[str, ...]:
    """Fields of the metadata that tell records apart, but not every record."""
    from lightmigrate.texts.fields import fields_of

    columns: dict[str, list[object]] = {}
    for payload in page.payloads:
        for name, value in fields_of(payload).items():
            if isinstance(value, (str, int, float, bool)):
                columns.setdefault(name, []).append(value)
    number = (int, float)
    return tuple(
        name
        for name, values in sorted(columns.items())
        if len(set(values)) > 1 and (len(set(values)) <= len(page) // 2 or isinstance(values[0], number))
    )
