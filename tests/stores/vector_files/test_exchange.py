"""An exchange of files: what others write meanwhile is never lost, and a process that is killed leaves whole files."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator, Model, Projection
from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, DatabaseError, LocationError
from lightmigrate.progress import Progress
from lightmigrate.stores.base import Address, Collection, Page, Role, Store
from lightmigrate.stores.vector_files import exchange
from lightmigrate.stores.vector_files.collection import FileCollection
from lightmigrate.stores.vector_files.places import HOME
from tests.contract.crashing import kill_before
from tests.other_users import APP, DEPLOY, SHARED, as_user, give_all, needs_root, open_folder
from tests.processes import start, was_killed
from tests.stores.vector_files.moving import KEY, LATER, moved, opened, some, turned

ROWS, OLD, NEW = 40, 8, 12
STEPS = ("link", "rename", "swap", "remove")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of vectors with texts beside it."""
    np.save(tmp_path / "docs.npy", some(ROWS, OLD))
    lines = (json.dumps({"id": f"n{row}", "text": f"t{row}"}) + "\n" for row in range(ROWS))
    (tmp_path / "docs.jsonl").write_text("".join(lines))
    return tmp_path / "docs.npy"


def built(path: Path) -> tuple[Store, Collection, Collection]:
    store = opened(path)
    live = store.collection(Address("docs"))
    version = store.create_version(live, "k", NEW, None)
    for page in live.scan(100):
        version.add(page.with_vectors(turned(page.vectors, NEW)))
    return store, version, live


@pytest.mark.parametrize("how", ["rename", "in place", "texts"])
def test_what_an_application_writes_before_the_exchange_stays(path: Path, how: str) -> None:
    store, version, live = built(path)
    later = some(ROWS, OLD, seed=5)
    if how == "rename":
        np.save(path.with_name("aside.npy"), later)
        path.with_name("aside.npy").replace(path)
    elif how == "in place":
        np.save(path, later)
    else:
        text = path.with_suffix(".jsonl")
        text.write_text(text.read_text().replace("t7", "another text"))
    after = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(DatabaseChangedError, match="after it was last read"):
        store.exchange(version, live, KEY)
    assert {name: (path.parent / name).read_bytes() for name in after} == after
    assert [kept.role for kept in opened(path).versions()] == [Role.BUILDING]


