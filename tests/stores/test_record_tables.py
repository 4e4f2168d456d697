"""Tables of a whole collection outside of memory: what a dictionary would say, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores import record_tables
from lightmigrate.stores.record_tables import RecordTables

# any text can be an id: with NUL, empty, of half a character
IDS = st.lists(st.text(st.characters(), max_size=2), max_size=8, unique=True)


class AsDictionaries(RuleBasedStateMachine):
    """Two tables of one file, and a round through the first of them."""

    def __init__(self) -> None:
        super().__init__()
        tables = RecordTables()
        self.tables = [tables.table(), tables.table()]
        self.known: list[dict[str, bytes]] = [{}, {}]
        self.round = self.tables[0].round()
        self.missed: set[str] = set()

    @rule(which=st.integers(0, 1), ids=IDS, value=st.binary(max_size=3))
    def put(self, which: int, ids: list[str], value: bytes) -> None:
        self.tables[which].put(dict.fromkeys(ids, value))
        self.known[which].update(dict.fromkeys(ids, value))

    @rule(which=st.integers(0, 1), ids=IDS)
    def remove(self, which: int, ids: list[str]) -> None:
        self.tables[which].remove(ids)
        for record in ids:
            self.known[which].pop(record, None)
        if which == 0:
            self.missed.difference_update(ids)

    @rule(which=st.integers(0, 1), ids=IDS)
    def get(self, which: int, ids: list[str]) -> None:
        assert self.tables[which].get(ids) == {r: self.known[which][r] for r in ids if r in self.known[which]}

    @rule()
    def begin(self) -> None:
        self.round, self.missed = self.tables[0].round(), set(self.known[0])

    @rule(ids=IDS)
    def meet(self, ids: list[str]) -> None:
        assert self.round.meet(ids) == {r: self.known[0][r] for r in ids if r in self.known[0]}
        self.missed.difference_update(ids)

    @rule(ids=IDS)
    def meet_new(self, ids: list[str]) -> None:
        assert self.round.newly_met(ids) == self.missed.intersection(ids)
        self.missed.difference_update(ids)

    @rule(size=st.integers(1, 4))
    def miss(self, size: int) -> None:
        pages = list(self.round.missed(size))
        assert all(0 < len(page) <= size for page in pages)
        assert sorted(record for page in pages for record in page) == sorted(self.missed)

    @rule(which=st.integers(0, 1))
    def clear(self, which: int) -> None:
        self.tables[which].clear()
        self.known[which].clear()
        if which == 0:
            self.missed.clear()

    @invariant()
    def as_many(self) -> None:
        assert [len(table) for table in self.tables] == [len(known) for known in self.known]


TestAsDictionaries = AsDictionaries.TestCase
TestAsDictionaries.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(ids=IDS, size=st.integers(1, 4), start=st.integers(0, 9))
def test_pages_hold_every_record_once_with_its_number(ids: list[str], size: int, start: int) -> None:
    table = RecordTables().table()
    table.put({record: record[:1].encode("utf-8", "surrogatepass") for record in ids})
    numbers = dict(zip(ids, range(len(ids)), strict=True))
    in_order = sorted(ids, key=record_tables.as_key)
    assert table.numbers(ids) == numbers
    assert [row for page in table.pages(size) for row in page] == [(record, numbers[record]) for record in in_order]
    values = [value for page in table.values(size) for value in page]
    assert values == [record[:1].encode("utf-8", "surrogatepass") for record in in_order]
    missed = [record for page in table.round(start).missed(size) for record in page]
    assert missed == [record for record in in_order if numbers[record] >= start]


def fill(table: record_tables.RecordTable, count: int) -> None:
    for start in range(0, count, 1000):
        table.put({f"record-{number}": b"x" * 32 for number in range(start, start + 1000)})


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_more_than_the_cache_goes_to_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_tables, "CACHE_KIB", 256)
    before, tables = open_files(), RecordTables()
    table = tables.table()
    fill(table, 1000)
    assert open_files() == before
    fill(table, 10_000)
    (file,) = open_files() - before
    assert file.endswith("(deleted)")
    assert len(table) == 10_000
    assert len(table.get([f"record-{number}" for number in range(0, 12_000, 7)])) == 1429
    del table, tables
    assert open_files() == before


def open_files() -> set[str]:
    """The temporary files of SQLite that this process has open."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            found.add(str(file.readlink()))
    return {file for file in found if "etilqs" in file}


def test_a_process_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import itertools
        from lightmigrate.stores import record_tables
        record_tables.CACHE_KIB = 64
        table = record_tables.RecordTables().table()
        for start in itertools.count(0, 1000):
            table.put({f"record-{number}": b"x" * 32 for number in range(start, start + 1000)})
            print(start, flush=True)
        """
    )
    environment = os.environ | {name: str(tmp_path) for name in ("SQLITE_TMPDIR", "TMPDIR", "TEMP", "TMP")}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 20_000:
            break
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate()
    assert process.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_tables, "CACHE_KIB", 64)
    tables = RecordTables()
    with tables.using() as connection:
        connection.execute("SELECT 1")
    tables._connection.execute("PRAGMA max_page_count = 50")  # SQLite then says what it says of a full disk
    with pytest.raises(LightmigrateError, match="TMPDIR"):
        fill(tables.table(), 10_000)
