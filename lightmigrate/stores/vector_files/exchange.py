"""Put the files of a version in the place of a collection's: one file in one step, several under a journal."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError, DatabaseError
from lightmigrate.rights import Rights
from lightmigrate.stores.base import Role
from lightmigrate.stores.vector_files.places import (
    Home,
    Place,
    Stamp,
    id_of,
    plain_name,
    same_file,
    write_version,
)
from lightmigrate.stores.vector_files.table import Options, same_records
from lightmigrate.system import delete, exchange_names, rename, second_name, sync_file, sync_folder


class Steps:
    """The single steps on the disk, each of which a crash may precede."""

    @staticmethod
    def link(source: Path, target: Path) -> None:
        """Give a file a second name; copy it where the file system has no links."""
        second_name(source, target)

    @staticmethod
    def rename(source: Path, target: Path) -> None:
        """Rename a file or a folder, replacing a file of that name."""
        rename(source, target)
        sync_folder(target.parent)

    @staticmethod
    def swap(one: Path, other: Path) -> bool:
        """Exchange two names in one step; `False`, and nothing done, where the system cannot."""
        return exchange_names(one, other)

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a file."""
        delete(path)


def keep_live(home: Home, key: str) -> Path:
    """Make a backup of the collection that is in place, as a further name of its main file. Writes."""
    target, part = home.version(Role.BACKUP, key), home.scratch()
    for name in home.live.beside():
        shutil.copy2(home.live.folder / name, part / name)
        sync_file(part / name)
    Steps.link(home.live.main, part / home.live.main.name)
    write_version(part, {"id": home.live_id()})
    Steps.rename(part, target)
    return target


def put_in_place(home: Home, incoming: Path, key: str, options: Options, expected: Sequence[Stamp]) -> None:
    """Put a complete version in place; what was there becomes backup `key`. The lock is held. Writes.

    Args:
        home: of the collection.
        incoming: folder of the version.
        key: of the backup.
        options: how the files are read.
        expected: the states of the files that the version was made from, which have to be their present one.

    Raises:
        DatabaseChangedError: somebody else wrote the files meanwhile; they are as they were written.
    """
    home.sweep()
    _require_unchanged(home.live, expected)
    version = home.place(incoming)
    moves, removes = _differing(version, home.live, options)
    names = [version.main.name, *moves]
    _keep_rights(home, incoming, names)
    for name in names:
        sync_file(incoming / name)
    live_id, outgoing = home.live_id(), keep_live(home, key)
    home.note_exchange(incoming)
    try:
        _require_unchanged(home.live, expected)
        if not moves and not removes:
            _swap_main(home, version, home.place(outgoing))
    except DatabaseChangedError:
        home.end_exchange(live_id, outgoing)
        raise
    if moves or removes:
        home.write_journal({"from": incoming.name, "moves": [*moves, version.main.name], "removes": list(removes)})
        finish_moves(home)
    home.end_exchange(id_of(incoming), incoming)


def _swap_main(home: Home, version: Place, backup: Place) -> None:
    """Put the main file of a version in place of the one that the backup holds, in one step. Writes.

    Raises:
        DatabaseChangedError: it is another one by now; it is in place again.
    """
    if not Steps.swap(version.main, home.live.main):
        _require_same(home.live, backup)
        Steps.rename(version.main, home.live.main)
    elif not same_file(version.main, backup.main):  # somebody replaced the file since the backup was made
        Steps.swap(version.main, home.live.main)
        raise _changed(home.live)
    sync_folder(home.live.folder)
    Steps.remove(version.main)


def replace_live(home: Home, written: Path, names: Sequence[str], expected: Stamp) -> None:
    """Put files that were written aside in the place of the collection's, without a backup. The lock is held. Writes.

    Args:
        home: of the collection.
        written: the folder of the new files; deleted afterwards.
        names: of the files.
        expected: the state of the files that the new ones were made from.

    Raises:
        DatabaseChangedError: somebody else wrote the files meanwhile.
    """
    _keep_rights(home, written, names)
    for name in names:
        sync_file(written / name)
    _require_unchanged(home.live, [expected])
    if len(names) == 1:
        Steps.rename(written / names[0], home.live.folder / names[0])
    else:
        home.write_journal({"from": written.name, "moves": list(names), "removes": []})
        finish_moves(home)
    shutil.rmtree(written, ignore_errors=True)


def finish_moves(home: Home) -> None:
    """Do the rest of an exchange of several files, whose journal is written. Writes."""
    journal: Mapping[str, Sequence[str]] = home.journal()
    source = home.inside(journal["from"])
    names = {name: plain_name(name, home.folder) for name in (*journal["moves"], *journal["removes"])}
    own = {home.live.main.name, home.live.statement.name, *home.live.beside(), *home.place(source).beside()}
    if not names.keys() <= own:
        raise DatabaseError(f"{home.folder} names other files than its own: somebody changed it; move it away")
    for name in journal["moves"]:
        if (source / name).exists():
            Steps.rename(source / name, home.live.folder / name)
    for name in journal["removes"]:
        Steps.remove(home.live.folder / name)
    sync_folder(home.live.folder)
    home.close_journal()


def recover(home: Home) -> str | None:
    """Finish an exchange that a crash interrupted, and delete what it left. The lock is held. Writes.

    Returns:
        What was done, in a sentence; `None` when a name led to whole files all the time.
    """
    interrupted = bool(home.journal())
    if interrupted:
        finish_moves(home)
    home.sweep()
    return "an interrupted exchange was finished: the new files are in place" if interrupted else None


def _differing(version: Place, live: Place, options: Options) -> tuple[list[str], list[str]]:
    """Names of the files beside the main file that are to be put in place, and to be deleted.

    Files that hold the same records stay as they are, however they are written.
    """
    new, old = version.beside(), live.beside()
    both = set(new) & set(old)
    moves = [
        name
        for name in new
        if name not in both or not filecmp.cmp(version.folder / name, live.folder / name, shallow=False)
    ]
    removes = [name for name in old if name not in both]
    statement = live.statement.name
    if set(moves) | set(removes) <= {statement}:
        return moves, removes
    one, other = (place.format.read(place.folder, place.name, options) for place in (version, live))
    if set(new) - {statement} == set(old) - {statement} and same_records(one, other):
        return [name for name in moves if name == statement], [name for name in removes if name == statement]
    version.format.merge(version.folder, live.folder, version.name)
    return moves, removes


def _require_unchanged(live: Place, expected: Sequence[Stamp]) -> None:
    now = live.stamp()
    if any(stamp != now for stamp in expected):
        raise _changed(live)


def _require_same(live: Place, backup: Place) -> None:
    if not same_file(live.main, backup.main):
        raise _changed(live)


def _changed(live: Place) -> DatabaseChangedError:
    return DatabaseChangedError(
        f"{live.main} was written to after it was last read: it is as its writer left it, nothing was changed; stop "
        "the writer and run this again"
    )


def _keep_rights(home: Home, folder: Path, names: Sequence[str]) -> None:
    """Give new files the rights of those that they replace, or of the main file; see `Rights`."""
    rights = Rights(home.live.main)
    for name in names:
        old = home.live.folder / name
        rights.give(folder / name, old if old.exists() else home.live.main, old)
    rights.warn()
