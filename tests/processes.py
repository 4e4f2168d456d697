"""Processes to be killed, started from one that has imported everything and opened nothing.

Importing takes most of the time of such a process. That one has no threads and no connections, as a test's own has.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path

TIMEOUT = 120

# The system's exchange of two names announces itself by no event of its own; what surrounds it does.
_WRITES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.utime", "os.link"}

_IMPORTED = (
    "lightmigrate.migrator",
    "lightmigrate.stores.chroma.live",
    "lightmigrate.stores.lance.store",
    "lightmigrate.stores.pgvector.store",
    "lightmigrate.stores.qdrant.store",
    "lightmigrate.stores.sqlite_vec.store",
    "lightmigrate.stores.vector_files.parquet_writer",
    "lightmigrate.stores.vector_files.store",
    "tests.contract.migrating",
)


# Serves a Chroma folder, says so, and goes on until its input ends; see `another_process`.
SERVES = """
import sys, chromadb
client = chromadb.PersistentClient(sys.argv[1])
client.list_collections()
print('open', flush=True)
sys.stdin.read()
"""


@functools.cache
def context() -> ForkServerContext:
    """The context of `multiprocessing` that starts them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def start(function: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Call a function of a module in a process of its own."""
    process = context().Process(target=function, args=arguments)
    process.start()
    return process


def was_killed(process: BaseProcess, timeout: float = TIMEOUT) -> bool:
    """Wait for the end of a process: whether SIGKILL ended it. Anything else but success fails the test."""
    process.join(timeout)
    assert process.exitcode in (0, -signal.SIGKILL), f"exit status {process.exitcode}; the reason is on stderr"
    return process.exitcode != 0


def is_write(event: str, arguments: tuple[object, ...], folder: Path) -> bool:
    """Whether an audit event of Python announces that something in a folder is written, renamed or removed."""
    if event not in _WRITES or not str(arguments[0]).startswith(str(folder)):
        return False
    return event != "open" or bool(int(str(arguments[2] or 0)) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that is starting accepts connections on a port of this machine.

    Raises:
        RuntimeError: it ended.
    """
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)  # asking without a pause would take the processor that the server starts with
            raise RuntimeError(f"the server ended with {process.returncode}")


@contextlib.contextmanager
def another_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A program that says `open` when it is ready, and goes on until its input ends."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        close_input(process)
        assert process.wait(TIMEOUT) == 0


def close_input(process: subprocess.Popen[str]) -> None:
    """End what it reads, by which it is told to end, or to go on."""
    assert process.stdin is not None
    process.stdin.close()
