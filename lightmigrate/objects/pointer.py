"""Which prefix of an object store is the dataset: an object that names it, put in one request.

    vectors/                                  the application's objects, which are never written to
    vectors.lightmigrate/current.json         the pointer; none until something was migrated
    vectors.lightmigrate/RUN/                 the objects that a run has built, under the same names
    vectors.lightmigrate/notes/RUN/           what a run is for, its projection, and a line for each unit that is done
    vectors.lightmigrate/lock/                an object for each run that works

The pointer holds what is to be written behind the address of the dataset, such as `.lightmigrate/RUN`; nothing for the
application's own objects. So a bucket can be copied to another name.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lightmigrate.errors import DatabaseError
from lightmigrate.objects.folder import ObjectFolder
from lightmigrate.objects.system import is_object_address, require_prefix

# What is written behind the address of the dataset for all that is ours.
HOME = ".lightmigrate"
CURRENT = "current.json"

# The name of the application's own objects among the backups.
ORIGINAL = "original"

_FORMAT = 1


@dataclass(frozen=True)
class DatasetVersion:
    """A prefix that is the dataset, or was.

    Attributes:
        run: that built it; empty for the application's own objects.
        model: whose vectors it holds; empty where it is not known.
        sha256: digest of all its units; see `scale.manifest.total`.
        since: when it became the dataset, in UTC; empty for the application's own objects.
    """

    run: str = ""
    model: str = ""
    sha256: str = ""
    since: str = ""

    @property
    def suffix(self) -> str:
        """What is written behind the address of the dataset."""
        return f"{HOME}/{self.run}" if self.run else ""

    @property
    def name(self) -> str:
        """As a backup."""
        return self.run or ORIGINAL


@dataclass(frozen=True)
class Pointer:
    """What the pointer says.

    Attributes:
        live: the dataset.
        former: what it was before, the oldest first; the backups.
        deleting: former ones that are being deleted: none of them can be gone back to.
    """

    live: DatasetVersion = field(default_factory=DatasetVersion)
    former: tuple[DatasetVersion, ...] = ()
    deleting: tuple[DatasetVersion, ...] = ()

    def moved_to(self, live: DatasetVersion) -> Pointer:
        """The same with another dataset, from now on; what it replaces becomes the newest backup."""
        others = tuple(each for each in self.former if each.run != live.run)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        return Pointer(replace(live, since=now), (*others, self.live), self.deleting)

    def without(self, versions: Sequence[DatasetVersion], *, deleted: bool) -> Pointer:
        """The same without some backups, whose objects are deleted or are about to be."""
        kept = tuple(each for each in self.former if each not in versions)
        others = tuple(each for each in self.deleting if each not in versions)
        return replace(self, former=kept, deleting=others if deleted else (*others, *versions))

    def runs(self) -> set[str]:
        """The runs that have built what it names."""
        return {each.run for each in (self.live, *self.former, *self.deleting)}

    def to_json(self) -> dict[str, Any]:
        """As it is put."""
        return {
            "format": _FORMAT,
            "suffix": self.live.suffix,
            **asdict(self.live),
            "former": [asdict(each) for each in self.former],
            "deleting": [asdict(each) for each in self.deleting],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Pointer:
        """What was put; the application's own objects where nothing was.

        Raises:
            ValueError, TypeError, KeyError: it is damaged, or of a later version.
        """
        if not fields:
            return cls()
        if fields["format"] != _FORMAT:
            raise ValueError("it is of a later version")
        live = _version({name: fields[name] for name in ("run", "model", "sha256", "since")})
        if fields["suffix"] != live.suffix:
            raise ValueError("it names two prefixes")
        former, deleting = (tuple(map(_version, fields[name])) for name in ("former", "deleting"))
        return cls(live, former, deleting)


def read_pointer(home: ObjectFolder) -> Pointer:
    """The pointer in the prefix of what is ours. Only reads.

    Raises:
        DatabaseError: it is damaged, or cannot be read.
    """
    try:
        return Pointer.from_json(home.read_json(CURRENT))
    except (ValueError, TypeError, KeyError) as error:
        raise DatabaseError(
            f"{home.address}/{CURRENT} is damaged ({error}): move it away to read the first objects again, or put back "
            "what it was"
        ) from None


def write_pointer(home: ObjectFolder, pointer: Pointer, require: Callable[[], None]) -> None:
    """Put the pointer, in one request: from then on its prefix is the dataset. Writes.

    Args:
        home: the prefix of what is ours.
        pointer: the pointer.
        require: raises where the lock is not held any more. A store may fail for longer than it takes another machine
            to take the lock over and to delete what this run has built, so it is called before each attempt.
    """
    home.write(CURRENT, json.dumps(pointer.to_json(), indent=1).encode(), require)


def dataset_path(address: str) -> str:
    """The prefix to read where a folder of vectors is in an object store and `lightmigrate migrate` changes its model.

    That is the address itself until something was migrated, and again after a rollback; else the prefix that was put
    in its place. Ask again to see a migration that has ended since; what was returned stays readable until
    `lightmigrate clean`. Any other address and any path is returned as it is. Reads one small object; writes nothing.

    Args:
        address: of the folder, such as `s3://bucket/vectors`.

    Raises:
        DatabaseError: the pointer is damaged or cannot be read, or the package for this kind of store is not installed.
        LocationError: the keys in the environment do not permit to read it.
        MissingExtraError: fsspec is not installed.
    """
    if not is_object_address(address):
        return address
    require_prefix(address)
    address = address.rstrip("/")
    return f"{address}{read_pointer(ObjectFolder(f'{address}{HOME}')).live.suffix}"


def is_run(name: str) -> bool:
    """Whether a name can be that of a run."""
    return re.fullmatch(r"[0-9a-f]{16}", name) is not None


def _version(fields: Mapping[str, Any]) -> DatasetVersion:
    version = DatasetVersion(**fields)
    if not all(isinstance(value, str) for value in fields.values()) or (version.run and not is_run(version.run)):
        raise ValueError("it names something that no run has built")
    return version
