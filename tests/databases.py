"""Real Chroma databases for tests, and everything that can be read out of one."""

from __future__ import annotations

import hashlib
import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import Model, Projection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors

OLD_DIM, NEW_DIM = 16, 24
OLD = Model("old-model", OLD_DIM, normalised=False)
NEW = Model("new-model", NEW_DIM)


def make_projection(seed: int = 0, source: Model = OLD, target: Model = NEW) -> Projection:
    """A fixed affine projection; what it means does not matter here, that it is applied does."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(source.dimension, target.dimension)) / source.dimension**0.5
    return Projection.affine(weights, 0.1 * rng.normal(size=target.dimension), source=source, target=target)


def make_vectors(n: int, dimension: int = OLD_DIM, seed: int = 0) -> Vectors:
    """Random float32 vectors `(n, dimension)`, not normalised."""
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def records(n: int, dimension: int = OLD_DIM, seed: int = 0) -> dict[str, Any]:
    """`n` records as `Collection.add` takes them: a bit of everything Chroma accepts."""
    rng = np.random.default_rng(seed)
    metadatas: list[dict[str, Any] | None] = []
    for row in range(n):
        kinds: list[dict[str, Any] | None] = [
            None,
            {"int": 2**53 + row, "negative": -(2**62), "zero": 0},
            {"float": float(rng.normal()), "tiny": 5e-324, "huge": 1.7e308, "negative": -1.5},
            {"text": "naïve 雪 \U0001f642 \u202e", "empty": "", "long": "x" * 2000},
            {"yes": True, "no": False},
            {"texts": ["a", "b", ""], "ints": [1, -2], "floats": [0.5, -1.25], "bools": [True, False]},
        ]
        metadatas.append(kinds[row % len(kinds)])
    documents = [[f"document {row}", None, "", "the same text", "雪 " * 50][row % 5] for row in range(n)]
    return {
        "ids": [f"id-{row}-{'é' * (row % 3)}" if row % 7 else f"{row}" + "k" * 900 for row in range(n)],
        "embeddings": make_vectors(n, dimension, seed),
        "documents": documents,
        "metadatas": metadatas,
        "uris": [f"file:///{row}" if row % 4 == 0 else None for row in range(n)],
    }


def make_database(folder: Path, n: int = 60) -> Path:
    """A database with collections in two tenants, all three distances, tuned indexes and odd records."""
    with open_client(folder) as client:
        thoughts = client.create_collection(
            "thought_nodes",
            embedding_function=None,
            metadata={"owner": "raa", "version": 3},
            configuration={"hnsw": {"space": "cosine", "ef_search": 321, "max_neighbors": 24}},
        )
        thoughts.add(**records(n))
        notes = client.create_collection(
            "notes", embedding_function=None, metadata={"hnsw:space": "ip", "hnsw:M": 8, "why": "legacy keys"}
        )
        notes.add(**records(n // 2, seed=1))
        plain = client.create_collection("other_model", embedding_function=None)
        plain.add(**records(n // 3, dimension=8, seed=2))
        client.create_collection("empty", embedding_function=None)
        # A public AdminClient cannot be closed, so it would keep the folder open; this one closes with its client.
        client._admin_client.create_tenant("second_tenant")
        client._admin_client.create_database("archive", tenant="second_tenant")
    with open_client(folder, "second_tenant", "archive") as client:
        client.create_collection("thought_nodes", embedding_function=None).add(**records(n // 2, seed=3))
    return folder


ADDRESSES = (
    ("default_tenant", "default_database", "thought_nodes"),
    ("default_tenant", "default_database", "notes"),
    ("default_tenant", "default_database", "other_model"),
    ("default_tenant", "default_database", "empty"),
    ("second_tenant", "archive", "thought_nodes"),
)


def contents(folder: Path, addresses: tuple[tuple[str, str, str], ...] = ADDRESSES) -> dict[str, Any]:
    """Everything Chroma says about a database, by collection: rows in order, vectors, settings."""
    found: dict[str, Any] = {}
    for (tenant, database), group in itertools.groupby(addresses, lambda address: address[:2]):
        with open_client(folder, tenant, database) as client:
            for _, _, name in group:
                collection = client.get_collection(name, embedding_function=None)
                found[f"{tenant}/{database}/{name}"] = _content(collection)
    return found


def _content(collection: Any) -> dict[str, Any]:
    rows = collection.get(include=["documents", "metadatas", "uris", "embeddings"])
    model = collection.get_model()
    columns = (rows["ids"], rows["documents"] or [], rows["metadatas"] or [], rows["uris"] or [])
    return {
        "rows": [(id_, document, metadata or None, uri) for id_, document, metadata, uri in zip(*columns, strict=True)],
        "vectors": np.asarray(rows["embeddings"], np.float32),
        "schema": model.serialized_schema,
        "metadata": model.metadata,
    }


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive of these tests. The first releases of Python 3.11, such as Debian's, know no filter."""
    filtering: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as packed:
        packed.extractall(folder, **filtering)


def folder_hash(folder: Path) -> str:
    """SHA-256 over the names and bytes of every file below a folder."""
    digest = hashlib.sha256()
    for path in files_below(folder):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """All files, sorted."""
    return iter(sorted(path for path in folder.rglob("*") if path.is_file()))


def same_rows(old: Any, new: Any) -> bool:
    """Equal rows, where a metadata float may differ in its last bit: Chroma's log rounds it."""
    return len(old) == len(new) and all(
        one[0] == other[0] and one[1] == other[1] and one[3] == other[3] and same_metadata(one[2], other[2])
        for one, other in zip(old, new, strict=True)
    )


def same_metadata(old: Any, new: Any) -> bool:
    """Equal metadata of equal types, where a float may differ in its last bit."""
    if old is None or new is None:
        return old is new
    return old.keys() == new.keys() and all(
        type(value) is type(new[key])
        and (abs(value - new[key]) <= np.spacing(abs(value)) if isinstance(value, float) else value == new[key])
        for key, value in old.items()
    )
