"""A search server that survives a change of its embedding model.

    pip install 'lightmigrate[chroma]' starlette uvicorn
    EMBEDDING_FUNCTION=chromadb.utils.embedding_functions:DefaultEmbeddingFunction uvicorn examples.server:app

Stop it, name another embedding function, start it again: the one line before the database is opened migrates what it
holds. `POST /documents` takes `{"id": ..., "text": ...}`, `GET /search?q=...` answers with ids and distances.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import chromadb
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lightmigrate import auto_migrate

logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")

FOLDER = os.environ.get("CHROMA_FOLDER", "chroma_data")


def embedding_function() -> Any:
    """The one that `EMBEDDING_FUNCTION` names, as `module:class`."""
    module, _, name = os.environ["EMBEDDING_FUNCTION"].partition(":")
    return getattr(importlib.import_module(module), name)()


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Migrate if need be, and only then open the database."""
    function = embedding_function()
    app.state.started = auto_migrate(FOLDER, function)
    client: Any = chromadb.PersistentClient(FOLDER)
    app.state.memory = client.get_or_create_collection("memory", embedding_function=function)
    yield
    client.close()


async def add(request: Request) -> JSONResponse:
    """Store a document."""
    document = await request.json()
    await asyncio.to_thread(request.app.state.memory.upsert, ids=[document["id"]], documents=[document["text"]])
    return JSONResponse({"id": document["id"]})


async def search(request: Request) -> JSONResponse:
    """The documents nearest to a query."""
    nearest = await asyncio.to_thread(
        request.app.state.memory.query, query_texts=[request.query_params["q"]], n_results=10, include=["distances"]
    )
    return JSONResponse({"ids": nearest["ids"][0], "distances": nearest["distances"][0]})


async def start(request: Request) -> JSONResponse:
    """What the last start found and did."""
    return JSONResponse(request.app.state.started.to_json())


app = Starlette(
    routes=[Route("/documents", add, methods=["POST"]), Route("/search", search), Route("/start", start)],
    lifespan=lifespan,
)
