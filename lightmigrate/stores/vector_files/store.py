"""Files of vectors in a folder as a `Store`: versions are files in a hidden folder, exchanged by their names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from lightmigrate.errors import (
    CollectionNotFoundError,
    DamagedCollectionError,
    DatabaseChangedError,
    DiskSpaceError,
    LightmigrateError,
    LocationError,
    RefusedError,
)
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Metric,
    Payload,
    Role,
    Version,
)
from lightmigrate.stores.defaults import StoreDefaults, by_age, facts_at
from lightmigrate.stores.mounts import require_replaceable
from lightmigrate.stores.receive import Fields, from_text
from lightmigrate.stores.vector_files.building import BuildingVersion
from lightmigrate.stores.vector_files.collection import FileCollection
from lightmigrate.stores.vector_files.edits import Edited
from lightmigrate.stores.vector_files.exchange import put_in_place, recover
from lightmigrate.stores.vector_files.formats import format_of, places_in
from lightmigrate.stores.vector_files.node_fields import node_fields
from lightmigrate.stores.vector_files.places import (
    Home,
    Place,
    Stamp,
    homes,
    id_of,
    new_id,
    write_version,
)
from lightmigrate.stores.vector_files.snapshots import Snapshots
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.system import delete, delete_folder, rename

CAPABILITIES = Capabilities(
    atomic_exchange=False,
    holds_writers=False,
    sees_changes=False,
    ordered=True,
    stale_handles=True,
    shared_records=False,
    notice="an application that has the files in memory writes the old vectors over the new ones when it saves them: "
    "stop it, or have it load the files again after the exchange",
)

_MARK = ".lightmigrate-"


class FileStore(StoreDefaults):
    """See `stores.base.Store`.

    Args:
        path: a file of vectors, or a folder of such files.
        options: how the files are read.
    """

    records_model = False

    def __init__(self, path: Path, options: Options = Options()) -> None:  # noqa: B008  # immutable
        self.path = path.expanduser().resolve()
        self.options = options
        self._only = "" if self.path.is_dir() else self.path.name
        self._snapshots = Snapshots()

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return CAPABILITIES

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.path.parent if self._only else self.path

    def close(self) -> None:
        """Let go of what was read."""
        self._snapshots.clear()

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """The collections whose files cannot be read, with what is wrong; reads each."""
        found = {}
        for address in addresses:
            try:
                self._file_collection(address).snapshot()
            except DamagedCollectionError as error:
                found[address] = str(error)
        return found

    def fields(self, payload: Payload) -> Fields:
        """The fields; of LlamaIndex's files those that its other stores have. See `stores.receive.Sender`."""
        return from_text(node_fields(payload))

    def __str__(self) -> str:
        given = {key: value for key, value in vars(self.options).items() if value}
        if not given:
            return str(self.path)
        words = {key: "yes" if value is True else str(value) for key, value in given.items()}
        return f"file://{quote(str(self.path))}?{urlencode(words)}"

    def _places(self) -> dict[str, Place]:
        """The collections that are in place, by name, and those whose exchange a crash interrupted."""
        places = places_in(self.folder)
        for main in homes(self.folder):
            known = format_of(main)
            if known is not None and not any(place.main.name == main for place in places.values()):
                place = Place(self.folder, known[1], known[0])
                if Home(place).journal():
                    places[known[1]] = place
        return {name: place for name, place in places.items() if self._only in ("", place.main.name)}

    def collections(self) -> list[CollectionFacts]:
        """The files of vectors, by name; one that cannot be read has no records (see `damaged`). Only reads."""
        return [self._facts(Address(name)) for name in sorted(self._places())]

    def _facts(self, address: Address) -> CollectionFacts:
        try:
            return self._file_collection(address).facts()
        except (DamagedCollectionError, CollectionNotFoundError):
            return facts_at(address, 0, None, "cosine")

    def collection(self, address: Address) -> FileCollection | BuildingVersion:
        """Open a collection or a version of one; `CollectionNotFoundError` when there is none. Only reads."""
        own, mark, version = address.name.rpartition(_MARK)
        if not mark:
            return self._file_collection(address)
        home = self._home(own)
        for role, key, folder in home.versions():
            if version == f"{role.value}-{key}":
                if role is Role.BUILDING:
                    return BuildingVersion(home, folder, address, self.options, self._snapshots)
                return FileCollection(home, home.place(folder), address, self.options, id_of(folder), self._snapshots)
        raise CollectionNotFoundError(f"there is no version {address} in {self.path}")

    def _file_collection(self, address: Address) -> FileCollection:
        home = self._home(address.name)
        return FileCollection(home, home.live, address, self.options, home.live_id(), self._snapshots)

    def _home(self, name: str) -> Home:
        places = self._places()
        if name not in places:
            known = ", ".join(places) or "none"
            raise CollectionNotFoundError(f"there is no collection {name} in {self.path}; there are: {known}")
        return Home(places[name])

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        found = [
            Version(Address(name), role, key, Address(f"{name}{_MARK}{role.value}-{key}"))
            for name, place in self._places().items()
            for role, key, _ in Home(place).versions()
        ]
        return by_age(found)

    def fixed_distance(self, address: Address) -> str | None:
        """Why a distance cannot be changed: neither an index nor a file states it. Only reads."""
        collection = self._file_collection(address)
        if collection.place.stated() is None and collection.snapshot().table.metric is None:
            return (
                f"{address} has no index, and the code that searches it chooses the distance: change that code instead"
            )
        return None

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> FileCollection:
        """Write the files of an empty collection of the kind of another one. Writes."""
        assert isinstance(like, FileCollection)  # noqa: S101  # a store copies its own kind only
        table, format_ = like.snapshot().table, like.place.format
        home = Home(Place(self.folder, address.name, format_))
        if home.live.main.exists():
            raise LightmigrateError(f"there is a file {home.live.main} already: give another name")
        with home.locked():
            written = Place(home.scratch(), address.name, format_)
            format_.write(written.folder, address.name, Edited(table, [], width=dimension), table, distance, same=False)
            stated = distance or like.place.stated()
            if stated is not None:
                written.state(stated)
            files = sorted(written.folder.iterdir(), key=lambda path: path == written.main)
            if taken := [path.name for path in files if (self.folder / path.name).exists()]:
                raise LightmigrateError(f"there is a file {self.folder / taken[0]} already: give another name")
            for path in files:
                rename(path, self.folder / path.name)
            home.sweep()
        return self._file_collection(address)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> BuildingVersion:
        """Make the folder of an empty version. Writes.

        Raises:
            LightmigrateError: the version exists already, or its files cannot have the dimension.
            LocationError: the folder is read-only, or the file a link.
            RefusedError: its index stores vectors inexactly, and the caller does not allow that.
            DiskSpaceError: the disk lacks space.
        """
        assert isinstance(source, FileCollection)  # noqa: S101  # its own kind only
        home = source.home
        folder = home.version(Role.BUILDING, key)
        self._require_possible(source, dimension)
        present = source.metric()
        with home.locked():
            if folder.exists():
                raise LightmigrateError(f"{source.address} has a version {key} already: delete it, or give another key")
            part = home.scratch()
            write_version(
                part,
                {
                    "id": new_id(),
                    "dimension": dimension,
                    "distance": distance or present,
                    "changes_distance": distance not in (None, present),
                    "like": None if source.place == home.live else source.place.folder.name,
                },
            )
            rename(part, folder)
        address = Address(f"{source.address.name.rpartition(_MARK)[0] or source.address.name}{_MARK}{folder.name}")
        return BuildingVersion(home, folder, address, self.options, self._snapshots)

    def _require_possible(self, source: FileCollection, dimension: int) -> None:
        table, live = source.snapshot().table, source.home.live
        links = [name for name in (live.main.name, *live.beside()) if (live.folder / name).is_symlink()]
        if links:
            target = (live.folder / links[0]).resolve()
            raise LocationError(f"{live.folder / links[0]} is a symbolic link: give the file itself, {target}")
        require_replaceable(live.main)
        if (reason := live.format.refuse(table, dimension, self.options)) is not None:
            raise RefusedError(f"{source.address}: {reason.replace('PATH', quote(str(live.main)))}")
        count = len(table.ids)
        kept = sum((live.folder / name).stat().st_size for name in live.beside())
        needed = 2 * (4 * count * dimension + kept) + live.main.stat().st_size
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise DiskSpaceError(
                f"not enough disk: {needed / 2**20:,.0f} MiB are needed beside {live.main}, {free / 2**20:,.0f} MiB "
                "are free; make room or move the files to a larger disk",
                needed_bytes=needed,
                free_bytes=free,
            )

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """Exchange the names of the files that differ. Writes. `settle` is not called: files cannot hold writers."""
        assert isinstance(incoming, BuildingVersion)  # noqa: S101  # its own kind only
        assert isinstance(live, FileCollection)  # noqa: S101
        incoming.written()
        return self._exchange(live, incoming.folder, key, incoming.copied_from)

    def _exchange(self, live: FileCollection, incoming: Path, key: str, copied_from: Stamp | None = None) -> int:
        """Exchange files that are as they were when they were last read, and when others were copied from them."""
        home = live.home
        require_replaceable(home.live.main)
        with home.locked():
            DatabaseChangedError.require_same(live.address, live.opened_id, home.live_id())
            if home.version(Role.BACKUP, key).exists():
                raise LightmigrateError(f"{live.address} has a backup {key} already: give another key")
            read = live.last_read or self._snapshots.last_read(live.place)
            put_in_place(home, incoming, key, self.options, [stamp for stamp in (read, copied_from) if stamp])
            self._snapshots.forget(live.place)
        return 0

    def restore(self, backup: Version, key: str) -> int:
        """Put the files of a backup back in place. Writes."""
        live, kept = self._file_collection(backup.own), self.collection(backup.address)
        return self._exchange(live, kept.place.folder, key)

    def delete(self, address: Address) -> None:
        """Delete a version, or the files of a collection. Writes."""
        own, mark, _ = address.name.rpartition(_MARK)
        home = self._home(own if mark else address.name)
        collection = self.collection(address)
        with home.locked():
            if mark:
                trash = home.scratch()
                rename(collection.place.folder, trash / "version")
                home.sweep()
                return
            for name in (home.live.main.name, *home.live.beside()):
                delete(home.live.folder / name)
            delete_folder(home.folder)

    def recover(self) -> str | None:
        """Finish an exchange that a crash interrupted, and delete what it left. Writes.

        Returns:
            What was done, in a sentence; `None` when there was nothing that anybody could have seen.
        """
        done = [outcome for home in self._with_home() if (outcome := self._recovered(home)) is not None]
        return done[0] if done else None

    def _recovered(self, home: Home) -> str | None:
        with home.locked():
            return recover(home)

    def interrupted_exchange(self) -> bool:
        """Whether there is an exchange of several files that `recover` would finish; only reads."""
        return any(home.journal() for home in self._with_home())

    def _with_home(self) -> Iterator[Home]:
        for place in self._places().values():
            home = Home(place)
            if home.folder.is_dir():
                yield home
