"""The page of a database as one file, for a pull request or a ticket: no scripts, nothing loaded, nothing to click."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from markupsafe import Markup

from lightmigrate.cli.show.databases import diagnosis
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.doctor import doctor
from lightmigrate.commands.look import CollectionLook, look
from lightmigrate.commands.overview import overview
from lightmigrate.commands.quality import CollectionQuality, quality
from lightmigrate.commands.search import Query, SideBySide, search
from lightmigrate.errors import LightmigrateError
from lightmigrate.files import replacing
from lightmigrate.stores.base import Address
from lightmigrate.version import __version__
from lightmigrate.versions import sample_version
from lightmigrate.web.pages import HERE, environment
from lightmigrate.web.plots import SIDE, Drawn, drawn, legend

# Collections that are drawn, the largest; and searches shown of each, with texts.
MOST_DRAWN, SEARCHES = 20, 3


@dataclass(frozen=True)
class Part:
    """What the report says of one collection."""

    look: CollectionLook
    quality: CollectionQuality
    versions: list[Drawn]
    legend: list[tuple[int, str, str]]
    searches: list[tuple[str, SideBySide]]


def write_report(
    database: DatabaseChoice, output: Path, *, with_text: bool = False, conversation: Conversation
) -> Path:
    """Write the report of a database. Only reads the database.

    Args:
        database: the database.
        output: the file, replaced at once when the report is complete.
        with_text: whether searches for stored records are shown side by side, with texts and ids; otherwise no text,
            no id and no metadata of a record is in the report.
        conversation: with the caller.

    Raises:
        LightmigrateError: the database cannot be read, or the file not be written.
    """
    with database.opened() as opened:
        text = _text(opened, with_text, conversation)
    try:
        with replacing(output) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise LightmigrateError(f"{output} cannot be written: {error.strerror}; name another file with -o") from None
    return output


def _text(database: DatabaseChoice, with_text: bool, conversation: Conversation) -> str:
    known = overview(database, conversation=conversation)
    filled = sorted((f for f in known.collections if f.count and f.dimension), key=lambda facts: -facts.count)
    parts = [_part(database, facts.address, with_text, conversation) for facts in filled[:MOST_DRAWN]]
    values = {
        "title": known.path.name,
        "version": __version__,
        "made": datetime.now(timezone.utc),
        "style": Markup((HERE / "static" / "page.css").read_text(encoding="utf-8")),  # noqa: S704  # our own file
        "overview": known,
        "doctor": diagnosis(doctor(database, conversation=conversation)),
        "parts": parts,
        "side": SIDE,
        "left_out": max(0, len(filled) - MOST_DRAWN),
    }
    return environment().get_template("report.html").render(values)


def _part(database: DatabaseChoice, address: Address, with_text: bool, conversation: Conversation) -> Part:
    name = str(address)
    looked = look(database, name, conversation=conversation)
    searches: list[tuple[str, SideBySide]] = []
    if with_text:
        page = sample_version(database.connect(), address, SEARCHES, None, lambda progress: None)
        for record in page.ids[:SEARCHES]:
            query = Query(record=record)
            searches.append((record, search(database, query, collection=name, conversation=conversation)))
    known = quality(database, name, conversation=conversation)
    return Part(looked, known, drawn(looked), legend(looked), searches)
