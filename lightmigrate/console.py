"""How results look in a terminal: tables on stdout, progress and questions on stderr."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lightmigrate.demo.demo import Search
    from lightmigrate.migration.backup import Backup
    from lightmigrate.migration.doctor import Diagnosis, Look
    from lightmigrate.migration.plan import Plan
    from lightmigrate.migration.results import Check, MigrationResult, Mismatch, Rollback
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.base import Bill
    from lightmigrate.quality.retention import Estimate, Retention
    from lightmigrate.registry.entry import Entry
    from lightmigrate.registry.library import Candidate
    from lightmigrate.registry.problem import Problem
    from lightmigrate.registry.registry import Registry
    from lightmigrate.training import Reading, Training

# soft_wrap: a path or a command that is broken over two lines cannot be copied
output = Console(soft_wrap=True, highlight=False)
messages = Console(stderr=True, soft_wrap=True, highlight=False)


def command(*words: object) -> str:
    """A command line as it can be pasted into a shell."""
    return shlex.join(["lightmigrate", *map(str, words)])


def next_command(*words: object, why: str = "next") -> Text:
    """The line every command ends with."""
    return Text.assemble(f"\n{why}:  ", (command(*words), "bold cyan"))


def diagnosis(found: Diagnosis) -> RenderableType:
    """What `doctor` shows."""
    table = _table("collection", "records", "dimension", "vectors", "distance", "embedding function")
    wrong = {(m.tenant, m.database, m.name) for m in found.mismatches}
    for facts in found.collections:
        dimension = "–" if facts.dimension is None else str(facts.dimension)
        if (facts.tenant, facts.database, facts.name) in wrong:
            dimension = f"[bold red]{dimension} ≠ {found.expected_dim}[/]"
        function = escape(facts.embedding_function["name"]) if facts.embedding_function else "not recorded"
        if str(facts.address) in found.models:
            function += f" (vectors of {escape(found.models[str(facts.address)])})"
        look = _look(found.looks.get(str(facts.address)))
        table.add_row(str(facts.address), f"{facts.count:,}", dimension, look, facts.space, function)
    lines = [f"[bold]{found.path}[/]"]
    if found.bytes is not None:
        lines = [f"[bold]{found.path}[/]  ({_size(found.bytes)})", *_surroundings(found)]
    if found.backups:
        lines.append(f"backups: {', '.join(found.backups)}")
    if found.interrupted:
        lines.append("[yellow]a migration was interrupted[/]: lightmigrate resume goes on with it, or undoes it")
    return Group(*lines, table)


def _look(look: Look | None) -> str:
    if look is None or look.shortest is None or look.longest is None:
        said = "–" if look is None else ""
    elif look.longest - look.shortest < 0.01 * look.longest:
        said = f"length {look.longest:.2f}"
    else:
        said = f"lengths {look.shortest:.2f}–{look.longest:.2f}"
        if 0 < look.of_length_one < look.vectors - look.invalid:
            said += f", {look.of_length_one} of {look.vectors} scaled to 1"
    if look is not None and look.invalid:
        said += f" [bold red]{look.invalid} of {look.vectors} mean nothing[/]"
    if look is not None and look.models:
        said += f" [bold red]rows of {len(look.models)} models: {', '.join(map(str, look.models))} of {look.vectors}[/]"
    return said.strip()


def _surroundings(found: Diagnosis) -> list[str]:
    """Who has a folder open, and what the disk has room for."""
    lines = []
    if found.used_by is None:
        lines.append("open elsewhere: this system does not tell; make sure that nothing else has it open")
    elif found.used_by:
        who = ", ".join(f"{pid} ({name})" for pid, name in found.used_by.items())
        lines.append(f"[yellow]open in process {who}[/]: stop it before migrating")
    else:
        lines.append("open elsewhere: no")
    if found.free_bytes is not None and found.needed_bytes is not None:
        room = "" if found.free_bytes >= found.needed_bytes else "[bold red] – not enough[/]"
        needed, free = _size(found.needed_bytes), _size(found.free_bytes)
        lines.append(f"disk: migrating all of it needs {needed}, {free} free{room}")
    return lines


def plan(made: Plan) -> RenderableType:
    """What `plan` shows."""
    table = _table("collection", "records", "dimension", "model", "expected quality")
    for one in made.collections:
        table.add_row(
            str(one.address),
            f"{one.count:,}",
            f"{one.current_dim} → {one.target_dim}",
            f"{one.source_model} → {one.target_model}",
            _quality(one.quality),
        )
    lines = [f"[bold]{made.path}[/]"]
    if made.untouched:
        lines.append(f"untouched: {', '.join(made.untouched)}")
    if made.needed_bytes:  # a server's disk cannot be seen
        enough = "" if made.free_bytes >= made.needed_bytes else "[bold red] – not enough[/]"
        lines.append(f"disk: {_size(made.needed_bytes)} needed, {_size(made.free_bytes)} free{enough}")
    return Group(*lines, table)


def migrated(results: Sequence[MigrationResult]) -> RenderableType:
    """What `migrate` shows."""
    lines: list[RenderableType] = []
    for result in results:
        lines.append(
            f"[green]✓[/] [bold]{result.collection_name}[/]: {result.n_migrated:,} records, "
            f"{result.previous_dim} → {result.current_dim} dimensions"
        )
        if result.verification is None:
            lines.append("  not verified: only the number of records and the dimension were looked at")
        else:
            checked = result.verification
            lines.append(
                f"  verified: every id, document, metadata, uri and vector; distance [bold]{checked.space}[/] measured"
            )
            if checked.floats_rounded:
                lines.append(f"  {checked.floats_rounded:,} metadata numbers changed in their last bit (Chroma's log)")
    last = results[-1]
    kept = f"backup: {last.backup_path}" if last.backup_path else "[yellow]no backup was kept: there is no way back[/]"
    return Group(*lines, kept, f"took {last.seconds:.1f} seconds")


def checks(found: Sequence[Check]) -> RenderableType:
    """What `verify` shows."""
    table = _table("collection", "records", "contents", "vectors", "settings", "invalid vectors")
    for check in found:
        records = f"{check.records:,}"
        if check.records != check.records_migrated:
            records += f" (then {check.records_migrated:,})"
        parts = (check.contents_equal, check.vectors_equal, check.settings_equal)
        marks = ["[green]✓[/]" if equal else "[yellow]changed[/]" for equal in parts]
        table.add_row(check.collection_name, records, *marks, str(check.invalid_vectors))
    return table


def rolled_back(done: Rollback) -> RenderableType:
    """What `rollback` shows."""
    lines = [f"[green]✓[/] {done.restored} is the database again", f"the one it replaced: {done.displaced_path}"]
    where = "carried over, their vectors approximately" if done.carried else "in the replaced one only"
    for one in done.written:
        what = f"{one.added:,} added, {one.changed:,} changed, {one.deleted:,} deleted since the migration"
        lines.append(f"[yellow]{escape(one.collection_name)}: {what}: {where}[/]")
    return Group(*lines)


def backups(found: Sequence[Backup]) -> RenderableType:
    """What `clean` shows."""
    table = _table("backup", "size", "its last migration")
    for backup in found:
        table.add_row(
            backup.name, "–" if backup.bytes is None else _size(backup.bytes), backup.migrated_at or "never migrated"
        )
    return table


def projection(shown: Projection) -> RenderableType:
    """What `inspect` shows."""
    info = shown.info
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for role, model in (("from", info.source), ("to", info.target)):
        details = [f"{model.dimension} dimensions", "length 1" if model.normalised else "not normalised"]
        details += [
            f"{name} {value!r}" for name in ("provider", "revision", "prefix") if (value := getattr(model, name))
        ]
        table.add_row(role, f"[bold]{model.name}[/]", ", ".join(details))
    for title, facts in (("training", info.training), ("quality", info.quality)):
        for key, value in facts.items():
            table.add_row(title, key, _fact(value))
        if not facts:
            table.add_row(title, "[yellow]unknown[/]", "")
    return table


def asked_for(reading: Reading, bill: Bill, model: str) -> RenderableType:
    """What a training is about to ask the new model for."""
    if bill.dollars is None:
        price = "no price known"
    elif 0 < bill.dollars < 0.01:
        price = "less than a cent"
    else:
        price = f"about ${bill.dollars:.2f}" if bill.dollars else "free"
    parts = f"{len(reading.documents):,} documents, {len(reading.queries):,} queries, {len(reading.words):,} words"
    return f"[bold]{escape(model)}[/] is asked for {parts}: not yet known of them about {bill.tokens:,} tokens, {price}"


def trained(done: Training, written: Sequence[Path]) -> RenderableType:
    """What `train` shows at its end."""
    gate, info = done.gate, done.projection.info
    colour = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red"}[gate.verdict]
    rows = [("re-embedding", gate.reembedded), ("migrated", gate.migrated)]
    if gate.nothing is not None:
        rows.append(("doing nothing", gate.nothing))
    if gate.by_users:
        asked, answers = "users' queries", _table("users' queries", "find what re-embedding finds")
    else:
        asked, found = "pseudo-queries", "find the others re-embedding finds"
        answers = _table(asked, "find their document (recall@10)", found)
    for name, said in rows:
        answers.add_row(name, *(_estimate(one) for one in (said.recall, said.overlap) if one is not None))
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_row("projection", f"[bold]{escape(info.direction)}[/], {info.training['method']}")
    facts.add_row("squared error", f"{gate.squared_error:.6f} a number, cosine {gate.cosine:.3f}")
    facts.add_row("similarity", f"{gate.similarity:.3f} correlation of similarities, new to mapped")
    measured = f"{gate.n_queries:,} {asked}, {gate.n_documents:,} documents, each left out of the fit"
    facts.add_row("measured on", f"{measured}; {gate.collection_size:,} in the collection")
    facts.add_row("time", f"{done.embedding_seconds:.0f} s embedding, {done.fitting_seconds:.0f} s fitting")
    for path in written:
        facts.add_row("written", f"{escape(str(path))} ({_size(path.stat().st_size)})")
    return Group(facts, answers, f"[{colour}]{gate.verdict}[/]  {gate.reason}")


def listed(found: Sequence[tuple[Registry, Entry]]) -> RenderableType:
    """What `registry list` shows: a table for each folder."""
    parts: list[RenderableType] = []
    for folder, entries in itertools.groupby(found, key=lambda one: one[0].folder):
        table = _table("projection", "from", "to", "stated quality")
        for _, entry in entries:
            models = (f"{_printable(model.name)} ({model.dimension})" for model in entry.models)
            table.add_row(escape(entry.file.removesuffix(".npz")), *models, _stated(entry))
        parts += [f"[bold]{escape(str(folder))}[/]", table]
    return Group(*parts) if parts else "no projections"


def entry(shown: tuple[Registry, Entry]) -> RenderableType:
    """What `registry show` shows."""
    where, one = shown
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("file", escape(str(where.folder / one.file)))
    table.add_row("SHA-256", _printable(one.sha256))
    source, target = one.models
    for role, model in (("from", source), ("to", target)):
        table.add_row(role, f"[bold]{_printable(model.name)}[/], {model.dimension} dimensions")
    for title, facts in (("training", one.training), ("quality", one.quality)):
        for key, value in facts.items():
            table.add_row(title, f"{_printable(key)} {_fact(value)}")
        if not facts:
            table.add_row(title, "[yellow]unknown[/]")
    return table


def candidates(found: Sequence[Candidate]) -> RenderableType:
    """What `registry find` shows, best first."""
    if not found:
        return "no projection leads there"
    table = _table("", "projection", "found by", "stated quality")
    by = {"pair": "both models", "target": "new model", "chain": "[yellow]chain[/]"}
    files = []
    for number, one in enumerate(found, 1):
        stated = _stated(one.entries[0]) if len(one.entries) == 1 else "[yellow]not measured[/]"
        kind = by.get(one.by, "[bold red]dimensions only[/]")
        table.add_row(str(number), _printable(one.description), kind, stated)
        for folder, link in zip(one.folders, one.entries, strict=True):
            files.append(f"{number}  {escape(str(folder / link.file))}")  # in a table a path would be cut
    return Group(table, *files)


def problems(found: Mapping[str, Sequence[Problem]]) -> RenderableType:
    """What `registry verify` shows, by folder."""
    lines = []
    for folder, wrong in found.items():
        lines.append(f"{'[bold red]✗[/]' if wrong else '[green]✓[/]'} {escape(folder)}")
        lines += [f"  {one.kind}: {_printable(one.message)}" for one in wrong]
    return "\n".join(lines) or "no folders"


def retention(kept: Retention) -> RenderableType:
    """Where a migration stands, in three rows and a sentence."""
    table = _table("", f"nDCG@{kept.k} [95 % interval]", "of re-embedding")
    for name, score, share in (
        ("doing nothing", kept.nothing, f"{kept.nothing_retention.value:.1%}"),
        ("migrated", kept.migrated, f"{kept.retention.value:.1%}"),
        ("embedding everything again", kept.reembedded, "100.0%"),
    ):
        table.add_row(name, _estimate(score), share)
    gain = kept.gain
    interval = f"{gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
    if gain.low > 0:
        verdict = f"[green]Better than doing nothing[/], by {interval}."
    elif gain.high < 0:
        verdict = f"[bold red]Worse than doing nothing[/], by {interval}: keep the old model, or embed again."
    else:
        verdict = f"[yellow]No clear difference to doing nothing[/]: {interval}."
    counted = f"{kept.n_queries} searches in {kept.n_documents:,} documents, none of them used to make the projection."
    return Group(table, verdict, counted)


def searches(found: Sequence[Search]) -> RenderableType:
    """Searches before and after, side by side."""
    parts: list[RenderableType] = []
    for search in found:
        table = Table(box=None, header_style="dim", pad_edge=False, expand=True)
        for column in ("before: old model", "after: new model"):
            table.add_column(column, ratio=1, no_wrap=True, overflow="ellipsis")
        for one, other in zip(search.before, search.after, strict=True):
            table.add_row(*(f"{'[green]●[/]' if hit.relevant else '○'} {escape(hit.text)}" for hit in (one, other)))
        parts += [f"\n[bold]“{escape(search.query)}”[/]", table]
    return Group(*parts, "\n[green]●[/] judged relevant by a human   ○ not judged relevant")


def mismatches(found: Sequence[Mismatch]) -> RenderableType:
    """Collections that do not fit the new model."""
    return Group(
        *(
            f"   [yellow]![/] {one.name}: {one.count:,} records of {one.current_dim} dimensions, "
            f"the new model makes {one.expected_dim}"
            for one in found
        )
    )


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in ("records", "size", "invalid vectors") else "left")
    return table


def _size(number: int) -> str:
    size, unit = float(number), "bytes"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, bigger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}  [dim]\\[{estimate.low:.3f}, {estimate.high:.3f}][/]"


def _printable(text: str) -> str:
    """A text from a file that anybody may have written, without control characters or markup."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _stated(entry: Entry) -> str:
    try:
        return _quality(entry.quality)
    except (KeyError, TypeError, ValueError):  # lists are written by others, too
        return "[yellow]not readable[/]"


