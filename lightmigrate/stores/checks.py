"""What every store refuses before it writes a page: vectors of another length, ids that are taken, unknown columns."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

from lightmigrate.errors import DimensionError, LightmigrateError
from lightmigrate.stores.page import Page
from lightmigrate.vectors import Vectors


def require_dimension(vectors: Vectors, dimension: int | None, of: object = "a collection") -> None:
    """Raise `DimensionError` when there are vectors, and not `(n, dimension)`.

    Args:
        vectors: float32 `(n, d)`.
        dimension: that is needed; `None` for any.
        of: what they are for, as the message names it.
    """
    if len(vectors) and dimension is not None and vectors.shape[1] != dimension:
        found = int(vectors.shape[1])
        raise DimensionError(
            f"vectors of {found} numbers for {of}, which has {dimension}: project them first",
            expected=dimension,
            found=found,
        )


def require_unused(ids: Sequence[Hashable], taken: int) -> None:
    """Raise `LightmigrateError` when new records have ids that exist (`taken` of them), or the same id twice."""
    if taken := taken + len(ids) - len(set(ids)):
        raise LightmigrateError(f"{taken} of {len(ids)} ids are taken or given twice: use put")


def require_columns(page: Page, table: str, columns: Collection[str], *, text: bool) -> None:
    """Raise `LightmigrateError` when records have something that a table has no column for.

    Args:
        page: the records.
        table: its name.
        columns: of the payload.
        text: whether it has a column of texts.
    """
    unknown = {name for payload in page.payloads for name in payload or {} if name not in columns}
    if unknown or (not text and any(each is not None for each in page.texts)):
        missing = ", ".join(sorted(unknown)) or "of text"
        raise LightmigrateError(f"table {table} has no column {missing}: add one, or leave the value out")
