"""The databases that the page was started with: the only ones it opens."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.doctor import doctor
from lightmigrate.commands.overview import Overview, overview
from lightmigrate.commands.status import CollectionStatus, status
from lightmigrate.errors import AnotherRunError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address
from lightmigrate.stores.files import FileDatabase

if TYPE_CHECKING:
    from lightmigrate.doctor import Diagnosis
    from lightmigrate.stores.base import CollectionFacts


# So long a page waits for another page that reads the same database.
SECONDS_OF_A_VIEW = 3.0


def short_key(text: str) -> str:
    """A short name for an address: what is in a path of the page says nothing about paths of this machine."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@dataclass(frozen=True)
class State:
    """What is known of a database for a page.

    Attributes:
        overview: of the database; `None` where it could not be read yet.
        error: why not, or why it is an earlier one; empty when it is new.
    """

    overview: Overview | None
    error: str = ""


@dataclass(frozen=True)
class Examined:
    """What takes longer to find out.

    Attributes:
        diagnosis: what `doctor` finds.
        made: what `status` knows, by collection; without those that were not migrated.
    """

    diagnosis: Diagnosis
    made: Mapping[Address, CollectionStatus]


class PageDatabase:
    """One database of the page. One command at a time has it open: many stores take one client only.

    Files are also read while a command works on them.

    Args:
        choice: how the command line named it.
        expected_dim: dimension of the embedding model in use; collections of another one are marked.
    """

    def __init__(self, choice: DatabaseChoice, expected_dim: int | None = None) -> None:
        self.choice = choice
        self.expected_dim = expected_dim
        self.place = shlex.join(choice.words)
        self.key = short_key(self.place)
        self.title = PurePath(choice.words[0].rstrip("/")).name if len(choice.words) == 1 else self.place
        self._one_at_a_time = threading.Lock()
        self._is_files = False  # as far as is known
        self._overview: Overview | None = None
        self._examining = threading.Lock()
        self._examined: tuple[tuple[CollectionFacts, ...], Examined] | None = None

    @contextlib.contextmanager
    def opened(self, *, wait: bool = True) -> Iterator[DatabaseChoice]:
        """The database for one command, closed afterwards.

        Args:
            wait: for a command that works on it; otherwise `AnotherRunError` is raised while one does.

        Raises:
            DatabaseError: there is no database.
        """
        with contextlib.ExitStack() as stack:
            if wait or not self._is_files:
                if not self._one_at_a_time.acquire(timeout=-1 if wait else SECONDS_OF_A_VIEW):
                    raise AnotherRunError(f"a run is working on {self.place}: this shows what was known before it")
                stack.callback(self._one_at_a_time.release)
            choice = stack.enter_context(self.choice.opened())
            self._is_files = isinstance(choice.database, FileDatabase)
            yield choice

    def state(self) -> State:
        """What the database says of itself now; what it said last while a run works on it. Only reads."""
        try:
            with self.opened(wait=False) as choice:
                self._overview = overview(choice, conversation=AGREED)
        except (LightmigrateError, OSError) as error:
            return State(self._overview, str(error))
        return State(self._overview)

    def known(self, state: State) -> Examined | None:
        """What `examine` found while the collections were as they are in `state`; `None` if it did not look."""
        if state.overview is None or self._examined is None or self._examined[0] != state.overview.collections:
            return None
        return self._examined[1]

    def forget(self) -> None:
        """Look again when it is next asked for, because a run wrote to the database."""
        self._examined = None

    def examine(self, state: State, *, anew: bool = False) -> Examined | None:
        """What `doctor` and `status` find; of collections as they are in `state` it is found once. Only reads.

        Args:
            state: of the database now.
            anew: look again although nothing seems to have changed.

        Returns:
            `None` where it cannot be read, or while a run works on it.
        """
        with self._examining:
            known = self.known(state)
            if state.overview is None or state.error or (known is not None and not anew):
                return known
            try:
                with self.opened(wait=False) as choice:
                    found = Examined(doctor(choice, self.expected_dim, conversation=AGREED), _made(choice))
            except (LightmigrateError, OSError) as error:
                logger.warning("%s cannot be examined: %s", self.place, error)
                return known
            self._examined = (state.overview.collections, found)
            return found


def _made(choice: DatabaseChoice) -> dict[Address, CollectionStatus]:
    """Where vectors come from, for the collections of which that is known."""
    try:
        return {one.address: one for one in status(choice, conversation=AGREED)}
    except LightmigrateError:  # nothing was migrated
        return {}


class PageDatabases:
    """All databases of the page, by key.

    Args:
        choices: as the command line named them; the same one twice is one.
        expected_dim: see `PageDatabase`.
    """

    def __init__(self, choices: Sequence[DatabaseChoice], expected_dim: int | None = None) -> None:
        databases = (PageDatabase(choice, expected_dim) for choice in choices)
        self._by_key = {database.key: database for database in databases}

    def __iter__(self) -> Iterator[PageDatabase]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> PageDatabase | None:
        """The database with a key, if the page was started with it."""
        return self._by_key.get(key)
