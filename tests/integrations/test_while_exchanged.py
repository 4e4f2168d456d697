"""Applications of LangChain and LlamaIndex that open a collection while another process exchanges it."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from chromadb.errors import ChromaError
from langchain_chroma import Chroma
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from examples.langchain_notes import answer as answer_of_langchain
from examples.llamaindex_notes import answer as answer_of_llamaindex
from lightmigrate.integrations import langchain, llamaindex
from lightmigrate.stores.chroma.steady import steady
from tests.integrations.models import LangChainModel, LlamaIndexModel, nearest, notes
from tests.migration.shadow.instant import do_in_that_instant
from tests.migration.shadow.server import Server, connect, shared_server
from tests.processes import context, start

QUESTION = "an instrument that measures"


class LangChain:
    """The application's own code with LangChain."""

    @staticmethod
    def store(client: Any) -> None:
        Chroma("notes", LangChainModel(64), client=client).add_texts(list(notes()))

    @staticmethod
    def open(client: Any) -> Any:
        return Chroma("notes", LangChainModel(256), client=client)

    @staticmethod
    def migrate(store: Any) -> str:
        return langchain.auto_migrate(store).action

    @staticmethod
    def answer(store: Any) -> list[str]:
        return answer_of_langchain(store, QUESTION)


class LlamaIndex:
    """The same with LlamaIndex."""

    @staticmethod
    def store(client: Any) -> None:
        store = ChromaVectorStore(client.get_or_create_collection("notes"))
        nodes = [TextNode(text=text) for text in notes()]
        context = StorageContext.from_defaults(vector_store=store)
        VectorStoreIndex(nodes, embed_model=LlamaIndexModel(64), storage_context=context)

    @staticmethod
    def open(client: Any) -> Any:
        return ChromaVectorStore(client.get_or_create_collection("notes"))

    @staticmethod
    def migrate(store: Any) -> str:
        return llamaindex.auto_migrate(store, LlamaIndexModel(256)).action

    @staticmethod
    def answer(store: Any) -> list[str]:
        return answer_of_llamaindex(VectorStoreIndex.from_vector_store(store, LlamaIndexModel(256)), QUESTION)


FRAMEWORKS: dict[str, Any] = {"langchain": LangChain, "llamaindex": LlamaIndex}


@pytest.fixture(params=sorted(FRAMEWORKS))
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(framework: str) -> Server:
    server = shared_server()
    server.client().reset()
    FRAMEWORKS[framework].store(server.client())
    return server


def open_steadily(framework: str, port: int, told: Connection) -> None:
    """When it is told to, open the store through a steady client, and search; says when it was refused."""
    client, application = connect(port), FRAMEWORKS[framework]
    list_collections = client.list_collections

    def listed(*arguments: Any, **options: Any) -> Any:  # what is done after a refusal
        found = list_collections(*arguments, **options)
        told.send("refused")
        return found

    client.list_collections = listed
    told.recv()
    store = application.open(steady(client))
    told.send("opened")
    told.send(application.answer(store))


def open_and_start(framework: str, port: int, machine: Path, told: Connection) -> None:
    """Open the store before an exchange and in its instant, and start with both when it is told to."""
    os.environ["XDG_CACHE_HOME"] = str(machine)
    application = FRAMEWORKS[framework]
    before = application.open(connect(port))
    told.send("opened")
    told.recv()
    within = application.open(connect(port))
    told.send("opened")
    told.recv()
    for store in (before, within):
        try:
            application.answer(store)
        except ChromaError as error:
            told.send(type(error).__name__)
        told.send((application.migrate(store), application.answer(store)))


def test_what_is_opened_by_a_steady_client_in_that_instant_is_the_new_collection(
    framework: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = context().Pipe()
    process = start(open_steadily, framework, server.port, there)
    there.close()

    def open_now() -> None:
        here.send("now")
        assert here.recv() == "refused"

    do_in_that_instant(monkeypatch, open_now)
    application = FRAMEWORKS[framework]
    assert application.migrate(application.open(server.client())) == "migrated"
    while (said := here.recv()) == "refused":
        pass
    assert said == "opened"
    assert here.recv() == nearest(256, QUESTION)
    process.join()
    assert len(server.client().list_collections()) == 2, "the collection and its backup"


def test_a_start_leads_a_store_to_what_another_process_put_in_its_place(
    framework: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = context().Pipe()
    process = start(open_and_start, framework, server.port, tmp_path, there)
    there.close()
    assert here.recv() == "opened"

    def open_now() -> None:
        here.send("now")
        assert here.recv() == "opened"

    do_in_that_instant(monkeypatch, open_now)
    application = FRAMEWORKS[framework]
    assert application.migrate(application.open(server.client())) == "migrated"
    here.send("start")
    assert here.recv() == "InvalidArgumentError", "it searched the backup"
    assert here.recv() == ("nothing", nearest(256, QUESTION))
    assert here.recv() == "NotFoundError", "its empty collection is gone"
    assert here.recv() == ("nothing", nearest(256, QUESTION))
    process.join()
    assert len(server.client().list_collections()) == 2
