"""Commands, called in this process."""

from __future__ import annotations

import pytest

from lightmigrate.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command printed on stdout, on one line; its exit code is 0."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    return " ".join(printed.out.split())


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command printed on stderr, on one line; its exit code is 1."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    assert ended.value.code == 1
    return " ".join(capsys.readouterr().err.split())
