"""The instant of an exchange in which nothing has the name of the collection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.names import State, VersionName


def do_in_that_instant(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Have something done between the second and the third rename of the first exchange of this process."""
    rename, done = ChromaCollection.rename, False

    def renamed(collection: ChromaCollection, name: str) -> None:
        nonlocal done
        rename(collection, name)
        if VersionName.parse(name).state is State.OLD and not done:
            done = True
            do()

    monkeypatch.setattr(ChromaCollection, "rename", renamed)
