"""The draft of a collection is written, page by page, into a new one beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightmigrate.migration.folder.draft import Draft
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.stores.base import Collection, Store


def rewrite(
    store: Store,
    source: Collection,
    embedding_function: Mapping[str, Any] | None,
    draft: Draft,
    name: str,
    page_size: int,
    on_progress: OnProgress,
    partial: Collection | None = None,
) -> Collection:
    """Write the draft of `source` into a new collection called `name`, in the same order.

    Args:
        store: holds the source; the new collection is made in the same database.
        source: the collection to take after.
        embedding_function: `name` and `config` to record; `None` keeps the source's.
        draft: the records with their new vectors.
        name: a free name.
        page_size: records held in memory at once.
        on_progress: hears about every page.
        partial: what an interrupted call has written: the first records, because each write is whole or not at all.
    """
    if partial is not None and not partial.count():  # it may have been created only in part
        partial.delete()
        partial = None
    target = partial or store.create_like(source, name, embedding_function)
    done = target.count()
    for page in draft.pages(page_size, done):
        target.add(page)
        done += len(page)
        on_progress(Progress("write", done, draft.baseline.records, source.address.name))
    return target
