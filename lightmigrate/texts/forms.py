"""How the text that was embedded is put together from a record: its document, a field, a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from lightmigrate.errors import LightmigrateError
from lightmigrate.texts.fields import Fields
from lightmigrate.texts.template import filled, places_of

# The place of a template that stands for the stored document.
DOCUMENT_PLACE = "document"


class TextForm(Protocol):
    """How the embedded text is put together. Equal forms give equal texts; `str` describes one in a few words."""

    @property
    def kind(self) -> str:
        """Its name in files."""

    def text(self, document: str | None, fields: Fields) -> str | None:
        """The text that was embedded, or is to be; `None` for a record without one. Never raises.

        Args:
            document: what the store keeps as the record's text.
            fields: the application's fields of the record (`fields_of`).
        """

    def settings(self) -> Mapping[str, str]:
        """What tells it from others of its kind, for files."""


@dataclass(frozen=True)
class DocumentForm:
    """The stored document itself."""

    kind: ClassVar[str] = "document"

    def __str__(self) -> str:
        return "the document"

    def text(self, document: str | None, fields: Fields) -> str | None:
        """The document."""
        return document

    def settings(self) -> Mapping[str, str]:
        """None."""
        return {}


DOCUMENT = DocumentForm()


@dataclass(frozen=True)
class FieldForm:
    """A field of the metadata; the document for a record without it.

    Attributes:
        field: its name.
    """

    field: str
    kind: ClassVar[str] = "field"

    def __str__(self) -> str:
        return f"the metadata field {self.field!r}"

    def text(self, document: str | None, fields: Fields) -> str | None:
        """The field, if it holds a text."""
        value = fields.get(self.field)
        return value if isinstance(value, str) and value.strip() else document

    def settings(self) -> Mapping[str, str]:
        """Its name."""
        return {"field": self.field}


@dataclass(frozen=True)
class TemplateForm:
    """A template with places for fields of the metadata and for the document, such as `"{title}: {document}"`.

    Attributes:
        template: see above; a field that a record lacks is empty, and a record that lacks all has no text.

    Raises:
        LightmigrateError: the template cannot be read, or has no place.
    """

    template: str
    kind: ClassVar[str] = "template"

    def __post_init__(self) -> None:
        if not self.places:
            raise LightmigrateError(
                "the template of texts has no place; name the document or a field: {document}, {NAME_OF_A_FIELD}"
            )

    def __str__(self) -> str:
        return f"a template of the metadata and the document ({', '.join(dict.fromkeys(places_of(self.template)))})"

    def text(self, document: str | None, fields: Fields) -> str | None:
        """The template, filled in."""
        values = {name: _value(document if name == DOCUMENT_PLACE else fields.get(name)) for name in self.places}
        return filled(self.template, values.__getitem__) if any(map(str.strip, values.values())) else None

    @property
    def places(self) -> list[str]:
        """The names of its places."""
        return places_of(self.template)

    def settings(self) -> Mapping[str, str]:
        """The template."""
        return {"template": self.template}


def _value(value: object) -> str:
    return "" if value is None else str(value)
