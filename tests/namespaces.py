"""Processes with mounts of their own, and containers, as the system makes them for every container engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.processes import TIMEOUT, close_input

# Mounting needs rights that a test may not have; in a namespace of its own it has them.
NAMESPACE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--mount"]
_CONTAINER = [*NAMESPACE, "--pid", "--fork", "--mount-proc", "--kill-child"]

# Mounts what is named in pairs, ended by `--`, and becomes the program that is named then.
_ENTER = """
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done
shift
exec "$@"
"""

# For a container that only has something mounted.
IDLE = ["sh", "-c", "echo open; exec cat"]


def require_namespaces() -> None:
    """Skip a test where they are not to be had."""
    if not shutil.which("unshare") or subprocess.run([*_CONTAINER, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount, not even in a namespace of its own")


@contextlib.contextmanager
def container(
    volumes: Mapping[Path, Path], words: Sequence[str] = IDLE, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program in a container, which sees no process of others; it says `open`, and goes on until its input ends.

    Args:
        volumes: folders or files of the host, and where the container has them: paths that exist.
        words: the program and its words.
        environment: what it has besides that of this process.
    """
    mounted = [str(path) for pair in volumes.items() for path in pair]
    command = [*_CONTAINER, "sh", "-c", _ENTER, "sh", *mounted, "--", *words]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **(environment or {})}
    with subprocess.Popen(command, env=variables, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        close_input(process)
        assert process.wait(TIMEOUT) == 0
