"""A Chroma folder that only this process has open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.folder import is_chroma_folder, read_catalog
from lightmigrate.stores.chroma.from_files import ChromaRecordsInFiles
from lightmigrate.stores.chroma.remembered import Remembered, RememberedCollection
from lightmigrate.stores.chroma.store import ChromaStore
from lightmigrate.stores.chroma.stored import StoredRecords


class ChromaFolderStore(ChromaStore):
    """All databases of a folder, opened with Chroma's own embedded client. See `stores.base.Store`.

    Opening writes to the folder (Chroma upgrades old folders), so the migration opens only copies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients: dict[tuple[str, str], Any] = {}
        self._removed: dict[Address, list[str]] = {}
        self._remembered = Remembered()
        # Read before Chroma opens it: a second connection of this process would drop Chroma's locks when it closes.
        catalog = read_catalog(folder) if is_chroma_folder(folder) else []
        self._places = list(dict.fromkeys(Address("", facts.tenant, facts.database) for facts in catalog))

    def close(self) -> None:
        """Release every file, and forget what was read: another database may be in the folder when it opens again."""
        while self._clients:
            self._clients.popitem()[1].close()
        self._remembered = Remembered()

    @property
    def folder(self) -> Path | None:
        """The folder."""
        return self._folder

    def __str__(self) -> str:
        return str(self._folder)

    def collection(self, address: Address) -> ChromaCollection:
        """Open a collection; the same object until anything is written. See `stores.base.Store`."""
        return self._remembered.opened(address, super().collection)

    def records_in_files(self, address: Address) -> ChromaRecordsInFiles | None:
        """All records of a collection without Chroma; see `stores.files.ReadsFiles`. Only reads."""
        collection = self.collection(address)
        return self._remembered.in_files(
            collection.id, lambda: ChromaRecordsInFiles.of(collection, lambda: StoredRecords.of(self._folder, address))
        )

    def _opened(self, client: Any, handle: Any, address: Address) -> RememberedCollection:
        removed = self._removed.setdefault(address, [])
        return RememberedCollection(client, handle, removed, self._remembered, self._folder)

    def delete(self, address: Address) -> None:
        """Delete a collection and its records. Chroma leaves the index folder on disk. Writes."""
        with self._remembered.writing(self.collection(address).id):
            self._client(address).delete_collection(address.name)

    def _databases(self) -> list[Address]:
        return self._places or [Address("")]  # the folder was empty when it was opened

    def _client(self, address: Address) -> Any:
        key = (address.tenant, address.database)
        if key not in self._clients:
            self._clients[key] = open_client(self._folder, address.tenant, address.database)
        return self._clients[key]
