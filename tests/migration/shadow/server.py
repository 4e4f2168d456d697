"""A real Chroma server on a free loopback port, of the installed version unless `CHROMA_SERVER` names another's."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings


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
        while self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
        raise RuntimeError("the server ended")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def client(self) -> Any:
        """A new client."""
        return chromadb.HttpClient("127.0.0.1", self.port, settings=Settings(anonymized_telemetry=False))


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server for the length of a block."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.kill()
