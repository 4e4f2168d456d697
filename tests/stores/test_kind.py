"""How a database is opened from a path, a URL or an object, by what the kinds of stores declare."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.kind import StoreKind
from lightmigrate.stores.memory import MemoryStore
from lightmigrate.stores.open import open_database, open_folder, open_path, served

MODULE = '''
from pathlib import Path

from lightmigrate.stores.kind import StoreKind
from lightmigrate.stores.memory import MemoryStore

class Client:
    """A client of an application."""

def open_anything(argument):
    return MemoryStore()

def holds_it(path):
    return (path / "outside.db").read_text() == "it"

def open_nothing(argument):
    return 1

KIND = StoreKind(
    "outside", schemes=("outside",), open_url="outside_store:open_anything", marks=("outside.db", "*.outside"),
    open_path="outside_store:open_anything", clients={"outside_store": "outside_store:open_anything"},
)
CAREFUL = StoreKind(
    "careful", schemes=("careful",), open_url="outside_store:open_nothing", marks=("*.db",),
    recognises="outside_store:holds_it", open_path="outside_store:open_nothing",
)
'''


def install(folder: Path, *entries: str) -> None:
    """A package with entry points, as an installer leaves it."""
    (folder / "outside_store.py").write_text(MODULE)
    about = folder / "outside_store-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-store\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lightmigrate.stores]\n" + "\n".join(entries) + "\n")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder; a package of another store is installed."""
    (tmp_path / "packages").mkdir()
    install(tmp_path / "packages", "outside = outside_store:KIND", "careful = outside_store:CAREFUL")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    return tmp_path


def test_a_store_of_another_package_is_found_by_scheme_path_and_client(outside: Path) -> None:
    assert isinstance(open_database("outside://host/name"), MemoryStore)
    (outside / "folder").mkdir()
    (outside / "folder" / "outside.db").write_text("")
    assert isinstance(open_database(outside / "folder"), MemoryStore)
    assert isinstance(open_database(str(outside / "folder")), MemoryStore)
    (outside / "some.outside").write_text("")
    assert isinstance(open_path(outside / "some.outside"), MemoryStore)
    from outside_store import Client  # type: ignore[import-not-found]  # the test writes it

    class OfTheApplication(Client):  # type: ignore[misc]  # the test writes it
        """As applications derive from a client."""

    assert isinstance(open_database(OfTheApplication()), MemoryStore)


def test_a_path_is_looked_at_where_marks_do_not_suffice(outside: Path) -> None:
    (outside / "folder").mkdir()
    (outside / "folder" / "outside.db").write_text("it")
    assert isinstance(open_path(outside / "folder"), MemoryStore), "the first that recognises it"
    (outside / "folder" / "outside.db").rename(outside / "folder" / "another.db")
    (outside / "folder" / "outside.dbx").write_text("it")
    with pytest.raises(FileNotFoundError):
        open_path(outside / "folder")


def test_what_opens_no_database_is_named(outside: Path) -> None:
    with pytest.raises(
        DatabaseError, match="store careful returned a int, which is neither a Store nor a FileDatabase"
    ):
        open_database("careful://host")


def test_a_store_that_is_no_files_is_no_folder_of_files(outside: Path) -> None:
    (outside / "some.outside").write_text("")
    with pytest.raises(DatabaseError, match="give an open client of it"):
        open_folder(outside / "some.outside")


def test_the_stores_of_this_package_come_first(outside: Path) -> None:
    (outside / "outside.db").write_text("")
    (outside / "chroma.sqlite3").write_text("")
    assert isinstance(open_path(outside), ChromaFiles)


def test_a_path_that_no_store_knows_is_reported_by_the_first(outside: Path) -> None:
    database = open_path(outside / "nothing here")
    assert isinstance(database, ChromaFiles)
    with pytest.raises(DatabaseError, match="no such folder"):
        database.require()


def test_an_unknown_scheme_lists_the_known_ones(outside: Path) -> None:
    with pytest.raises(DatabaseError, match=r"unknown:// addresses; there are: .*postgresql://.*, outside://"):
        open_database("unknown://host")


@pytest.mark.parametrize("value", ["missing_module:KIND", "outside_store:MISSING", "outside_store:Client"])
def test_a_faulty_package_leaves_the_others_alone(
    outside: Path, value: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    entries = tmp_path / "packages" / "outside_store-1.0.dist-info" / "entry_points.txt"
    entries.write_text(f"[lightmigrate.stores]\nfaulty = {value}\noutside = outside_store:KIND\n")
    with caplog.at_level(logging.WARNING):
        assert isinstance(open_database("outside://host"), MemoryStore)
    assert f"the store faulty ({value}) cannot be loaded" in caplog.text


def test_nothing_of_a_store_is_imported_to_see_that_it_is_not_served() -> None:
    kind = StoreKind("absent", served="no_such_module:served", client_packages=("no_such_package",))
    assert kind.client_opener(MemoryStore()) is None
    assert served(MemoryStore()) is not None


def test_a_file_address_is_another_way_to_write_the_path_of_whatever_is_there(database: Path, tmp_path: Path) -> None:
    for url in (f"file://{database}", f"file://localhost{database}/"):
        opened = open_database(url)
        assert isinstance(opened, ChromaFiles)
        assert opened.folder == database
    with pytest.raises(DatabaseError, match=r"holds no file of vectors that is known: \.npy"):
        open_database(f"file://{database}?vector=embedding")
    with pytest.raises(DatabaseError, match=r"holds no file of vectors that is known: \.npy"):
        open_database(f"file://{tmp_path / 'nothing'}")
    np.save(database / "vectors.npy", np.eye(4, dtype=np.float32))
    assert not isinstance(open_database(f"file://{database}"), ChromaFiles), "what it meant before"