def _quality(quality: Mapping[str, Any]) -> str:
    if "expected_retention" in quality:
        expected = quality["expected_retention"]
        colour = {"PASS": "green", "WARN": "yellow"}.get(str(quality["verdict"]), "bold red")
        interval = f"\\[{expected['low']:.2f}, {expected['high']:.2f}]"
        return f"[{colour}]{_printable(str(quality['verdict']))}[/] {expected['value']:.2f} {interval} expected"
    if "retention" in quality:
        kept, nothing = quality["retention"], quality["nothing_retention"]
        return f"{kept['value']:.1%} kept (doing nothing: {nothing['value']:.1%})"
    return "[yellow]not measured[/]"


def _fact(value: Any) -> str:
    match value:
        case {"value": float() as middle, "low": float() as low, "high": float() as high}:
            return f"{middle:.3f} \\[{low:.3f}, {high:.3f}]"
        case {"method": str() as method, "overlap": float() as overlap, "chosen": chosen}:
            said = f"{_printable(method)} {overlap:.3f}"
            return f"[bold]{said}[/]" if chosen else said
        case Mapping():
            return ", ".join(f"{_printable(str(key))} {_fact(part)}" for key, part in value.items())
        case list():
            return ", ".join(map(_fact, value))
        case float():
            return f"{value:.4g}"
        case None:
            return "–"
    return _printable(str(value))
