"""What a new database of files is compared with, besides the drafts of its new vectors: the old one, in its copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from lightmigrate.errors import VerificationError
from lightmigrate.migration.digest import Digest, digest_of
from lightmigrate.migration.options import Verify
from lightmigrate.migration.request import Request
from lightmigrate.stores.base import Address, CollectionFacts, Page, Store
from lightmigrate.stores.files import ReadsFiles, RecordsInFiles


def records_in_files(store: Store, address: Address, verify: Verify) -> RecordsInFiles | None:
    """All records of a collection in the files; `None` where the store is to be asked for them. Only reads."""
    if verify == "full" or not isinstance(store, ReadsFiles):
        return None
    return store.records_in_files(address)


def digests_of(store: Store, address: Address, page_size: int, verify: Verify, *, vectors: bool) -> tuple[str, str]:
    """Digests of the records of a collection, and of their vectors, to be compared with those of later. Only reads.

    Args:
        store: the open store.
        address: of the collection.
        page_size: records held in memory at once.
        verify: see `MigrationOptions`.
        vectors: whether its vectors can be read.
    """
    in_files = records_in_files(store, address, verify) if vectors else None
    if in_files is None:
        digest = digest_of(store.collection(address), page_size, vectors=vectors)
        return digest.content, digest.vectors
    digest = Digest()
    for page in in_files.scan(page_size, contents=False):
        digest.add_vectors(page)
    return in_files.contents_sha256(), digest.vectors


def with_contents(drafted: Iterable[Page], old: Iterable[Page]) -> Iterator[Page]:
    """Pages of old records with the vectors that were drafted for them.

    Raises:
        VerificationError: they are not the same records, in the same order.
    """
    for page, held in zip_longest(drafted, old):
        if page is None or held is None or list(page.ids) != list(held.ids):
            raise VerificationError("the old records changed while they were compared; run this again")
        yield held.with_vectors(page.vectors)


def require_catalog(
    requests: Sequence[Request], before: Sequence[CollectionFacts], after: Sequence[CollectionFacts]
) -> None:
    """Check that there are the same collections and counts, and only the requested dimensions and distances changed.

    Raises:
        VerificationError: something else changed.
    """
    dimensions = {request.address: request.projection.info.target.dimension for request in requests}
    expected = {f.address: (f.count, dimensions.get(f.address, f.dimension)) for f in before}
    emptied = {f.address: (0, None) for f in before if not f.count and f.address in dimensions}
    expected.update(emptied)  # the first record determines the dimension
    actual = {f.address: (f.count, f.dimension) for f in after}
    distances = {f.address: f.space for f in after}
    for request in requests:
        if request.distance not in (None, distances.get(request.address)):
            raise VerificationError(
                f"collection {request.address}: its distance should be {request.distance} and is "
                f"{distances.get(request.address)}; the new database was deleted"
            )
    if expected != actual:
        wrong = next(a for a in expected.keys() | actual.keys() if expected.get(a) != actual.get(a))
        raise VerificationError(
            f"collection {wrong}: (records, dimension) should be {expected.get(wrong)} and is {actual.get(wrong)}; "
            "the new database was deleted"
        )
