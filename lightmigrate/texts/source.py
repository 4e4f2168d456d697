"""Where a collection's embedded texts come from: a form, and texts by id for records that store none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Page
from lightmigrate.texts.fields import fields_of
from lightmigrate.texts.forms import DOCUMENT, DOCUMENT_PLACE, FieldForm, TemplateForm, TextForm
from lightmigrate.texts.llamaindex import LlamaIndexForm
from lightmigrate.texts.openwebui import OpenWebUIForm

# The forms by their names in files. To add a form, write its class in a new file and list it here.
_FORMS: Mapping[str, Callable[..., TextForm]] = {
    DOCUMENT.kind: lambda: DOCUMENT,
    FieldForm.kind: FieldForm,
    TemplateForm.kind: TemplateForm,
    LlamaIndexForm.kind: LlamaIndexForm,
    OpenWebUIForm.kind: OpenWebUIForm,
}


@dataclass(frozen=True)
class TextSource:
    """Where the texts of a collection's records come from.

    Attributes:
        form: how a text is put together from a record.
        by_id: texts of records that store none; a stored text is newer and wins.
    """

    form: TextForm = DOCUMENT
    by_id: Mapping[str, str] = field(default_factory=dict)

    def texts_of(self, page: Page) -> Sequence[str | None]:
        """The embedded text of each record of a page, as it is stored; `None` for a record without one."""
        texts = page.texts
        if self.form != DOCUMENT:
            records = zip(page.texts, page.payloads, strict=True)
            texts = [self.form.text(document, fields_of(payload)) for document, payload in records]
        if not self.by_id:
            return texts
        stored = zip(page.ids, texts, strict=True)
        return [text if text and text.strip() else self.by_id.get(record, text) for record, text in stored]

    def applied(self, page: Page) -> Page:
        """The page with the embedded texts in place of the stored ones; only to be read."""
        return page if self == STORED else replace(page, texts=self.texts_of(page))


# The stored documents, and nothing else.
STORED = TextSource()

# What callers may give: a source, texts by id for records that store none, or nothing, so that the form is found.
Texts = TextSource | Mapping[str, str] | None


def by_id(texts: Texts) -> Mapping[str, str]:
    """The texts by id among what a caller gave."""
    return texts.by_id if isinstance(texts, TextSource) else texts or {}


def chosen_form(field: str = "", template: str = "") -> TextForm | None:
    """The form that a user names: a field (`document` is the stored document) or a template; `None` for neither.

    Raises:
        LightmigrateError: both are given, or the template cannot be read.
    """
    if field and template:
        raise LightmigrateError(f"texts are the field {field!r} or a template, not both: give one")
    if template:
        return TemplateForm(template)
    return None if not field else DOCUMENT if field == DOCUMENT_PLACE else FieldForm(field)


def form_to_json(form: TextForm) -> dict[str, str]:
    """As a plan, a journal or a projection keeps a form."""
    return {"kind": form.kind, **form.settings()}


def form_from_json(content: Mapping[str, object]) -> TextForm | None:
    """The form that `form_to_json` wrote; `None` for an empty mapping.

    Raises:
        LightmigrateError: it is no form of this lightmigrate.
    """
    if not content:
        return None
    kind, settings = content.get("kind"), {name: value for name, value in content.items() if name != "kind"}
    try:
        return _FORMS[str(kind)](**settings)
    except (KeyError, TypeError):
        raise LightmigrateError(
            f"texts of the kind {kind!r} are not known to this lightmigrate: upgrade it, or give --text-field NAME or "
            "--text-template TEMPLATE"
        ) from None