@pytest.mark.parametrize("written", [False, True])
def test_texts_are_read_again_only_if_somebody_may_have_written_them(
    path: Path, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in path.parent.iterdir():
        os.utime(file, (1e9, 1e9))
    scan, again, waiting = FileCollection.scan, list[int](), [path] if written else []

    def counted(self: FileCollection, size: int, after: str | None = None, *, vectors: bool = True) -> Iterator[Page]:
        if not vectors:
            again.append(size)
        return scan(self, size, after, vectors=vectors)

    def write(event: Progress) -> None:
        if event.done == ROWS and waiting:
            waiting.clear()
            text = path.with_suffix(".jsonl")
            text.write_text(text.read_text().replace('"t7"', '"u7"'))  # of the same size

    monkeypatch.setattr(FileCollection, "scan", counted)
    projection = Projection.affine(some(OLD, NEW), some(1, NEW)[0], source=Model("a", OLD), target=Model("b", NEW))
    Migrator(path, on_progress=write).migrate_collection("docs", projection)
    assert bool(again) == written
    page = opened(path).collection(Address("docs")).records(["n7"])
    assert (page.texts[0], page.vectors.shape) == ("u7" if written else "t7", (1, NEW))


@pytest.mark.parametrize("step", STEPS[:3])
def test_what_an_application_writes_during_the_exchange_stays(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application replaces the file right before a step of the exchange."""
    store, version, live = built(path)
    later = some(ROWS, OLD, seed=5)
    original = getattr(exchange.Steps, step)
    calls = itertools.count()

    def written(*arguments: Path) -> object:
        if next(calls) == 0:
            np.save(path.with_name("aside.npy"), later)
            path.with_name("aside.npy").replace(path)
        return original(*arguments)

    monkeypatch.setattr(exchange.Steps, step, staticmethod(written))
    with pytest.raises(DatabaseChangedError):
        store.exchange(version, live, KEY)
    assert np.array_equal(np.load(path), later)
    assert opened(path).collection(Address("docs")).facts().dimension == OLD
    assert [kept.role for kept in opened(path).versions()] == [Role.BUILDING]


def test_what_an_application_writes_after_its_changes_were_counted_is_not_rolled_back(path: Path) -> None:
    store = opened(path)
    backup = moved(store, "docs", NEW)
    assert store.collection(backup.own).count() == store.collection(backup.address).count()  # as a rollback compares
    text = path.with_suffix(".jsonl")
    text.write_text(text.read_text().replace('"t7"', '"u7"'))
    after = path.read_bytes(), text.read_bytes()
    with pytest.raises(DatabaseChangedError, match="after it was last read"):
        store.restore(backup, LATER)
    assert (path.read_bytes(), text.read_bytes()) == after
    assert list(store.collection(backup.own).records(["n7"]).texts) == ["u7"]  # now it is seen
    store.restore(backup, LATER)
    assert np.load(path).tobytes() == some(ROWS, OLD).tobytes()


def test_without_an_exchange_of_names_a_rename_does(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange.Steps, "swap", staticmethod(lambda one, other: False))
    before = path.read_bytes()
    store = opened(path)
    backup = moved(store, "docs", NEW)
    assert np.load(path).shape == (ROWS, NEW)
    store.restore(backup, LATER)
    assert path.read_bytes() == before


def test_without_links_a_copy_is_the_backup(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*names: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    before = path.read_bytes()
    store = opened(path)
    backup = moved(store, "docs", NEW)
    assert np.load(path).shape == (ROWS, NEW)
    store.restore(backup, LATER)
    assert path.read_bytes() == before
    assert [kept.key for kept in store.versions()] == [LATER]


def rolled_back(path: str, step: int) -> None:
    """Puts a backup of other records back, and is killed before a step."""
    steps = itertools.count()
    for method in STEPS:
        kill_before(exchange.Steps, method, steps, step)
    store = opened(Path(path))
    (backup,) = store.versions()
    store.restore(backup, LATER)


def test_a_process_that_is_killed_while_it_exchanges_several_files_leaves_one_state_or_the_other(path: Path) -> None:
    outcomes = set()
    for step in range(1, 20):
        folder = path.parent / str(step)
        folder.mkdir()
        for name in ("docs.npy", "docs.jsonl"):
            (folder / name).write_bytes((path.parent / name).read_bytes())
        store = opened(folder / "docs.npy")
        moved(store, "docs", NEW)
        live = store.collection(Address("docs"))
        live.remove(["n3", "n5"])
        live.add(Page(["late"], some(1, NEW), ["a late text"], [None]))
        new = {name: (folder / name).read_bytes() for name in ("docs.npy", "docs.jsonl")}
        if not was_killed(start(rolled_back, str(folder / "docs.npy"), step)):
            break
        store = opened(folder / "docs.npy")
        if store.interrupted_exchange():
            with pytest.raises(CollectionNotFoundError, match="lightmigrate resume DATABASE"):
                store.collection(Address("docs")).count()
            assert "finished" in (store.recover() or "")
        else:
            assert store.recover() is None
        now = {name: (folder / name).read_bytes() for name in new}
        old = {name: (path.parent / name).read_bytes() for name in new}
        assert now in (old, new)
        outcomes.add(now == old)
        (kept,) = store.versions()
        assert kept.role is Role.BACKUP
        other = store.collection(kept.address)
        assert other.facts().dimension == (NEW if now == old else OLD)
        assert other.count() == (ROWS - 1 if now == old else ROWS)
        assert [folder.name for folder in (folder / HOME / "docs.npy").iterdir() if folder.is_dir()] == [
            f"old-{kept.key}"
        ]
    assert outcomes == {False, True}


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("live.json", {"id": "a", "next": "b", "from": "../../../outside"}),
        ("live.json", {"id": "a", "next": "b", "from": ".."}),
        ("exchange.json", {"from": "../../../outside", "moves": ["docs.npy"], "removes": []}),
        ("exchange.json", {"from": "new-k", "moves": ["../../outside"], "removes": []}),
        ("exchange.json", {"from": "new-k", "moves": [], "removes": ["kept.txt"]}),
    ],
)
def test_files_that_somebody_put_into_the_hidden_folder_reach_nothing_outside(
    path: Path, file: str, fields: dict[str, object]
) -> None:
    built(path)
    outside = path.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    for kept in (outside / "docs.npy", path.parent / "kept.txt"):
        kept.write_text("kept")
    (path.parent / HOME / "docs.npy" / file).write_text(json.dumps(fields))
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="somebody changed"):
        opened(path).recover()
    assert path.read_bytes() == before
    assert (outside / "docs.npy").read_text() == (path.parent / "kept.txt").read_text() == "kept"


def test_a_link_and_a_folder_that_cannot_be_written_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for name in ("docs.npy", "docs.jsonl"):
        (tmp_path / "links" / name).symlink_to(path.parent / name)
    with pytest.raises(LocationError, match=rf"symbolic link: give the file itself, {path.parent}"):
        moved(opened(tmp_path / "links"), "docs", NEW)
    assert opened(tmp_path / "links" / "docs.npy").folder == path.parent


def test_rights_stay(path: Path) -> None:
    path.chmod(0o640)
    store = opened(path)
    backup = moved(store, "docs", NEW)
    assert path.stat().st_mode & 0o777 == 0o640
    store.collection(Address("docs")).remove(["n3"])
    assert path.stat().st_mode & 0o777 == 0o640
    store.restore(backup, LATER)
    assert path.stat().st_mode & 0o777 == 0o640


@needs_root
def test_each_file_keeps_its_own_owner(path: Path) -> None:
    beside = path.with_suffix(".jsonl")
    os.chown(path, APP, SHARED)
    os.chown(beside, DEPLOY, SHARED)
    store = opened(path)
    moved(store, "docs", NEW)
    store.collection(Address("docs")).remove(["n3"])
    assert [(file.stat().st_uid, file.stat().st_gid) for file in (path, beside)] == [(APP, SHARED), (DEPLOY, SHARED)]


@needs_root
def test_without_root_the_group_stays_or_a_line_says_who_is_locked_out(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_folder() as home:
        file = Path(shutil.copytree(path.parent, home / "home")) / path.name
        give_all(file.parent, DEPLOY, SHARED, 0o770, 0o660)
        with as_user(DEPLOY, [SHARED]):
            moved(opened(file), "docs", NEW)
        assert (file.stat().st_gid, "chown" in caplog.text) == (SHARED, False)
        with as_user(DEPLOY):
            opened(file).collection(Address("docs")).remove(["n3"])
        assert file.stat().st_gid == DEPLOY
        assert f"as root:  chown -R {DEPLOY}:{SHARED} {file.with_suffix('.jsonl')} {file}" in caplog.text


def test_a_draft_that_a_crash_cut_off_goes_on_with_its_whole_rows(path: Path) -> None:
    built(path)
    folder = path.parent / HOME / "docs.npy" / "new-k"
    for name in ("draft.jsonl", "draft.f32"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 3 // 4 + 1])
    again = opened(path).collection(opened(path).versions()[0].address)
    kept = again.count()
    assert 0.6 * ROWS < kept < 0.8 * ROWS
    rest = opened(path).collection(Address("docs")).records([f"n{row}" for row in range(kept, ROWS)])
    again.add(rest.with_vectors(turned(rest.vectors, NEW)))
    opened(path).exchange(again, opened(path).collection(Address("docs")), KEY)
    assert np.load(path).tobytes() == turned(some(ROWS, OLD), NEW).tobytes()
