"""LlamaIndex: vector stores whose collections follow a change of the embedding model, and queries before that.

Every `BaseEmbedding` object is an embedding model for lightmigrate as it is: `Migrator.plan`, `.migrate`, `.refine` and
`auto_migrate` take it. What LlamaIndex embeds of a node, its metadata and its text, is read from the node.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.bridge import BridgedModel
from lightmigrate.errors import MissingExtraError
from lightmigrate.integrations.start import migrate_held
from lightmigrate.startup.report import StartReport

if TYPE_CHECKING:
    from lightmigrate.projection.projection import Projection

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.indices.base import BaseIndex
    from llama_index.core.storage import StorageContext
except ImportError:
    raise MissingExtraError("llama-index-core", "llamaindex") from None


def auto_migrate(
    vector_store: object, embed_model: BaseEmbedding, *, folder: str | Path | None = None, **options: Any
) -> StartReport:
    """Make sure that the collection of a vector store is of the application's embedding model. Writes.

        store = ChromaVectorStore(client.get_or_create_collection("notes"))
        auto_migrate(store, embed_model)
        index = VectorStoreIndex.from_vector_store(store, embed_model)

    Other collections of the database are not looked at.

    A store that reads its files into memory, such as LlamaIndex's default one, must hold what the files hold; their
    vectors are migrated, and read again:

        context = StorageContext.from_defaults(persist_dir="storage")
        auto_migrate(context, embed_model, folder="storage")
        index = load_index_from_storage(context, embed_model=embed_model)

    Args:
        vector_store: of a database that lightmigrate has a store for; or a storage context, or an index, which stand
            for their vector store of texts.
        embed_model: the application's model.
        folder: the folder that a store in memory was read from (`persist_dir`).
        options: see `lightmigrate.auto_migrate`.

    Returns:
        What was found and done.

    Raises:
        LightmigrateError: the vector store is of another database, or the policy says `raise`; one in memory holds
            something else than the folder.
    """
    if isinstance(vector_store, BaseIndex):
        vector_store = vector_store.storage_context
    if isinstance(vector_store, StorageContext):
        vector_store = vector_store.vector_store
    return migrate_held(vector_store, embed_model, folder, options)


class BridgedEmbedding(BaseEmbedding):
    """Embeds with a new model, and projects into the space of the old model, for a collection that is not migrated yet.

    Nodes that are added through it get approximate vectors.

    Args:
        embed_model: the new model.
        projection: from its space to that of the stored vectors, or its path; see `Migrator.bridge`.

    Raises:
        WrongDirectionError: the projection leads from the old model to the new one.
    """

    _model: BridgedModel = PrivateAttr()

    def __init__(self, embed_model: BaseEmbedding, projection: Projection | str | Path) -> None:
        super().__init__(model_name=embed_model.model_name, embed_batch_size=embed_model.embed_batch_size)
        self._model = BridgedModel(embed_model, projection)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, vector)) for vector in self._model.documents(texts)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [float(number) for number in self._model.queries([query])[0]]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)
