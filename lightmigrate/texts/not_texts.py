"""Records that are no text: images and other files, stored by the address (`uri`) of what was embedded.

A projection is fitted to texts and judged by texts. What it makes of the vectors of images nobody has measured: models
of both put them in different places (Liang et al. 2022, the modality gap).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lightmigrate.errors import NotTextsError
from lightmigrate.stores.base import Address, Page
from lightmigrate.texts.fields import fields_of

# What stores call the address of what was embedded.
URI_FIELD = "uri"

# Up to this share of the records they are outliers, which are counted and projected like all others.
FEW = 0.02


def rows_by_uri(page: Page, texts: Sequence[str | None]) -> int:
    """The number of records of a page that have the address of something, and no text."""
    records = zip(page.payloads, texts, strict=True)
    return sum(
        isinstance(fields_of(payload).get(URI_FIELD), str) for payload, text in records if not (text and text.strip())
    )


def require_texts(address: Address, by_uri: int, sampled: int) -> None:
    """Raise `NotTextsError` when more than a few of the sampled records of a collection are no texts."""
    if by_uri > FEW * sampled:
        raise NotTextsError(
            f"collection {address}: {by_uri} of {sampled} sampled records have a uri and no text, such as images, "
            "and a projection is fitted to texts and judged by texts: move them to a collection of their own and embed "
            "them again there; or project their vectors all the same, which nobody has measured:  lightmigrate migrate "
            f"DATABASE --collection {shlex.quote(str(address))} --calibrate 500 --target-model MODEL --force",
            by_uri=by_uri,
            sampled=sampled,
        )
