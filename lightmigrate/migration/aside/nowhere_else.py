"""What a backup may have that is nowhere else, so that it is not deleted without its name."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.put_aside import PutAside, known_writes


def reason_to_keep(location: Location, backup: Path) -> str | None:
    """Why a backup may have what is nowhere else, as a part of a sentence; `None` where nothing says so. Only reads."""
    try:
        reasons = [*_left_by_a_rollback(backup), *_written_since(location, backup)]
    except Exception as error:  # noqa: BLE001  # of the store's engine
        return f"cannot be read ({type(error).__name__})"
    return f"has {' and '.join(reasons)}" if reasons else None


def _left_by_a_rollback(backup: Path) -> list[str]:
    note = PutAside.read(backup)
    if note is None:
        return []
    left = [f"{note.left:,} records"] if note.left else []
    left += [f"the metadata of {note.metadata:,} collections"] if note.metadata else []
    return [f"{' and '.join(left)} that a rollback left only in it"] if left else []


def _written_since(location: Location, backup: Path) -> list[str]:
    """What was written to a backup after it had been put aside; nothing where that is not known. Only reads."""
    known = known_writes(location, backup)
    if known is None:
        return []
    files = location.files.at(backup)
    written = sum(
        number > known.writes.get(address, 0)
        for address, last in files.last_writes().items()
        if last > known.writes.get(address, 0)
        for _, number in files.writes(address)
    )
    return [f"{written:,} records that were written after {known.since}"] if written else []
