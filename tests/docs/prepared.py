"""What is there before a page is followed: databases and files at the paths that it names, and names that it uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from langchain_community.vectorstores import FAISS
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.schema import TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from lightmigrate import Migrator, Model, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.stores.chroma.client import open_client
from tests.docs.addresses import fill_milvus
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.integrations.models import LangChainModel, LlamaIndexModel

ROWS = 120
DATABASE = Path("path/to/chroma_data")
CORPUS = load_corpus()


def documents() -> list[str]:
    return list(CORPUS.documents[:ROWS])


def two_collections(folder: Path) -> None:
    """Abstracts as the old model embedded them, in the two collections that the pages name."""
    with open_client(folder) as client:
        for name in ("thought_nodes", "abstracts"):
            client.create_collection(name, embedding_function=None).add(
                ids=[f"n{row}" for row in range(ROWS)],
                documents=documents(),
                embeddings=CORPUS.new_documents[:ROWS],
            )


def migrated(folder: Path) -> None:
    """The same after a migration, from a model that is still at hand."""
    old, new = shared_wordllama(128).embed(documents()), shared_wordllama().embed(documents())
    with open_client(folder) as client:
        client.create_collection("thought_nodes", embedding_function=None).add(
            ids=[f"n{row}" for row in range(ROWS)], documents=documents(), embeddings=old
        )
    Migrator(folder).migrate_collection("thought_nodes", fit(old, new, method="ridge"))


def with_projection(folder: Path) -> None:
    """A projection as `train` has saved it, and no database."""
    source, target = Model("all-MiniLM-L6-v2", 384), Model("text-embedding-3-small", 256)
    (folder.parents[2] / "projections").mkdir(parents=True)
    fit(
        CORPUS.new_documents[:ROWS],
        shared_wordllama().embed(documents()),
        method="ridge",
        source_model=source,
        target_model=target,
    ).save(folder.parents[2] / "projections" / f"{source.name}_to_{target.name}.npz")


def texts_elsewhere(folder: Path) -> None:
    """A collection whose texts are in its metadata, and one without texts."""
    rows = [text.partition(". ") for text in documents()]
    vectors = shared_wordllama(128).embed([f"{title} {rest}" for title, _, rest in rows])
    ids = [f"n{row}" for row in range(ROWS)]
    with open_client(folder) as client:
        client.create_collection("titled", embedding_function=None).add(
            ids=ids, embeddings=vectors, metadatas=[{"title": title, "abstract": rest} for title, _, rest in rows]
        )
        client.create_collection("bare", embedding_function=None).add(ids=ids, embeddings=vectors)
    lines = [
        json.dumps({"id": name, "text": f"{title} {rest}"}) for name, (title, _, rest) in zip(ids, rows, strict=True)
    ]
    (folder.parents[2] / "texts.jsonl").write_text("\n".join(lines))


def one_collection(folder: Path) -> None:
    """The collection `docs` in a Chroma folder, and a projection of its vectors."""
    old, new = shared_wordllama(128).embed(documents()), shared_wordllama().embed(documents())
    place = folder.parents[2]
    fit(old, new, method="ridge").save(place / "projection.npz")
    with open_client(folder) as client:
        client.create_collection("docs", embedding_function=None).add(
            ids=[f"n{row}" for row in range(ROWS)], documents=documents(), embeddings=old
        )


def for_lance(folder: Path) -> None:
    """The same in a folder of LanceDB."""
    one_collection(folder)
    Migrator(folder).transfer([CollectionJob("docs", rebuild_index=True)], f"lance://{folder.with_name('lancedb')}")


def for_milvus(folder: Path) -> None:
    """The same, and a database of Milvus Lite."""
    one_collection(folder)
    fill_milvus(str(folder.parents[2] / "milvus.db"), documents())


def for_transfer(folder: Path) -> None:
    """Sources of other databases."""
    one_collection(folder)
    place = folder.parents[2]
    folder.rename(place / "chroma_data")
    (place / "projection.npz").rename(place / "old-to-new.npz")
    np.save(place / "notes.npy", shared_wordllama(128).embed(documents()))


def many_files(folder: Path) -> None:
    """A folder of Parquet files that are one collection, a Lance table of the same, and a projection of the vectors."""
    place = folder.parents[2] / "vectors"
    place.mkdir()
    vectors = shared_wordllama(128).embed(documents())
    fit(vectors, shared_wordllama().embed(documents()), method="ridge").save(place.with_name("projection.npz"))
    for number in range(2):
        rows = slice(number * ROWS // 2, (number + 1) * ROWS // 2)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors[rows].ravel()), 128)
        table = pa.table({"id": [f"n{row}" for row in range(ROWS)][rows], "text": documents()[rows], "vector": column})
        pq.write_table(table, place / f"part-{number:03}.parquet")
        lance.write_dataset(table, place.with_suffix(".lance"), mode="append")


def for_frameworks(folder: Path) -> None:
    """Vector stores of LangChain and LlamaIndex."""
    from langchain_chroma import Chroma

    place, old = folder.parents[2], LangChainModel(64)
    names = [f"n{row}" for row in range(ROWS)]
    with open_client(place / "chroma_data") as client:
        Chroma("notes", old, client=client).add_texts(documents(), ids=names)
    FAISS.from_texts(documents(), old).save_local(str(place / "notes"))
    nodes = [TextNode(id_=name, text=text) for name, text in zip(names, documents(), strict=True)]
    model = LlamaIndexModel(64)
    VectorStoreIndex(nodes, embed_model=model).storage_context.persist(place / "storage")
    with open_client(folder) as client:
        store = ChromaVectorStore(client.get_or_create_collection("notes", embedding_function=None))
        VectorStoreIndex(nodes, embed_model=model, storage_context=StorageContext.from_defaults(vector_store=store))
    back = fit(shared_wordllama(256).embed(documents()), shared_wordllama(64).embed(documents()), method="ridge")
    back.save(place / "new_to_old.npz")


PREPARE: dict[str, Callable[[Path], None]] = {
    "docs/how-to/texts.md": texts_elsewhere,
    "docs/how-to/thresholds.md": migrated,
    "docs/how-to/roll-back.md": migrated,
    "docs/how-to/registry.md": with_projection,
    "docs/stores/chroma.md": one_collection,
    "docs/stores/lance.md": for_lance,
    "docs/stores/milvus.md": for_milvus,
    "docs/stores/pgvector.md": one_collection,
    "docs/stores/qdrant.md": one_collection,
    "docs/transfer.md": for_transfer,
    "docs/how-to/many-files.md": many_files,
    "docs/frameworks.md": for_frameworks,
}

# What the Python of a page uses and does not make itself; made before the first block that names it.
NAMES: dict[str, Callable[[], Any]] = {
    "old_vectors": lambda: CORPUS.new_documents[:ROWS],
    "new_vectors": lambda: shared_wordllama().embed(documents()),
    "texts": documents,
    "my_embedding_function": lambda: WordLlamaFunction(),
    "new_function": lambda: WordLlamaFunction(),
    "embeddings": lambda: LangChainModel(256),
    "new_embeddings": lambda: LangChainModel(256),
    "embed_model": lambda: LlamaIndexModel(256),
    "FAISS": lambda: FAISS,
    "StorageContext": lambda: StorageContext,
    "VectorStoreIndex": lambda: VectorStoreIndex,
    "load_index_from_storage": lambda: load_index_from_storage,
}
