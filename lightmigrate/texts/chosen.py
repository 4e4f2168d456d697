"""The texts of a collection: those that the caller chose, or those that are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightmigrate.errors import AmbiguousTextsError
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.stores.base import Collection
from lightmigrate.texts.candidates import candidates_in
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.find import SAMPLED, find_texts, option_for
from lightmigrate.texts.forms import DOCUMENT, FieldForm
from lightmigrate.texts.source import STORED, Texts, TextSource, form_from_json, form_to_json

# Where the header of a projection says which texts it was trained on.
FORM_FACT = "texts"


def chosen_texts(collection: Collection, texts: Texts = None, model: Provider | None = None) -> TextSource:
    """The source of a collection's texts: the given one, or the one that its records tell. Only reads.

    Args:
        collection: the open collection.
        texts: a source, which is taken as it is; or texts by id, beside which the form is found; or nothing.
        model: the model that may have made the stored vectors; see `find_texts`.

    Raises:
        AmbiguousTextsError: several sources are possible and cannot be told apart.
    """
    if isinstance(texts, TextSource):
        return texts
    found = find_texts(collection, model)
    if texts:  # a field that nobody named does not come before texts that the caller gave
        return TextSource(DOCUMENT if isinstance(found.form, FieldForm) else found.form, texts)
    found.require_decided()
    return TextSource(found.form)


def with_texts(collection: Collection, texts: Texts = None, model: Provider | None = None) -> WithTexts:
    """The collection with its embedded texts in place of its documents; see `chosen_texts`. Only reads."""
    if isinstance(collection, WithTexts):
        return collection
    return WithTexts(collection, chosen_texts(collection, texts, model))


def texts_of_records(collection: Collection, texts: Texts = None) -> TextSource:
    """`chosen_texts` for a collection whose vectors cannot be read: by its records alone. Only reads.

    Raises:
        AmbiguousTextsError: its records have no document, and several fields that may be what was embedded.
    """
    if isinstance(texts, TextSource):
        return texts
    page = next(collection.scan(SAMPLED, vectors=False), None)
    forms = [candidate.form for candidate in candidates_in(page)] if page is not None else []
    fields = [form for form in forms if isinstance(form, FieldForm)]
    if texts or not forms:
        return TextSource(DOCUMENT if not forms or forms[0] in fields else forms[0], texts or {})
    if forms[0] in fields and len(fields) > 1:
        options = " or ".join(map(option_for, fields))
        raise AmbiguousTextsError(
            f"collection {collection.address}: its records have no document, and {len(fields)} fields of the metadata "
            f"that may be what was embedded; choose with {options}",
            candidates=[str(form) for form in fields],
        )
    return TextSource(forms[0])


def texts_for(projection: Projection, collection: Collection, texts: Texts) -> TextSource:
    """The texts that a projection reads in a migration: the given ones, those it was trained on, or those found.

    Args:
        projection: of the migration.
        collection: to be migrated; only read.
        texts: as for `chosen_texts`.

    Raises:
        AmbiguousTextsError: as `chosen_texts`, for a projection that reads texts.
    """
    if isinstance(texts, TextSource):
        return texts
    if not projection.reads_texts:
        return STORED if not texts else TextSource(by_id=texts)
    stated = projection.info.training.get(FORM_FACT)
    form = form_from_json(stated) if isinstance(stated, Mapping) else None
    return chosen_texts(collection, texts) if form is None else TextSource(form, texts or {})


def stated_form(collections: Sequence[WithTexts], texts: Texts) -> dict[str, Any]:
    """What the header of a projection says about the texts that it was trained on.

    Args:
        collections: those that it was trained on.
        texts: what the caller chose.

    Returns:
        Their form, if it is the same in all; nothing for documents that nobody chose.
    """
    forms = {collection.source.form for collection in collections}
    if len(forms) != 1 or (forms == {DOCUMENT} and not isinstance(texts, TextSource)):
        return {}
    return {FORM_FACT: form_to_json(forms.pop())}
