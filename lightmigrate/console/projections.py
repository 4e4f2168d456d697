"""How projections, trainings and registries look in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from lightmigrate.console.terminal import (
    new_table,
    printable,
    readable_fact,
    readable_size,
    stated_quality,
    with_interval,
)

if TYPE_CHECKING:
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.base import Bill
    from lightmigrate.registry.entry import Entry
    from lightmigrate.registry.library import Candidate
    from lightmigrate.registry.problem import Problem
    from lightmigrate.registry.registry import Registry
    from lightmigrate.training import Reading, Training


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
            table.add_row(title, key, readable_fact(value))
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
        asked, answers = "users' queries", new_table("users' queries", "find what re-embedding finds")
    else:
        asked, found = "pseudo-queries", "find the others re-embedding finds"
        answers = new_table(asked, "find their document (recall@10)", found)
    for name, said in rows:
        answers.add_row(name, *(with_interval(one) for one in (said.recall, said.overlap) if one is not None))
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_row("projection", f"[bold]{escape(info.direction)}[/], {info.training['method']}")
    facts.add_row("squared error", f"{gate.squared_error:.6f} a number, cosine {gate.cosine:.3f}")
    facts.add_row("similarity", f"{gate.similarity:.3f} correlation of similarities, new to mapped")
    measured = f"{gate.n_queries:,} {asked}, {gate.n_documents:,} documents, each left out of the fit"
    facts.add_row("measured on", f"{measured}; {gate.collection_size:,} in the collection")
    facts.add_row("time", f"{done.embedding_seconds:.0f} s embedding, {done.fitting_seconds:.0f} s fitting")
    for path in written:
        facts.add_row("written", f"{escape(str(path))} ({readable_size(path.stat().st_size)})")
    return Group(facts, answers, f"[{colour}]{gate.verdict}[/]  {gate.reason}")


def listed(found: Sequence[tuple[Registry, Entry]]) -> RenderableType:
    """What `registry list` shows: a table for each folder."""
    parts: list[RenderableType] = []
    for folder, entries in itertools.groupby(found, key=lambda one: one[0].folder):
        table = new_table("projection", "from", "to", "stated quality")
        for _, entry in entries:
            models = (f"{printable(model.name)} ({model.dimension})" for model in entry.models)
            table.add_row(escape(entry.file.removesuffix(".npz")), *models, _stated(entry))
        parts += [f"[bold]{escape(str(folder))}[/]", table]
    return Group(*parts) if parts else "no projections"


def entry(shown: tuple[Registry, Entry]) -> RenderableType:
    """What `registry show` shows."""
    where, one = shown
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("file", escape(str(where.folder / one.file)))
    table.add_row("SHA-256", printable(one.sha256))
    source, target = one.models
    for role, model in (("from", source), ("to", target)):
        table.add_row(role, f"[bold]{printable(model.name)}[/], {model.dimension} dimensions")
    for title, facts in (("training", one.training), ("quality", one.quality)):
        for key, value in facts.items():
            table.add_row(title, f"{printable(key)} {readable_fact(value)}")
        if not facts:
            table.add_row(title, "[yellow]unknown[/]")
    return table


def candidates(found: Sequence[Candidate]) -> RenderableType:
    """What `registry find` shows, best first."""
    if not found:
        return "no projection leads there"
    table = new_table("", "projection", "found by", "stated quality")
    by = {"pair": "both models", "target": "new model", "chain": "[yellow]chain[/]"}
    files = []
    for number, one in enumerate(found, 1):
        stated = _stated(one.entries[0]) if len(one.entries) == 1 else "[yellow]not measured[/]"
        kind = by.get(one.by, "[bold red]dimensions only[/]")
        table.add_row(str(number), printable(one.description), kind, stated)
        for folder, link in zip(one.folders, one.entries, strict=True):
            files.append(f"{number}  {escape(str(folder / link.file))}")  # in a table a path would be cut
    return Group(table, *files)


def problems(found: Mapping[str, Sequence[Problem]]) -> RenderableType:
    """What `registry verify` shows, by folder."""
    lines = []
    for folder, wrong in found.items():
        lines.append(f"{'[bold red]✗[/]' if wrong else '[green]✓[/]'} {escape(folder)}")
        lines += [f"  {one.kind}: {printable(one.message)}" for one in wrong]
    return "\n".join(lines) or "no folders"


def _stated(entry: Entry) -> str:
    try:
        return stated_quality(entry.quality)
    except (KeyError, TypeError, ValueError):  # lists are written by others, too
        return "[yellow]not readable[/]"
