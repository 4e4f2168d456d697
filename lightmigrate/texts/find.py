"""Finds where a collection's embedded texts come from: proposed from its records, checked by measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lightmigrate.errors import AmbiguousTextsError
from lightmigrate.providers.base import Provider
from lightmigrate.quality.metrics import unit
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.texts.candidates import Candidate, candidates_in
from lightmigrate.texts.explained import FEWEST, Errors, Explanation, errors_of
from lightmigrate.texts.forms import DOCUMENT, DocumentForm, FieldForm, TemplateForm, TextForm
from lightmigrate.texts.not_texts import rows_by_uri
from lightmigrate.texts.source import TextSource
from lightmigrate.vectors import Vectors, evenly, finite_rows, meaningful

# Records that are looked at, and those of them that a model embeds once for each candidate.
SAMPLED, EMBEDDED = 400, 16

# A model that makes vectors at this cosine of the stored ones embedded these texts, perhaps behind a prefix; and the
# best candidate must be nearer than the next by so much.
RECOGNISED, NEARER = 0.7, 0.0005

# Known by: `only`, no other texts are there; `measured`, a model embedded the texts of each candidate; `explained`,
# these texts predict the vectors better than others; `application`, the records are of an application that embeds
# this, and nothing speaks against it; `undecided`, none of these.
How = Literal["only", "measured", "explained", "application", "undecided"]


@dataclass(frozen=True)
class CandidateTexts(Result):
    """One candidate and how it did.

    Attributes:
        texts: the form, in words.
        form: the form.
        explanation: how well its texts explain the vectors; `None` where that was not needed, or with too few records.
        cosine: median cosine of the stored vectors and the model's of its texts; `None` without a model.
    """

    texts: str
    form: TextForm
    explanation: Explanation | None
    cosine: float | None

    def to_json(self) -> dict[str, object]:
        """All but the form, which `texts` names."""
        explained = None if self.explanation is None else self.explanation.to_json()
        return {"texts": self.texts, "explanation": explained, "cosine": self.cosine}


@dataclass(frozen=True)
class FoundTexts(Result):
    """Where the texts of a collection come from, as far as its records tell.

    Attributes:
        address: the collection.
        how: how that is known.
        candidates: all that were considered, the chosen one first; none for records without any text.
        without_text: sampled records in which the chosen form finds no text.
        sampled: sampled records.
        by_uri: those without a text that have the address of something else, such as an image.
        perhaps: a template of a field and the document that explains the vectors clearly better than the document, as
            the words of a title may do also where it was not embedded; `None` for none.
    """

    address: Address
    how: How
    candidates: tuple[CandidateTexts, ...]
    without_text: int
    sampled: int
    by_uri: int = 0
    perhaps: TemplateForm | None = None

    @property
    def form(self) -> TextForm:
        """The form that was found; the document where nothing else was."""
        return self.candidates[0].form if self.candidates else DOCUMENT

    @property
    def unexplained(self) -> bool:
        """Whether the chosen texts say nothing about the vectors, although there are enough to tell."""
        explained = self.candidates[0].explanation if self.candidates else None
        return explained is not None and not explained.clear and self.how != "measured"

    def to_json(self) -> dict[str, object]:
        """As plain JSON values; `texts` says in words what was found."""
        return {
            "texts": str(self),
            "how": self.how,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "without_text": self.without_text,
            "sampled": self.sampled,
            "by_uri": self.by_uri,
            "perhaps": None if self.perhaps is None else str(self.perhaps),
        }

    def __str__(self) -> str:
        if not self.candidates:
            return "no record has a text"
        (first, *others), because = self.candidates, ""
        explained = [each for each in others if each.explanation is not None]
        if first.explanation is not None:
            because = f", which explains {first.explanation.share:.1%} of the vectors' variance"
        if explained:
            compared = "clearly more than" if self.how == "explained" else "which cannot be told apart from"
            shares = [f"{each.texts} ({each.explanation.share:.1%})" for each in explained if each.explanation]
            because += f", {compared} {', '.join(shares)}"
        if self.how == "measured":
            because = f": the model's vectors of it are at a median cosine of {first.cosine:.3f} to the stored ones"
            because += "".join(f", of {other.texts} {other.cosine:.3f}" for other in others if other.cosine is not None)
        return f"{first.texts}{because}"

    def require_decided(self) -> None:
        """Raise `AmbiguousTextsError` when the candidates differ and cannot be told apart, or explain nothing."""
        options = " or ".join(option for candidate in self.candidates if (option := option_for(candidate.form)))
        if self.how == "undecided":
            raise AmbiguousTextsError(
                f"collection {self.address}: its records have no document, and {len(self.candidates)} fields of the "
                f"metadata that may be what was embedded, which cannot be told apart; choose with {options} "
                "(auto_migrate: text_field=…)",
                candidates=[candidate.texts for candidate in self.candidates],
            )
        if self.unexplained and isinstance(self.form, FieldForm):
            raise AmbiguousTextsError(
                f"collection {self.address}: its records have no document, and {self.form} does not explain the "
                f"vectors; if it was embedded all the same, say {options} (auto_migrate: text_field=…), or give the "
                "texts by id: --texts FILE.jsonl",
                candidates=[str(self.form)],
            )


def option_for(form: TextForm) -> str:
    """The option of the command line that chooses a form; empty where a form is only found."""
    if isinstance(form, FieldForm):
        return f"--text-field {form.field}"
    if isinstance(form, TemplateForm):
        return f"--text-template {form.template!r}"
    return "--text-field document" if isinstance(form, DocumentForm) else ""


def find_texts(collection: Collection, model: Provider | None = None, *, beside_documents: bool = False) -> FoundTexts:
    """Find where a collection's embedded texts come from. Only reads; calls the model only to compare candidates.

    Args:
        collection: the open collection.
        model: the model that may have made the stored vectors, if it is at hand.
        beside_documents: also consider fields of records that have documents.

    Raises:
        ProviderError: the model fails.
    """
    return found_in(collection.sample(SAMPLED), collection.address, model, beside_documents=beside_documents)


def found_in(
    page: Page, address: Address, model: Provider | None = None, *, beside_documents: bool = False
) -> FoundTexts:
    """`find_texts` in some records of a collection."""
    page = page.rows(np.flatnonzero(meaningful(page.vectors)).tolist())
    candidates = candidates_in(page, beside_documents=beside_documents)
    texts = [TextSource(candidate.form).texts_of(page) for candidate in candidates]
    different = [place for place, column in enumerate(texts) if column not in texts[:place]]
    candidates, texts = [candidates[place] for place in different], [texts[place] for place in different]
    common = [row for row in range(len(page)) if all(_is_text(each[row]) for each in texts)]
    vectors = page.vectors[common]
    columns = [[each[row] or "" for row in common] for each in texts]
    cosines = _measured(columns, vectors, model)
    errors = _explained(candidates, columns, vectors) if cosines is None else None
    how, order = _decided(candidates, cosines, errors)
    perhaps = None if errors is None else _perhaps(candidates, errors)
    described = [
        CandidateTexts(
            str(candidates[place].form),
            candidates[place].form,
            None if errors is None else errors[place].explanation(),
            None if cosines is None else cosines[place],
        )
        for place in order
    ]
    own = texts[order[0]] if order else page.texts
    without = sum(not _is_text(text) for text in own)
    return FoundTexts(address, how, tuple(described), without, len(page), rows_by_uri(page, own), perhaps)


def _measured(columns: Sequence[Sequence[str]], vectors: Vectors, model: Provider | None) -> list[float] | None:
    """The median cosine of each candidate, if there are several and the model makes vectors of this dimension.

    `None` also where the model recognises none of them: it is another one.
    """
    if model is None or len(columns) < 2 or not len(vectors) or model.model.dimension != vectors.shape[1]:
        return None
    rows = evenly(len(vectors), EMBEDDED)
    embedded = [model.embed_each([column[row] for row in rows]) for column in columns]
    taken = np.logical_and.reduce([finite_rows(new) for new in embedded])
    if not taken.any():
        return None
    held = unit(np.asarray(vectors[rows][taken], np.float64))
    cosines = [float(np.median(np.sum(held * unit(np.asarray(new[taken], np.float64)), axis=1))) for new in embedded]
    return cosines if max(cosines) >= RECOGNISED else None


def _explained(
    candidates: Sequence[Candidate], columns: Sequence[Sequence[str]], vectors: Vectors
) -> list[Errors] | None:
    """The errors of each candidate; `None` for documents alone, which need no check, and for too few records."""
    if len(vectors) < FEWEST or [candidate.form for candidate in candidates] in ([], [DOCUMENT]):
        return None
    return [errors_of(column, vectors) for column in columns]


def _decided(
    candidates: Sequence[Candidate], cosines: Sequence[float] | None, errors: Sequence[Errors] | None
) -> tuple[How, list[int]]:
    """How the first candidate is known, and the candidates in order."""
    order = list(range(len(candidates)))
    if len(order) < 2:
        return "only", order
    if cosines is not None:
        # Of texts that a model cannot tell apart, such as line breaks and spaces, the application's own is taken.
        best = max(cosines)
        order.sort(key=lambda place: (cosines[place] < best - NEARER, place))
        return "measured", order
    hinted = candidates[0].application or candidates[0].form == DOCUMENT
    if errors is not None:
        # A template of a title and the document is not decided by words: see `_perhaps`.
        rivals = [place for place in order if not isinstance(candidates[place].form, TemplateForm)]
        for place in rivals[1:]:
            if all(errors[place].clearly_below(errors[other]) for other in order if other != place):
                return "explained", [place, *(other for other in order if other != place)]
        if len(rivals) > 1 and all(errors[0].clearly_below(errors[other]) for other in rivals[1:]):
            return "explained", order
    return ("application" if hinted else "undecided"), order


def _perhaps(candidates: Sequence[Candidate], errors: Sequence[Errors]) -> TemplateForm | None:
    """The template that explains the vectors best, if it does so clearly better than the document.

    That does not show that it was embedded. Of 400 abstracts each, title and text explained 1 to 2 % more of the
    variance than the text where both had been embedded (13 to 21 standard errors; MiniLM, mpnet, potion, USE), but also
    where the text contained the title (up to 10; MiniLM, mpnet), and of 300 parts of them where only the text had been
    embedded (10.7; MiniLM): a title tells the subject, which such models find in the text.
    """
    document = next((place for place, each in enumerate(candidates) if each.form == DOCUMENT), None)
    if document is None:
        return None
    better = [
        (float(errors[place].each.mean()), each.form)
        for place, each in enumerate(candidates)
        if isinstance(each.form, TemplateForm) and errors[place].clearly_below(errors[document])
    ]
    return min(better, key=lambda pair: pair[0])[1] if better else None


def _is_text(text: str | None) -> bool:
    return bool(text and text.strip())
