"""Several collections of an open database go back: one that cannot is named, with the command for the rest."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Model
from lightmigrate.errors import AnotherRunError, DatabaseChangedError, FailedError
from lightmigrate.migration.lock import DatabaseLock
from lightmigrate.migration.shadow.way_back import WayBack
from tests.databases import make_projection
from tests.migration.shadow.rows import N, handle, names, read


def migrated(client: Any) -> ChromaMigrator:
    migrator, small = ChromaMigrator(client), make_projection(1, Model("a", 8), Model("b", 12))
    migrator.migrate([CollectionJob("memory", make_projection()), CollectionJob("bystander", small)])
    return migrator


@pytest.mark.parametrize("how", ["the same command", "the command that is named"])
def test_what_is_left_after_one_of_several_failed_goes_back_by_the_same_command_or_the_one_that_is_named(
    client: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    before = {name: read(client, name) for name in ("memory", "bystander")}
    migrator, gone, go = migrated(client), list[str](), WayBack.go

    def fails_at_the_second(self: WayBack, stamp: str) -> bool:
        if gone:
            raise DatabaseChangedError("somebody has replaced it")
        gone.append(self.version.own.name)
        return go(self, stamp)

    with monkeypatch.context() as patched:
        patched.setattr(WayBack, "go", fails_at_the_second)
        with pytest.raises(FailedError, match="somebody has replaced it; 1 of 2 collections are back") as failed:
            migrator.rollback()
    *_, backup = shlex.split(str(failed.value))
    assert "the same command goes on" in str(failed.value)
    migrator.rollback(None if how == "the same command" else backup)
    for name, rows in before.items():
        assert all((read(client, name)[one][3] == rows[one][3]).all() for one in rows), name
    migrator.rollback()
    assert {facts.dimension for facts in migrator.collections()} == {12, 24}


def test_a_rollback_that_stopped_half_way_does_not_go_on_after_another_migration(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrator, go = migrated(client), WayBack.go

    def fails(self: WayBack, stamp: str) -> bool:
        if self.version.own.name == "bystander":
            raise DatabaseChangedError("somebody has replaced it")
        return go(self, stamp)

    with monkeypatch.context() as patched:
        patched.setattr(WayBack, "go", fails)
        with pytest.raises(FailedError, match="1 of 2 collections are back"):
            migrator.rollback()
    migrator.migrate([CollectionJob("memory", make_projection())])
    migrator.rollback()
    assert {facts.name: facts.dimension for facts in migrator.collections()}["bystander"] == 12


@pytest.mark.parametrize("method", ["rollback", "clean"])
def test_nothing_goes_back_and_no_backup_is_deleted_by_one_who_has_lost_the_lock(
    client: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def lost(self: DatabaseLock) -> None:
        raise AnotherRunError("another run took it over")

    migrator = migrated(client)
    there = names(client)
    monkeypatch.setattr(DatabaseLock, "require", lost)
    with pytest.raises(AnotherRunError, match="took it over"):
        getattr(migrator, method)()
    assert names(client) == there
    assert handle(client).count() == N
