"""A real Chroma server on a free loopback port, of the installed version unless `CHROMA_SERVER` names another's."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

from lightmigrate.stores.chroma.client import copied
from tests.at_end import AT_END
from tests.processes import wait_until_open

# Reading the system's certificates, of which plain HTTP needs none, took most of the time of a short test.
_SETTINGS = Settings(anonymized_telemetry=False, chroma_server_ssl_verify=False)


class Server:
    """`chroma run` as a process of its own.

    Args:
        folder: of its database.
        resettable: whether `client().reset()` may empty it.
    """

    def __init__(self, folder: Path, *, resettable: bool = False) -> None:
        self.folder = folder
        self.resettable = resettable
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        program = os.environ.get("CHROMA_SERVER") or str(Path(sys.executable).with_name("chroma"))
        # A file instead of options: that a server may be emptied can only be said there.
        settings = {
            "persist_path": str(self.folder),
            "listen_address": "127.0.0.1",
            "port": self.port,
            "allow_reset": self.resettable,
        }
        configuration = self.folder.with_name(f"{self.folder.name}.{self.port}.yaml")
        configuration.write_text(json.dumps(settings))  # JSON is YAML
        self.process = subprocess.Popen(
            [program, "run", str(configuration)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until_open(self.port, self.process)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def client(self) -> Any:
        """A new client."""
        return connect(self.port)


def connect(port: int) -> Any:
    """A new client of the server at a port of this machine."""
    return chromadb.HttpClient("127.0.0.1", port, settings=copied(_SETTINGS))


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server for the length of a block."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.kill()


@functools.cache
def shared_server() -> Server:
    """One server for all tests of this process that do not end it; `client().reset()` empties it."""
    folder = AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-chroma-"))
    server = Server(Path(folder) / "chroma_data", resettable=True)
    AT_END.callback(server.kill)
    return server
