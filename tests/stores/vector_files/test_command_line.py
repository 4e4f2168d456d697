"""Every command on files of vectors, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate.cli.app import main
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 120


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command printed on stdout; its exit code is 0."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    return printed.out


def test_a_parquet_file_is_migrated_verified_put_back_and_cleaned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, projection = tmp_path / "vectors.parquet", tmp_path / "projection.npz"
    make_projection().save(projection)
    columns = {
        "doc": [f"d{row}" for row in range(ROWS)],
        "vec": make_vectors(ROWS).tolist(),
        "body": [f"text {row}" for row in range(ROWS)],
    }
    pq.write_table(pa.table(columns), path)
    before, database = path.read_bytes(), f"file://{path}?id=doc&text=body"
    (found,) = json.loads(run(capsys, "doctor", database, "--json"))["collections"]
    assert (found["name"], found["count"], found["dimension"]) == ("vectors", ROWS, OLD_DIM)
    run(capsys, "plan", database, "-p", str(projection))
    run(capsys, "migrate", database, "-p", str(projection), "--yes", "--json")
    new = pq.read_table(path)
    assert {len(vector) for vector in new["vec"].to_pylist()} == {NEW_DIM}
    assert new["body"].to_pylist() == columns["body"]
    (check,) = json.loads(run(capsys, "verify", database, "--json"))
    assert (check["contents_equal"], check["vectors_equal"]) == (True, True)
    run(capsys, "status", database, "--json")
    run(capsys, "rollback", database, "--yes", "--json")
    assert path.read_bytes() == before
    run(capsys, "clean", database, "--yes", "--json")
    assert not list(tmp_path.glob(".lightmigrate-files/*/old-*"))
