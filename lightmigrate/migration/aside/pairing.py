"""Which collection of a database is which of its backup: the store's own id tells it under another name, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightmigrate.stores.base import Address
from lightmigrate.stores.files import FileDatabase


@dataclass(frozen=True)
class Pair:
    """One collection; at least one of the two has it.

    Attributes:
        live: where the live database has it; `None` where it was deleted.
        old: where the backup has it; `None` where it is new.
    """

    live: Address | None
    old: Address | None

    @property
    def address(self) -> Address:
        """Where it is, or was."""
        address = self.live or self.old
        assert address is not None  # noqa: S101  # see the class
        return address

    def known(self, writes: Mapping[Address, int], *, as_live: bool) -> int:
        """Its last write among those that were noted when both had one name; 0 where there was none.

        Args:
            writes: what was noted.
            as_live: whether that is the name it has in the live database rather than in the backup.
        """
        for address in (self.live, self.old) if as_live else (self.old, self.live):
            if address is not None and address in writes:
                return writes[address]
        return 0


def paired(live: FileDatabase, backup: FileDatabase) -> list[Pair]:
    """All collections of two databases, by address. Only reads.

    Those with one id are one collection; of the others, which a migration may have made anew, those with one address.
    """
    ours = {facts.address: facts.id for facts in live.catalog()}
    theirs = {facts.address: facts.id for facts in backup.catalog()}
    by_id = {identity: address for address, identity in theirs.items() if identity}
    found = {address: by_id[identity] for address, identity in ours.items() if identity in by_id}
    taken = set(found.values())
    found |= {address: address for address in ours if address not in found and address in theirs.keys() - taken}
    pairs = [Pair(address, found.get(address)) for address in ours]
    pairs += [Pair(None, address) for address in theirs.keys() - set(found.values())]
    return sorted(pairs, key=lambda pair: str(pair.address))
