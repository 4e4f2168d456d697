"""Records at the limits of what Chroma takes, numbers of records at its batch edges, names that are not unique."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob
from lightmigrate.errors import InvalidVectorsError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.distance import measured_space
from lightmigrate.vectors import Vectors
from tests.databases import (
    OLD_DIM,
    contents,
    folder_hash,
    make_projection,
    make_vectors,
    same_metadata,
    same_rows,
)
from tests.migration.test_migrate import assert_migrated, assert_same

MEBIBYTE = 2**20
SPACES = ("l2", "cosine", "ip")
COLUMNS = ("documents", "metadatas", "uris")
PROJECTION = make_projection()

# Per collection: the columns given to `Collection.add`; those left out are all None, the vectors random.
GIVEN: dict[str, dict[str, list[Any]]] = {
    "documents": {
        "documents": [
            *(
                "",
                "x" * MEBIBYTE,
                None,
                "雪" * 300_000,
                " ",
                "\0",
                "a\0b",
                "\ufeffmark",
                "\u202eright to left",
                "e\u0301",
            ),
            *("é", "\U0010ffff", "\r\n\t", "'; DROP TABLE embeddings; --", '{"json": null}', "null", "None", ""),
        ]
    },
    "duplicates": {"documents": ["the same text"] * 12 + [""] * 6 + [None] * 6},
    "ids": {
        "ids": [
            *(
                " ",
                "x" * 1024,
                "🙂" * 256,
                "雪" * 342,
                "a\0b",
                "é",
                "e\u0301",
                "../../etc",
                "'; DROP TABLE embeddings; --",
            ),
            *("\n", "%", "0", "00", "-1", "None", "A", "a", "x" * 10_000, '"quoted"', "\\", "\ufeff", "\u202e"),
        ]
    },
    "integers": {"metadatas": [{"k": value} for value in (0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))]},
    "floats": {
        "metadatas": [
            {"k": value} for value in (0.0, 1.0, -0.5, 0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7e308, -1.7e308)
        ]
    },
    "truths": {"metadatas": [{"k": True}, {"k": False}, {"k": True, "l": False}]},
    "strings": {"metadatas": [{"k": text} for text in ("", "\0a", "雪🙂\u202e", "x" * MEBIBYTE, "1", "true", "null")]},
    "arrays": {
        "metadatas": [
            {"k": ["a", "", "雪🙂", "a"]},
            {"k": [2**63 - 1, -(2**63), 0]},
            {"k": [0.5, -1.25, 1e300, 5e-324]},
            {"k": [True, False, True]},
            {"k": [""]},
            {"k": list(range(2000))},
            {"k": [1], "l": ["1"], "m": [1.0], "n": [True], "o": 1},
        ]
    },
    "one-key-of-many-types": {
        "metadatas": [{"k": value} for value in (1, 1.0, True, "1", ["1"], [1], [1.0], [True], 0, 0.0, False)]
    },
    "keys": {
        "metadatas": [
            {" ": 1, "é🙂": 2, "a.b": 3, "1": 4, "K": 5, "k": 6, "x" * 1000: 7, "\0": 8},
            {"hnsw:space": "cosine", "hnsw:M": 3, "type": "ids", "document": "none", "uri": "none"},
            {f"key-{number}": number for number in range(300)},
            None,
        ]
    },
    "only-uris": {"uris": ["file:///a", "", "雪🙂" * 1000, "http://localhost/?a=b&c=%20"]},
    "uris-beside-others": {
        "uris": ["a", None, "c", None],
        "documents": [None, "b", "c", None],
        "metadatas": [{"k": 1}, None, None, None],
    },
    "only-vectors": {"ids": [f"bare-{row}" for row in range(15)]},
}


def columns_of(given: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """All four columns, of equal length."""
    n = len(next(iter(given.values())))
    return {"ids": [f"id-{row}" for row in range(n)], **{name: [None] * n for name in COLUMNS}, **given}


def rows_of(given: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
    """As `contents` has them."""
    columns = columns_of(given)
    return list(zip(columns["ids"], *(columns[name] for name in COLUMNS), strict=True))


def read(folder: Path, *names: str) -> dict[str, Any]:
    """Everything in some collections of the default database, by name."""
    addresses = tuple(("default_tenant", "default_database", name) for name in names)
    found = contents(folder, addresses)
    return {name: found["/".join(address)] for name, address in zip(names, addresses, strict=True)}


@dataclass(frozen=True)
class Journey:
    """What a database held before a migration, after it, and after the way back."""

    before: dict[str, Any]
    after: dict[str, Any]
    back: dict[str, Any]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """All of GIVEN, each a collection, migrated in one go."""
    folder = tmp_path_factory.mktemp("home") / "hostile"
    with open_client(folder) as client:
        for number, (name, given) in enumerate(GIVEN.items()):
            columns = columns_of(given)
            collection = client.create_collection(
                name, embedding_function=None, configuration={"hnsw": {"space": SPACES[number % 3]}}
            )
            collection.add(embeddings=make_vectors(len(columns["ids"]), seed=number), **columns)
    before, bytes_before = read(folder, *GIVEN), folder_hash(folder)
    migrator = ChromaMigrator(folder, page_size=5)
    migrator.migrate([CollectionJob(name, PROJECTION) for name in GIVEN])
    assert all(check.unchanged for check in migrator.verify())
    after = read(folder, *GIVEN)
    migrator.rollback()
    assert folder_hash(folder) == bytes_before
    return Journey(before, after, read(folder, *GIVEN))


@pytest.mark.parametrize("name", GIVEN)
def test_every_row_is_kept_as_it_was_given(name: str, journey: Journey) -> None:
    given = rows_of(GIVEN[name])
    assert same_rows(given, journey.before[name]["rows"])
    assert same_rows(given, journey.after[name]["rows"])
    vectors = make_vectors(len(given), seed=list(GIVEN).index(name))
    np.testing.assert_allclose(
        journey.after[name]["vectors"], PROJECTION.apply(vectors, [row[1] for row in given]), atol=2e-6
    )
    assert_migrated(journey.before[name], journey.after[name], PROJECTION)
    assert_same(journey.before[name], journey.back[name])


def test_arrays_keep_the_types_of_what_is_in_them(journey: Journey) -> None:
    """Plain equality takes True for 1 and 1 for 1.0."""
    for name in ("arrays", "one-key-of-many-types"):
        for given, row in zip(GIVEN[name]["metadatas"], journey.after[name]["rows"], strict=True):
            for key, value in given.items():
                if isinstance(value, list):
                    assert [type(one) for one in row[2][key]] == [type(one) for one in value]


def test_numbers_that_chroma_itself_loses_are_no_obstacle(tmp_path: Path) -> None:
    """Infinity and NaN in metadata vanish when Chroma stores them; what is left is kept."""
    folder = tmp_path / "home" / "db"
    metadatas = [{"k": math.inf, "l": 1}, {"k": math.nan, "l": 2}, {"k": -math.inf}, {"k": 2**63}, {"l": 3}]
    with open_client(folder) as client:
        client.create_collection("lossy", embedding_function=None).add(
            ids=list("abcde"), embeddings=make_vectors(5), metadatas=metadatas
        )
    before = read(folder, "lossy")["lossy"]
    assert [row[2] for row in before["rows"]] == [{"l": 1}, {"l": 2}, None, {"k": float(2**63)}, {"l": 3}]
    ChromaMigrator(folder).migrate_collection("lossy", PROJECTION)
    assert_migrated(before, read(folder, "lossy")["lossy"], PROJECTION)


def test_rows_that_were_changed_since_they_were_added(tmp_path: Path) -> None:
    """The latest state counts, whether it stands in the index files or still in the log."""
    folder, vectors = tmp_path / "home" / "db", make_vectors(100)
    with open_client(folder) as client:
        collection = client.create_collection(
            "edited", embedding_function=None, configuration={"hnsw": {"batch_size": 10, "sync_threshold": 30}}
        )
        collection.add(
            ids=[f"{row}" for row in range(100)],
            embeddings=vectors,
            documents=[f"text {row}" for row in range(100)],
            metadatas=[{"k": row, "l": "x"} for row in range(100)],
        )
        collection.update(ids=["1"], metadatas=[{"k": None, "l": None}])
        collection.update(ids=["2"], embeddings=make_vectors(1, seed=2), documents=[""])
        collection.update(ids=["3"], metadatas=[{"k": "another type"}])
        collection.delete(ids=["0", "50", "99"])
        collection.add(ids=["0"], embeddings=make_vectors(1, seed=3))
        collection.upsert(ids=["4", "new"], embeddings=make_vectors(2, seed=4))
    before = read(folder, "edited")["edited"]
    assert [row[0] for row in before["rows"]] == [*map(str, [*range(1, 50), *range(51, 99)]), "0", "new"]
    ChromaMigrator(folder, page_size=9).migrate_collection("edited", PROJECTION)
    after = read(folder, "edited")["edited"]
    assert_migrated(before, after, PROJECTION)
    by_id = {row[0]: row[1:] for row in after["rows"]}
    assert by_id["1"] == ("text 1", None, None)
    assert by_id["2"] == ("", {"k": 2, "l": "x"}, None)
    assert same_metadata({"k": "another type", "l": "x"}, by_id["3"][1])
    assert by_id["0"] == (None, None, None)
    expected: dict[str, Vectors] = {"2": make_vectors(1, seed=2), "0": make_vectors(1, seed=3), "7": vectors[7:8]}
    expected["4"], expected["new"] = make_vectors(2, seed=4)[:1], make_vectors(2, seed=4)[1:]
    ids = list(by_id)
    for id_, vector in expected.items():
        np.testing.assert_allclose(after["vectors"][ids.index(id_)], PROJECTION.apply(vector)[0], atol=2e-6)


@pytest.mark.parametrize(
    "metadata",
    [
        {
            "hnsw:space": "cosine",
            "hnsw:M": 7,
            "hnsw:construction_ef": 33,
            "hnsw:search_ef": 44,
            "hnsw:num_threads": 1,
            "hnsw:batch_size": 10,
            "hnsw:sync_threshold": 20,
            "hnsw:resize_factor": 1.5,
        },
        {"hnsw:space": "ip"},
        {"hnsw:M": 5, "hnsw:resize_factor": 2, "owner": "雪", "on": True, "rate": 0.1, "largest": 2**63 - 1},
        {"big": 1e300, "x" * 1000: "y" * 100_000, "empty": "", "space": "ip", "dimension": 3},
    ],
)
def test_metadata_of_the_collection(metadata: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "home" / "db"
    with open_client(folder) as client:
        client.create_collection("some", embedding_function=None, metadata=metadata).add(
            ids=[f"{row}" for row in range(45)], embeddings=make_vectors(45)
        )
    before, bytes_before = read(folder, "some")["some"], folder_hash(folder)
    assert before["metadata"] == metadata
    migrator = ChromaMigrator(folder)
    migrator.migrate_collection("some", PROJECTION)
    assert_migrated(before, read(folder, "some")["some"], PROJECTION)
    with ChromaFolderStore(folder) as store:
        assert measured_space(store.collection(Address("some"))) == metadata.get("hnsw:space", "l2")
    migrator.rollback()
    assert folder_hash(folder) == bytes_before


# Chroma refuses NaN and infinity, but a cosine collection turns lengths out of float32's range into NaN and 0.
MEANINGLESS = {
    "l2": {3: [0.0] * OLD_DIM},
    "ip": {0: [0.0] * OLD_DIM, 19: [-0.0] * OLD_DIM},
    "cosine": {2: [0.0] * OLD_DIM, 5: [3e38] * OLD_DIM, 11: [1e-45] * OLD_DIM, 12: [1e-30] * OLD_DIM},
}


@pytest.mark.parametrize("space", SPACES)
def test_vectors_that_mean_nothing(space: str, tmp_path: Path) -> None:
    folder, vectors, bad = tmp_path / "home" / "db", make_vectors(20), list(MEANINGLESS[space])
    for row, vector in MEANINGLESS[space].items():
        vectors[row] = vector
    with open_client(folder) as client:
        client.create_collection("some", embedding_function=None, configuration={"hnsw": {"space": space}}).add(
            ids=[f"{row}" for row in range(20)], embeddings=vectors, metadatas=[{"k": row} for row in range(20)]
        )
    before, bytes_before = read(folder, "some")["some"], folder_hash(folder)
    assert np.isnan(before["vectors"]).any() == (space == "cosine")
    migrator = ChromaMigrator(folder, page_size=7)
    with pytest.raises(InvalidVectorsError, match=f"{len(bad)} of 20 vectors") as caught:
        migrator.migrate_collection("some", PROJECTION)
    assert caught.value.ids == tuple(map(str, bad))
    assert folder_hash(folder) == bytes_before

    migrator.migrate_collection("some", PROJECTION, invalid_vectors="centre")
    after = read(folder, "some")["some"]
    assert after["rows"] == before["rows"]
    vectors[bad] = 0
    np.testing.assert_allclose(after["vectors"], PROJECTION.apply(vectors), atol=2e-6)
    migrator.rollback()
    assert folder_hash(folder) == bytes_before


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("scale", [1e-15, 1e-5, 1e5, 1e15])
def test_vectors_of_unusual_length(space: str, scale: float, tmp_path: Path) -> None:
    folder, vectors = tmp_path / "home" / "db", make_vectors(30) * np.float32(scale)
    with open_client(folder) as client:
        client.create_collection("some", embedding_function=None, configuration={"hnsw": {"space": space}}).add(
            ids=[f"{row}" for row in range(30)], embeddings=vectors
        )
    result = ChromaMigrator(folder).migrate_collection("some", PROJECTION)
    assert result.verification is not None
    assert result.verification.space == space
    expected = PROJECTION.apply(vectors)
    np.testing.assert_allclose(
        read(folder, "some")["some"]["vectors"], expected, rtol=1e-5, atol=1e-6 * float(np.abs(expected).max())
    )


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("copies", [1, 40])
@pytest.mark.parametrize("length", [0.5**0.5, 1, 3])
def test_one_vector_alone_or_again_and_again(space: str, copies: int, length: float, tmp_path: Path) -> None:
    """Of length √½, its inner product with its double is 1: a distance of 0, as by cosine."""
    folder, vectors = tmp_path / "home" / "db", np.repeat(make_vectors(1), copies, axis=0)
    vectors *= np.float32(length) / np.linalg.norm(vectors[0])
    with open_client(folder) as client:
        client.create_collection("some", embedding_function=None, configuration={"hnsw": {"space": space}}).add(
            ids=[f"{row}" for row in range(copies)], embeddings=vectors, documents=["text"] * copies
        )
    before, bytes_before = read(folder, "some")["some"], folder_hash(folder)
    migrator = ChromaMigrator(folder)
    result = migrator.migrate_collection("some", PROJECTION)
    assert result.verification is not None
    assert (result.n_migrated, result.verification.space) == (copies, space)
    assert_migrated(before, read(folder, "some")["some"], PROJECTION)
    migrator.rollback()
    assert folder_hash(folder) == bytes_before
