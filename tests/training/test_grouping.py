"""Which collections are of one model, by measuring; and several collections read as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.grouping import Grouping, group_by_model
from lightmigrate.training.sources import data_from_readable
from lightmigrate.vectors import Vectors
from tests.startup.starts import CORPUS, MINILM, POTION, WORDLLAMA, vectors_of, write


def grouped(folder: Path, names: dict[str, str] | None = None) -> Grouping:
    with ChromaFolderStore(folder) as store:
        facts = store.collections()
        return group_by_model(store, facts, {Address(name): model for name, model in (names or {}).items()})


def members(grouping: Grouping) -> list[set[str]]:
    return [{facts.name for facts in group.members} for group in grouping.groups]


def rows(vectors: Vectors, start: int, count: int) -> tuple[Vectors, list[str]]:
    return vectors[start : start + count], CORPUS.documents[start : start + count]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight collections of potion, four of wordllama, all of 256 dimensions; two of MiniLM, of 384."""
    for number in range(8):
        vectors, documents = rows(vectors_of(POTION), 30 * number, 30)
        write(tmp_path / "db", vectors, documents=documents, name=f"potion-{number}")
    for number in range(4):
        vectors, documents = rows(vectors_of(WORDLLAMA), 400 + 20 * number, 20)
        write(tmp_path / "db", vectors, documents=documents, name=f"llama-{number}")
    for number in range(2):
        write(tmp_path / "db", vectors_of(MINILM)[number : number + 5], name=f"minilm-{number}")
    return tmp_path / "db"


def test_collections_of_one_dimension_and_two_models_are_told_apart(folder: Path) -> None:
    grouping = grouped(folder)
    assert members(grouping) == [
        {f"potion-{number}" for number in range(8)},
        {f"llama-{number}" for number in range(4)},
        {"minilm-0", "minilm-1"},
    ]
    assert grouping.mixed == {}


def test_a_wrong_name_does_not_split_a_model_that_is_measured_to_be_one(folder: Path) -> None:
    names = {f"potion-{number}": "a" if number < 4 else "b" for number in range(8)} | {"llama-0": "a"}
    grouping = grouped(folder, names)
    assert members(grouping)[:2] == [{f"potion-{number}" for number in range(8)}, {f"llama-{n}" for n in range(4)}]
    assert [group.name for group in grouping.groups] == ["", "a", ""]


def test_names_separate_what_is_too_little_to_measure(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / "db", vectors_of(POTION)[3 * number : 3 * number + 3], name=f"{'ab'[number % 2]}-{number}-x")
    assert members(grouped(tmp_path / "db")) == [{"a-0-x", "b-1-x", "a-2-x", "b-3-x"}]
    named = grouped(tmp_path / "db", {"a-0-x": "one", "b-1-x": "other", "b-3-x": "other"})
    assert sorted(map(len, members(named))) in ([1, 3], [2, 2])


def test_a_collection_of_two_models_is_named(folder: Path) -> None:
    mixed = np.concatenate([vectors_of(POTION)[:12], vectors_of(WORDLLAMA)[12:24]])
    write(folder, mixed, documents=CORPUS.documents[:24], name="mixed-one")
    grouping = grouped(folder)
    assert set(grouping.mixed) == {Address("mixed-one")}
    assert "12 and 12" in grouping.mixed[Address("mixed-one")]
    assert len(grouping.groups) == 3


def test_several_collections_are_read_as_one(folder: Path) -> None:
    with ChromaFolderStore(folder) as store:
        joined = JoinedCollections([store.collection(Address(f"potion-{number}")) for number in range(8)])
        assert joined.count() == 240
        assert [len(page) for page in joined.scan(20)] == [20, 10] * 8
        assert len(joined.sample(16)) == 16
        assert len(joined.sample(4)) == 4
        assert len(joined.sample(1000)) == 240
        data = data_from_readable(joined, 100)
        assert data.positions is not None
        assert data.vectors is not None
        # every document is in the collection that its position says
        texts = {text: number for number in range(8) for text in rows(vectors_of(POTION), 30 * number, 30)[1]}
        assert [texts[text] for text in data.texts] == joined.members_of(data.positions).tolist()
        assert len({texts[text] for text in data.texts}) == 8, "all of them teach"
        with pytest.raises(ValueError, match="cannot resume"):
            next(joined.scan(10, "1"))
