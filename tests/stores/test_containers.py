"""Folders and files that containers share with the host and with each other: refused while one of them uses them."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate import Migrator, Projection
from lightmigrate.errors import LocationError
from lightmigrate.migration.aside.exchange import BesideExchange
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.scale.migration import FolderMigrator
from lightmigrate.stores.mounts import mounted_at
from tests.crash.places import everything, is_new
from tests.databases import contents, files_below, make_vectors
from tests.namespaces import container, require_namespaces
from tests.processes import SERVES, TIMEOUT, close_input
from tests.scale.here import Here

# Tries to migrate what another container uses, and does it when it is told that the other one has ended.
_MIGRATES = """
import sys
from pathlib import Path
from lightmigrate import CollectionJob, Migrator, Projection
from lightmigrate.errors import DatabaseInUseError

folder, projection = Path(sys.argv[1]), Projection.load(sys.argv[2])
unseen = {0: "in another container, or of another user"}
assert Migrator(folder).diagnose().used_by == unseen, Migrator(folder).diagnose().used_by
try:
    Migrator(folder).migrate_collection("thought_nodes", projection)
    raise SystemExit("it should be refused")
except DatabaseInUseError as error:
    assert "open in a process that cannot be seen from here, in another container" in str(error), error
print("open", flush=True)
sys.stdin.read()
assert Migrator(folder).diagnose().used_by == {}
Migrator(folder).migrate([CollectionJob(name, projection) for name in ("thought_nodes", "notes")])
"""


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    require_namespaces()


def test_a_folder_that_a_volume_shares_is_migrated_when_no_container_uses_it(
    database: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    """Of two containers one serves it, and the other migrates it; neither sees the other, and the host sees both."""
    old = contents(database)
    places = [tmp_path / "data of the server", tmp_path / "data"]
    for place in places:
        place.mkdir()
    serving, migrating = (
        [sys.executable, "-c", code, str(place), str(projection_file)]
        for code, place in zip((SERVES, _MIGRATES), places, strict=True)
    )
    volumes = [{database: place} for place in places]
    own = {"XDG_CACHE_HOME": str(tmp_path / "cache of another container")}
    with container(volumes[0], serving) as server:
        before = everything(database)
        with container(volumes[1], migrating, own) as other:
            with pytest.raises(LocationError, match=f"is mounted at {places[0]} in process"):
                Migrator(database).migrate_collection("thought_nodes", projection)
            assert everything(database) == before
            close_input(server)
            assert server.wait(TIMEOUT) == 0
            before = everything(database)
            with pytest.raises(LocationError, match=rf"is mounted at {places[1]} in process \d+ \(.*run this there"):
                Migrator(database).migrate_collection("thought_nodes", projection)
            assert everything(database) == before
            close_input(other)
    assert is_new(contents(database), old, projection)
    Migrator(database).rollback()
    assert everything(database)["."] == before["."]


def test_a_folder_is_not_renamed_under_a_container_that_only_has_it_mounted(
    database: Path, projection: Projection, tmp_path: Path
) -> None:
    """It would go on with what is the backup by then, and write to it."""
    folder = database.rename(tmp_path / "a folder\\with every\tkind of name é")
    place = tmp_path / "where a container\nhas it"
    place.mkdir()
    before = everything(tmp_path)
    with container({folder: place}) as other:
        ((pid, where),) = mounted_at(folder)
        assert where == place
        assert f"is mounted at {place} in process {pid} " in str(Migrator(folder).diagnose().exchange_notice)
        with pytest.raises(LocationError, match=rf"in process {pid} .*in another container or sandbox, which would"):
            Migrator(folder).migrate_collection("thought_nodes", projection)
        assert everything(tmp_path) == before
        assert other.poll() is None
    Migrator(folder).migrate_collection("thought_nodes", projection)
    with container({folder: place}):
        with pytest.raises(LocationError, match="in another container"):
            Migrator(folder).rollback()
        Migrator(folder).clean()
    assert list(mounted_at(folder)) == []
    assert Migrator(folder).exchange_notice is None


def test_a_container_that_is_started_during_the_exchange_has_it_taken_back(
    database: Path, projection: Projection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    before, exchange = everything(database), BesideExchange.put_in_place
    with contextlib.ExitStack() as containers:

        def put_in_place(self: BesideExchange, incoming: Path, outgoing: Path) -> None:
            monkeypatch.undo()
            containers.enter_context(container({database: place}))
            exchange(self, incoming, outgoing)

        monkeypatch.setattr(BesideExchange, "put_in_place", put_in_place)
        with pytest.raises(LocationError, match=r"during the exchange, which was taken back: .* is mounted at"):
            Migrator(database).migrate_collection("thought_nodes", projection)
        assert everything(database) == before
    Migrator(database).migrate_collection("thought_nodes", projection)


_MIGRATES_A_FILE = """
import sys
from pathlib import Path
from lightmigrate import Migrator, Projection
from lightmigrate.errors import LocationError

print("open", flush=True)
try:
    Migrator(Path(sys.argv[1])).migrate_collection("vectors", Projection.load(sys.argv[2]))
    raise SystemExit("it should be refused")
except LocationError as error:
    assert "is mounted by itself" in str(error), error
"""


def test_nor_is_a_folder_of_files_or_a_file(projection: Projection, projection_file: Path, tmp_path: Path) -> None:
    vectors = make_vectors(60)
    parts, array = tmp_path / "parts", tmp_path / "arrays" / "vectors.npy"
    for folder in (parts, array.parent):
        folder.mkdir()
    np.save(array, vectors)
    for number in range(2):
        pq.write_table(pa.table({"embedding": list(vectors), "id": range(60)}), parts / f"part-{number}.parquet")
    before = {path: path.read_bytes() for path in files_below(tmp_path)}
    there = {parts: tmp_path / "there", array: tmp_path / "its" / "vectors.npy"}
    there[parts].mkdir()
    there[array].parent.mkdir()
    there[array].touch()
    of_folder, of_file = FolderMigrator(str(parts), Here()), Migrator(array)

    in_it = [sys.executable, "-c", _MIGRATES_A_FILE, str(there[array]), str(projection_file)]
    with container(there, in_it):
        with pytest.raises(LocationError, match=r"parts is mounted at .*: stop it first$"):
            of_folder.plan(projection, MigrationOptions())
        with pytest.raises(LocationError, match=r"npy is mounted at .*: stop it first$"):
            of_file.migrate_collection("vectors", projection)
        assert {path: path.read_bytes() for path in before} == before
    of_folder.migrate(projection_file, MigrationOptions(force=True))
    of_file.migrate_collection("vectors", projection)
    with container(there):
        for migrator in (of_folder, of_file):
            with pytest.raises(LocationError, match="is mounted at"):
                migrator.rollback()
    for migrator in (of_folder, of_file):
        migrator.rollback()
    assert {path: path.read_bytes() for path in before} == before
