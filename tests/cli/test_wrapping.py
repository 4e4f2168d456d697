"""In a terminal sentences are wrapped between words; paths and commands stay whole, for they are copied."""

from __future__ import annotations

import io

import pytest
from rich.console import Group

from lightmigrate.cli.app import main
from lightmigrate.cli.show.wrapping import WrappingConsole

COMMAND = "lightmigrate plan /a/long/path/to/chroma_data --target-model MODEL --budget 30% -o FILE"
LINE = f"[red]error:[/] plan.json is not a plan of this lightmigrate, whatever it is; write one:  {COMMAND}"


def printed(*objects: object, terminal: bool = True, width: int = 40) -> list[str]:
    stream = io.StringIO()
    console = WrappingConsole(
        file=stream, force_terminal=terminal, color_system=None, width=width, soft_wrap=True, highlight=False
    )
    console.print(*objects)
    return stream.getvalue().splitlines()


def test_a_sentence_ends_between_words_and_a_command_is_one_line() -> None:
    assert printed(LINE) == [
        "error: plan.json is not a plan of this",
        "lightmigrate, whatever it is; write one:",
        COMMAND,
    ]


def test_lines_of_a_group_keep_their_indent() -> None:
    lines = printed(Group("one two", Group(f"  verified: {'every record ' * 5}")))
    assert lines[0] == "one two"
    assert len(lines) == 3
    assert all(line.startswith("  ") and line[2] != " " and len(line) <= 40 for line in lines[1:])


def test_wide_letters_count_twice() -> None:
    assert printed("文書 文書 文書", width=10) == ["文書 文書", "文書"]


def test_elsewhere_a_line_stays_one_line() -> None:
    assert printed(LINE, terminal=False) == [LINE.replace("[red]", "").replace("[/]", "")]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["refine", "db", "--budget", "3"], "see  lightmigrate refine --help"),
        (["migrate", "db", "--plan", "none.json"], "there is no file none.json; write one:  lightmigrate plan db"),
    ],
)
def test_a_mistake_is_answered_by_the_way_out(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert hint in capsys.readouterr().err
