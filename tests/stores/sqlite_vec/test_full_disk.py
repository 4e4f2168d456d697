"""A file that cannot grow: the message says in which state it is, and the same migration goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.errors import FailedError
from lightmigrate.stores.sqlite_vec.store import SqliteVecStore
from tests.databases import make_projection
from tests.stores.sqlite_vec.application import everything_else, make_application
from tests.stores.sqlite_vec.test_application import NOTES, content

_GOES_ON = "; every collection is whole, old or new: run the same migration again, it resumes where it stopped"


@pytest.mark.parametrize("pages", [0, 40], ids=["before anything is built", "while it is built"])
def test_a_full_disk_is_told_with_the_way_on(tmp_path: Path, pages: int) -> None:
    path = tmp_path / "app.sqlite"
    vectors = make_application(path, 200)
    before = everything_else(path)
    with SqliteVecStore(path) as store:
        ((size,),) = store.session.rows("PRAGMA page_count")
        store.session.execute(f"PRAGMA max_page_count = {size + pages}")
        with pytest.raises(FailedError, match=r"^SQLite: ") as failed:
            Migrator(store).migrate_collection(str(NOTES), make_projection())
    assert str(failed.value).endswith(_GOES_ON)
    assert content(path).vectors.tobytes() == vectors.tobytes()
    assert everything_else(path) == before
    assert Migrator(path).migrate_collection(str(NOTES), make_projection()).n_migrated == 200
