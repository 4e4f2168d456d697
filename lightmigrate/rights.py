"""Owner, group and modes of what replaces something: as before, or a line says for whom they are not."""

from __future__ import annotations

import shlex
import stat
from collections import Counter
from os import stat_result
from pathlib import Path

from lightmigrate.progress import logger
from lightmigrate.system import give_rights, is_member


class Rights:
    """Gives new files and folders the rights of those that they replace, one after another.

    Args:
        place: the database or collection that they belong to, as a message names it.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._given = 0
        self._missed: dict[Path, tuple[int, int]] = {}

    def give(self, path: Path, like: Path, name: Path) -> None:
        """Give an entry the owner, the group and the mode of another one, as far as this process may. Writes.

        Args:
            path: the entry.
            like: the one that it replaces, or that is like it.
            name: the path that it is going to have.
        """
        wanted = like.lstat() if path.is_symlink() else like.stat()
        give_rights(path, wanted)
        self._given += 1
        if locks_out(wanted, path.lstat()):
            self._missed[name] = wanted.st_uid, wanted.st_gid

    def warn(self) -> None:
        """Say in one line whether somebody may not use some entry any more, and what gives it back."""
        if not self._missed:
            return
        (owner, group), _ = Counter(self._missed.values()).most_common(1)[0]
        topmost = [name for name in self._missed if not self._missed.keys() & set(name.parents)]
        logger.warning(
            "%s: this user cannot keep the owner or the group of %d of %d files and folders, which locks out who may "
            "use them only as such; give them back as root:  chown -R %d:%d %s",
            self._place, len(self._missed), self._given, owner, group, shlex.join(map(str, sorted(topmost))),
        )  # fmt: skip


def locks_out(old: stat_result, new: stat_result) -> bool:
    """Whether somebody might use an entry who may not any more, now that its owner or its group is another one."""
    owner, group, others = (stat.S_IMODE(old.st_mode) >> shift & 7 for shift in (6, 3, 0))
    if old.st_gid != new.st_gid and group & ~others:
        return True
    if old.st_uid in (new.st_uid, 0):  # root may use everything
        return False
    return bool(owner & ~(group if is_member(old.st_uid, new.st_gid) else others))
