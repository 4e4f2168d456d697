"""LangChain: vector stores whose collections follow a change of the embedding model, and queries before that.

Every `Embeddings` object is an embedding model for lightmigrate as it is: `Migrator.plan`, `.migrate`, `.refine` and
`auto_migrate` take it.
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
    from langchain_core.embeddings import Embeddings
except ImportError:
    raise MissingExtraError("langchain-core", "langchain") from None


def auto_migrate(
    vectorstore: object, embedding: Embeddings | None = None, *, folder: str | Path | None = None, **options: Any
) -> StartReport:
    """Make sure that the collection of a vector store is of the application's embedding model. Writes.

        store = Chroma("notes", embeddings, persist_directory="chroma_data")
        auto_migrate(store)

    The store can be used afterwards as if nothing had happened. Other collections of its database are not looked at.

    A store that reads its files into memory, such as `FAISS`, must hold what the files hold; their vectors are
    migrated, and read again:

        store = FAISS.load_local("notes", embeddings, allow_dangerous_deserialization=True)
        auto_migrate(store, folder="notes")

    Args:
        vectorstore: of a database that lightmigrate has a store for.
        embedding: the application's model; by default the one that the vector store has.
        folder: the folder that a store in memory was read from.
        options: see `lightmigrate.auto_migrate`.

    Returns:
        What was found and done.

    Raises:
        LightmigrateError: the vector store is of another database, or the policy says `raise`; one in memory holds
            something else than the folder.
    """
    return migrate_held(vectorstore, embedding, folder, options)


class BridgedEmbeddings(Embeddings):
    """Embeds with a new model, and projects into the space of the old model, for a collection that is not migrated yet.

    Documents that are added through it get approximate vectors.

    Args:
        embeddings: the new model.
        projection: from its space to that of the stored vectors, or its path; see `Migrator.bridge`.

    Raises:
        WrongDirectionError: the projection leads from the old model to the new one.
    """

    def __init__(self, embeddings: Embeddings, projection: Projection | str | Path) -> None:
        self._model = BridgedModel(embeddings, projection)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Documents in the old space, `n` lists of `d_old` numbers."""
        return [list(map(float, vector)) for vector in self._model.documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        """A query in the old space, `d_old` numbers."""
        return [float(number) for number in self._model.queries([text])[0]]
