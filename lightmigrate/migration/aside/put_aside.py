"""What is known of a backup as it was put aside: what a rollback noted in it, or what records say of its last writes.

A rollback writes its note into the live database before the exchange, in one step, so that both go aside together. A
note in a database that is in use says nothing: an exchange did not happen, or this one is back in place. The next run
deletes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.files import read_json, replacing
from lightmigrate.migration.aside.belonging import backup_folders
from lightmigrate.migration.aside.location import PUT_ASIDE_FILE, Location
from lightmigrate.migration.aside.record import Record, Writes, by_address, listed, read_writes
from lightmigrate.results import read_as
from lightmigrate.stores.base import Address
from lightmigrate.stores.files import FileDatabase
from lightmigrate.system import delete

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PutAside:
    """The contents of `lightmigrate-put-aside.json` in a database that a rollback put aside.

    Attributes:
        left: records that the database which took its place lacks, or has in another state.
        metadata: collections of which the metadata are in no other database.
        last_writes: as in `Record`, when it was put aside.
    """

    left: int
    metadata: int
    last_writes: Writes

    @classmethod
    def read(cls, folder: Path) -> PutAside | None:
        """The note in a backup; `None` where there is none. Only reads.

        Raises:
            DatabaseError: it is damaged, or a newer lightmigrate wrote it.
        """
        path = folder / PUT_ASIDE_FILE
        if not path.exists():
            return None
        fields = read_json(path)
        try:
            if fields["format"] != FORMAT_VERSION:
                raise DatabaseError(f"{path} was written by a newer lightmigrate; upgrade lightmigrate")
            return cls(
                left=read_as(int, fields["left"]),
                metadata=read_as(int, fields["metadata"]),
                last_writes=read_writes(fields["last_writes"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DatabaseError(
                f"{path} is damaged ({type(error).__name__}); move it away if nothing in its folder is needed"
            ) from None


@dataclass(frozen=True)
class Known:
    """The last writes of a backup that are known.

    Attributes:
        writes: the number of the last write in each collection that had records.
        since: what those with higher numbers were written after, as a part of a sentence.
    """

    writes: Mapping[Address, int]
    since: str


def known_writes(location: Location, backup: Path) -> Known | None:
    """The last writes of a backup as it was put aside; `None` where nothing tells. Only reads.

    Raises:
        DatabaseError: its own note or record is damaged.
    """
    note = PutAside.read(backup)
    if note is not None:
        return Known(by_address(note.last_writes), "it was put aside")
    return known_by_records(location, backup)


def known_by_records(location: Location, backup: Path) -> Known | None:
    """What a backup had in common with the databases of its lineage, without what a rollback left in it. Only reads."""
    return _by_records(backup, backup.name, (location.database, *backup_folders(location)))


def _by_records(folder: Path, name: str, others: Iterable[Path]) -> Known | None:
    """What records tell of the last writes in a folder that is, or will be, the backup of some name. Only reads.

    The database that was made from it names it last. One that no record names was put aside by a rollback; its own
    record has its last writes after its migration.
    """
    named = False
    for other in others:
        try:
            record = Record.read(other) if other != folder else None
        except DatabaseError:  # it may be of another database, and says nothing about this backup
            continue
        if record is not None and record.backups[-1:] == (name,):
            return Known(by_address(record.source_writes), "it was put aside")
        named |= record is not None and name in record.backups
    own = None if named else Record.read(folder)
    return None if own is None else Known(by_address(own.last_writes), "its migration")


def note_put_aside(live: FileDatabase, incoming: Path, displaced: Path, left: int, metadata: int) -> None:
    """Note in a live database what a rollback leaves in it, unless records tell all of that. Writes to `live`.

    Without need nothing is written: what is put back later is then the same to the byte.

    Args:
        live: the database, which nobody has open.
        incoming: what will take its place.
        displaced: the folder that it will have.
        left: records that `incoming` lacks, or has in another state.
        metadata: collections whose metadata it lacks.
    """
    writes = live.last_writes()
    known = _by_records(live.folder, displaced.name, (incoming, *backup_folders(Location.of(live))))
    if left or metadata or (known.writes if known is not None else None) != writes:
        note = PutAside(left, metadata, listed(writes))
        with replacing(live.folder / PUT_ASIDE_FILE) as file:
            file.write(json.dumps({"format": FORMAT_VERSION, **asdict(note)}).encode())


def forget_put_aside(live: Path) -> None:
    """Delete the note in a database that is in use, if there is one. Writes."""
    if (live / PUT_ASIDE_FILE).exists():
        delete(live / PUT_ASIDE_FILE)
