"""The versions of a table that lightmigrate keeps, by the names of branches that hold them.

Lance deletes old versions when an application cleans up, and refuses the whole cleaning where one of them has a tag. A
branch keeps its version, and the cleaning goes on. Two branches belong to an exchange: of the version before it, which
is the backup, and of the version that it made. The first is created before the commit. So it stands for a backup only
if that commit is there.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from lightmigrate.stores.lance.table import PREFIX, Table

_BEFORE = re.compile(rf"{PREFIX}old-(?P<key>\w+)-(?P<token>\w+)-(?P<column>[0-9a-f]*)")

# The token of a restoration names the version that it restored.
_RESTORED = re.compile(r"r(\d+)x\w+")

# The token of a copy of a backup, to which later changes are carried, names the column of the backup.
_CARRIED = re.compile(r"s(\d+)x([0-9a-f]*)x[0-9a-f]+")


@dataclass(frozen=True)
class Exchanged:
    """One exchange that has happened, and the backup that it left.

    Attributes:
        key: of the backup; see `Version`.
        token: of the exchange.
        column: the vector column.
        before: the version of the table that is the backup.
        after: the version that the exchange made.
    """

    key: str
    token: str
    column: str
    before: int
    after: int


def message_of(token: str) -> str:
    """What is kept with the commit of an exchange."""
    return f"lightmigrate exchange {token}"


def before_name(key: str, token: str, column: str) -> str:
    """The branch of the version before an exchange."""
    return f"{PREFIX}old-{key}-{token}-{column.encode().hex()}"


def after_name(token: str) -> str:
    """The branch of the version that an exchange made."""
    return f"{PREFIX}made-{token}"


def restored_token(version: int, random: str) -> str:
    """The token of a restoration of a version."""
    return f"r{version}x{random}"


def carried_token(number: int | None, token: str, random: str) -> str:
    """The token of a copy of a backup.

    Args:
        number: Lance's own of the column of the backup.
        token: of the migration that made that column.
        random: hexadecimal digits.
    """
    named = f"s{number}x{token}x{random}"
    return named if _CARRIED.fullmatch(named) else random


def origin_of(number: int | None, token: str) -> tuple[int | None, str]:
    """Number and token of the column whose vectors a column holds: those of the backup where it is a copy of one."""
    match = _CARRIED.fullmatch(token)
    return (int(match[1]), match[2]) if match else (number, token)


def exchanges_of(table: Table) -> list[Exchanged]:
    """The exchanges whose backups are kept, the oldest first; only reads."""
    branches, found, restored = table.branches(), [], set()
    for name, version in branches.items():
        match = _BEFORE.fullmatch(name)
        if match is None:
            continue
        token = match["token"]
        column = bytes.fromhex(match["column"]).decode()
        after = branches.get(after_name(token)) or _found_after(table, token, column, version)
        if after is None:
            continue
        if again := _RESTORED.fullmatch(token):
            restored.add(int(again[1]))
        found.append(Exchanged(match["key"], token, column, version, after))
    return sorted((each for each in found if each.before not in restored), key=lambda each: each.before)


def _found_after(table: Table, token: str, column: str, before: int) -> int | None:
    """The version that an exchange made, where a crash left no branch of it; `None` when it did not happen.

    When the application has deleted that version, the column tells whether it happened: it is another one.
    """
    after = table.committed(message_of(token), before)
    if after is not None or table.latest().version == before:
        return after
    old, new = (dataset.lance_schema.field(column) for dataset in (table.at(before), table.latest()))
    oldest = table.oldest_after(before)
    if oldest == before + 1 or old is None or new is None or old.id() == new.id():
        return None
    return oldest


def keep_after(table: Table, token: str, version: int) -> None:
    """Keep the version that an exchange made. Writes."""
    if after_name(token) not in table.branches():
        table.keep(after_name(token), version)


def forget(table: Table, key: str, token: str, column: str) -> None:
    """Let both versions of an exchange be deleted. Writes."""
    for name in (after_name(token), before_name(key, token, column)):
        if name in table.branches():
            with contextlib.suppress(ValueError):
                table.release(name)


def tidy(table: Table) -> bool:
    """Complete what a crash left of the branches of an exchange, done or not; whether there was something. Writes."""
    known, branches = {each.token: each for each in exchanges_of(table)}, table.branches()
    begun = {match["token"]: name for name in branches if (match := _BEFORE.fullmatch(name))}
    tidied = False
    for token, each in known.items():
        if after_name(token) not in branches:
            keep_after(table, token, each.after)
            tidied = True
    needless = [name for token, name in begun.items() if token not in known]
    needless += [name for name in branches if name not in begun.values() and name not in map(after_name, known)]
    for name in needless:
        table.release(name)
    return tidied or bool(needless)
