"""A store of another package: small, and every command works on a database of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.cli.app import main
from lightmigrate.stores.base import Address, Page
from tests.contract.outside import EXAMPLE, ToyMaker
from tests.databases import make_vectors


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def call(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out + err

    return call


def test_it_takes_less_than_150_lines() -> None:
    sources = [path.read_text() for path in (EXAMPLE / "toy_store").glob("*.py")]
    assert 0 < sum(bool(line.strip()) for source in sources for line in source.splitlines()) < 150


def test_every_command_works_on_it(tmp_path: Path, projection_file: Path, run: Any) -> None:
    maker = ToyMaker(tmp_path)
    old = make_vectors(30)
    texts = [f"text {number}" for number in range(30)]
    ids = [f"id{number}" for number in range(30)]
    maker.client().collection(maker.create("memory", old.shape[1])).add(Page(ids, old, texts, [{"n": 1}] * 30))
    code, said = run("doctor", maker.locator, "--expected-dim", 24)
    assert code == 0
    assert "16 ≠ 24" in said
    assert run("plan", maker.locator, "-p", projection_file)[0] == 0
    code, said = run("migrate", maker.locator, "-p", projection_file, "--yes", "--json")
    assert code == 0, said
    assert run("verify", maker.locator)[0] == 0
    assert run("status", maker.locator)[0] == 0
    collection = maker.client().collection(Address("memory"))
    assert collection.facts().dimension == 24
    assert list(collection.records(ids).texts) == texts
    assert run("rollback", maker.locator, "--yes")[0] == 0
    assert np.array_equal(collection.records(ids).vectors, old)
    code, said = run("clean", maker.locator, "--yes")
    assert code == 0, said
    assert maker.client().versions() == []
    assert json.loads(Path(maker.locator).read_text()).keys() == {"", "memory"}
