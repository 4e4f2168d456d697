"""The provenance file: what is stored of rows and projections is read back, whatever the order of the writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import LightmigrateError
from lightmigrate.estimators.fit import fit
from lightmigrate.projection.projection import Projection
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance, Row, VectorOrigin, old_vectors_of
from lightmigrate.stores.base import Address

NOTES, LETTERS = Address("notes"), Address("letters", "team", "db")
FACTS: dict[str, Any] = {"model": "new", "provider": {}, "dimension": 3, "reads_texts": True, "expected": []}


def projection(seed: int) -> Projection:
    rng = np.random.default_rng(seed)
    return fit(rng.normal(size=(20, 4)), rng.normal(size=(20, 3)), method="ridge")


def rows(count: int = 6) -> list[Row]:
    """Two rows of each origin, with hostile ids."""
    ids = ["", "a'; DROP TABLE rows; --", "ü", "\n", "0", "%"]
    return [
        Row(ids[row], VectorOrigin(row % 3), np.full(4, row, np.float32), bytes([row]), fitted=row % 2 == 0)
        for row in range(count)
    ]


def as_values(found: Row) -> tuple[object, ...]:
    return (found.id, found.origin, found.old_vector.tolist(), found.fingerprints, found.fitted)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "provenance.sqlite3"
    with Provenance(path) as provenance:
        provenance.start(NOTES, FACTS, projection(0))
        provenance.add(NOTES, rows())
    return path


def test_rows_are_read_back_as_they_were_stored(file: Path) -> None:
    with Provenance(file) as provenance:
        assert sorted(map(as_values, provenance.rows(NOTES))) == sorted(map(as_values, rows()))
        by_id = provenance.rows_by_id(NOTES, ["0", "unknown", "ü"])
        assert {row_id: as_values(row) for row_id, row in by_id.items()} == {
            row.id: as_values(row) for row in rows() if row.id in ("0", "ü")
        }
        assert provenance.counts(NOTES) == dict.fromkeys(VectorOrigin, 2)
        assert list(provenance.ids(NOTES, *NOT_EXACT)) == sorted(row.id for row in rows() if row.origin in NOT_EXACT)
        np.testing.assert_array_equal(old_vectors_of(list(by_id.values()))[:, 0], [4, 2])


def test_exact_rows_take_the_fingerprint_of_their_new_vector(file: Path) -> None:
    with Provenance(file) as provenance:
        provenance.set_fingerprints(NOTES, [""], [b"both"])
        assert provenance.rows_by_id(NOTES, [""])[""].origin is VectorOrigin.PROJECTED
        provenance.mark_exact(NOTES, ["", "%"], [b"new", b"kept"])
        exact = {row.id: row.fingerprints for row in provenance.rows(NOTES, VectorOrigin.EXACT)}
        assert (exact[""], exact["%"]) == (b"new", b"kept")
        provenance.forget(NOTES, ["", "unknown"])
        assert provenance.rows_by_id(NOTES, [""]) == {}


def test_the_newest_projection_comes_first_and_the_older_ones_are_dropped(file: Path) -> None:
    vectors = np.ones((1, 4), np.float32)
    with Provenance(file) as provenance:
        provenance.add_projection(NOTES, projection(1), ["ü"])
        newest, oldest = provenance.projections(NOTES)
        np.testing.assert_array_equal(newest.apply(vectors), projection(1).apply(vectors))
        np.testing.assert_array_equal(oldest.apply(vectors), projection(0).apply(vectors))
        assert provenance.rows_by_id(NOTES, ["ü"])["ü"].fitted
        provenance.drop_older_projections(NOTES)
        assert len(provenance.projections(NOTES)) == 1


def test_another_file_replaces_what_is_stored_of_its_collections_only(file: Path, tmp_path: Path) -> None:
    with Provenance(tmp_path / "other.sqlite3") as other:
        other.start(LETTERS, FACTS, projection(2))
        other.start(NOTES, {**FACTS, "model": "newer"}, projection(3))
        other.add(NOTES, rows(1))
        other.take_over(file)
        assert other.addresses() == [LETTERS, NOTES]
        assert other.facts(NOTES)["model"] == "new"
        assert len(list(other.rows(NOTES))) == 6
        assert list(other.rows(LETTERS)) == []


def test_starting_again_drops_the_earlier_migration(file: Path) -> None:
    with Provenance(file) as provenance:
        provenance.add_projection(NOTES, projection(1), [])
        provenance.start(NOTES, {**FACTS, "model": "newest"}, projection(2))
        assert (list(provenance.rows(NOTES)), len(provenance.projections(NOTES))) == ([], 1)
        provenance.note(NOTES, {"more": 1})
        assert (provenance.facts(NOTES)["model"], provenance.facts(NOTES)["more"]) == ("newest", 1)


def test_a_collection_without_provenance_is_named_with_the_way_out(file: Path, tmp_path: Path) -> None:
    with Provenance(file) as provenance:
        message = r"holds nothing about the collection team/db/letters: .*lightmigrate plan"
        with pytest.raises(LightmigrateError, match=message):
            list(provenance.ids(LETTERS, *VectorOrigin))
    with pytest.raises(LightmigrateError, match="lightmigrate plan DATABASE --target-model"):
        Provenance.existing(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_collections_of_one_model_share_a_file_of_their_projection(file: Path, tmp_path: Path) -> None:
    shared = projection(3)
    with Provenance(file) as provenance:
        for number in range(3):
            provenance.start(Address(f"c{number}"), FACTS, shared)
    with Provenance(tmp_path / "other.sqlite3") as other:
        other.take_over(file)
        assert len(other.addresses()) == 4
        assert sorted(map(as_values, other.rows(NOTES))) == sorted(map(as_values, rows()))
        ((files,),) = other._select("SELECT count(*) FROM files")
        assert files == 2
        np.testing.assert_array_equal(
            other.projections(Address("c1"))[0].apply(np.ones((1, 4))), shared.apply(np.ones((1, 4)))
        )
        other.start(NOTES, FACTS, shared)
        ((files,),) = other._select("SELECT count(*) FROM files")
        assert files == 1, "nothing refers to the other one any more"


def test_a_file_of_the_format_before_is_brought_up_to_date(file: Path) -> None:
    with sqlite3.connect(file) as connection:  # as format 2 held it: a file for each collection
        connection.execute("UPDATE projections SET file = (SELECT content FROM files WHERE sha256 = file)")
        connection.execute("DROP TABLE files")
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    for _ in range(2):
        with Provenance(file) as provenance:
            expected = projection(0).apply(np.ones((1, 4)))
            np.testing.assert_array_equal(provenance.projections(NOTES)[0].apply(np.ones((1, 4))), expected)
            assert len(list(provenance.rows(NOTES))) == 6
