"""How projections, trainings and registries look in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape

from lightmigrate.cli.show.terminal import (
    facts_table,
    filled_table,
    new_table,
    printable,
    readable_fact,
    readable_size,
    stated_quality,
    wide_by,
    with_interval,
)

if TYPE_CHECKING:
    from lightmigrate.commands.estimate import Estimate
    from lightmigrate.commands.registry import FolderProblems, Listed
    from lightmigrate.commands.train import Trained
    from lightmigrate.projection.projection import Projection
    from lightmigrate.registry.entry import Entry
    from lightmigrate.registry.library import Candidate


def projection(shown: Projection) -> RenderableType:
    """What `inspect` shows."""
    info = shown.info
    table = facts_table(3)
    ends = (("from", info.source, info.source_lengths), ("to", info.target, info.target_lengths))
    for role, model, lengths in ends:
        stated = "length 1" if model.normalised else "not normalised"
        details = [f"{model.dimension} dimensions", stated if lengths is None else str(lengths)]
        details += [
            f"{name} {value!r}" for name in ("provider", "revision", "prefix") if (value := getattr(model, name))
        ]
        table.add_row(role, f"[bold]{printable(model.name)}[/]", printable(", ".join(details)))
    for title, facts in (("training", info.training), ("quality", info.quality)):
        for key, value in facts.items():
            if key not in ("source_lengths", "target_lengths"):
                table.add_row(title, key, readable_fact(value))
        if not facts:
            table.add_row(title, "[yellow]unknown[/]", "")
    return table


def estimate(shown: Estimate) -> RenderableType:
    """What a training is about to embed."""
    if shown.dollars is None:
        price = "price not known"
    elif 0 < shown.dollars < 0.01:
        price = "less than a cent"
    else:
        price = f"about ${shown.dollars:.2f}" if shown.dollars else "free"
    texts = f"{shown.documents:,} documents, {shown.queries:,} queries, {shown.words:,} words"
    return (
        f"[bold]{escape(shown.model)}[/] will embed {texts}; about {shown.tokens:,} tokens, {price} (without what the "
        "cache holds)"
    )


def trained(shown: Trained) -> RenderableType:
    """What `train` shows at its end, and `migrate --calibrate` before it asks.

    The verdict stands on the last columns: on how near a pseudo-query's own document stays, and the others.
    """
    done = shown.training
    gate, info = done.gate, done.projection.info
    colour = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red"}[gate.verdict]
    rows = [("re-embedding", gate.reembedded), ("migrated", gate.migrated)]
    if gate.nothing is not None:
        rows.append(("doing nothing", gate.nothing))
    if gate.by_users:
        kind, answers = "users' queries", new_table("users' queries", "find what re-embedding finds")
    else:
        kind = "pseudo-queries"
        answers = new_table(
            kind, "find their document (recall@10)", "its gain, of re-embedding's", "find the others re-embedding finds"
        )
    for name, measured in rows:
        shares = (measured.recall, measured.found, measured.overlap)
        answers.add_row(name, *(with_interval(share) for share in shares if share is not None))
    facts = facts_table()
    facts.add_row("projection", f"[bold]{escape(info.direction)}[/], {info.training['method']}")
    facts.add_row("squared error", f"{gate.squared_error:.6f} per number, cosine {gate.cosine:.3f}")
    facts.add_row("similarity", f"{gate.similarity:.3f} correlation of similarities, re-embedded to projected")
    judged_by = f"{gate.n_queries:,} {kind}, {gate.n_documents:,} documents, each left out of the fit"
    facts.add_row("measured on", f"{judged_by}; {gate.collection_size:,} in the collection")
    facts.add_row("distance", f"{gate.metric}; beside exact rows {with_interval(gate.beside_exact)} is found")
    facts.add_row("time", f"{done.embedding_seconds:.0f} s embedding, {done.fitting_seconds:.0f} s fitting")
    if done.shortened.reason:
        facts.add_row("not whole", f"[yellow]{printable(str(done.shortened))}[/]")
    for path in shown.files:
        facts.add_row("written", f"{escape(str(path))} ({readable_size(path.stat().st_size)})")
    reason = wide_by(gate.expected_retention)
    wide = [f"wide because {reason}"] if reason else []
    return Group(facts, answers, f"[{colour}]{gate.verdict}[/]  {gate.reason}", *wide)


def listed(projections: Sequence[Listed]) -> RenderableType:
    """What `registry list` shows: a table for each folder."""
    parts: list[RenderableType] = []
    for folder, group in itertools.groupby(projections, key=lambda projection: projection.folder):
        rows = [_row(projection.entry) for projection in group]
        table = filled_table(("projection", "from", "to", "dimension", "stated quality"), rows)
        parts += [f"[bold]{escape(str(folder))}[/]", table]
    return Group(*parts) if parts else "no projections"


def _row(entry: Entry) -> tuple[str, ...]:
    """A projection in the list; its models have cells of their own where its name does not tell them."""
    name = entry.file.removesuffix(".npz")
    source, target = entry.models
    told = name == f"{source.name}_to_{target.name}"
    models = ("", "") if told else (printable(source.name), printable(target.name))
    return escape(name), *models, f"{source.dimension} → {target.dimension}", _stated(entry)


def entry(shown: Listed) -> RenderableType:
    """What `registry show` shows."""
    listed = shown.entry
    table = facts_table()
    table.add_row("file", escape(str(shown.file)))
    table.add_row("SHA-256", printable(listed.sha256))
    source, target = listed.models
    for role, model in (("from", source), ("to", target)):
        table.add_row(role, f"[bold]{printable(model.name)}[/], {model.dimension} dimensions")
    for title, facts in (("training", listed.training), ("quality", listed.quality)):
        for key, value in facts.items():
            table.add_row(title, f"{printable(key)} {readable_fact(value)}")
        if not facts:
            table.add_row(title, "[yellow]unknown[/]")
    return table


def candidates(ranked: Sequence[Candidate]) -> RenderableType:
    """What `registry find` shows, best first."""
    if not ranked:
        return "no projection leads there"
    table = new_table("", "projection", "found by", "stated quality")
    by = {"pair": "both models", "target": "new model", "chain": "[yellow]chain[/]"}
    files = []
    for number, candidate in enumerate(ranked, 1):
        stated = _stated(candidate.entries[0]) if len(candidate.entries) == 1 else "[yellow]not measured[/]"
        kind = by.get(candidate.by, "[bold red]dimensions only[/]")
        table.add_row(str(number), printable(candidate.description), kind, stated)
        for folder, link in zip(candidate.folders, candidate.entries, strict=True):
            files.append(f"{number}  {escape(str(folder / link.file))}")  # a table would cut a path
    return Group(table, *files)


def problems(folders: Sequence[FolderProblems]) -> RenderableType:
    """What `registry verify` shows, by folder."""
    lines = []
    for folder in folders:
        lines.append(f"{'[bold red]✗[/]' if folder.problems else '[green]✓[/]'} {escape(str(folder.folder))}")
        lines += [f"  {problem.kind}: {printable(problem.message)}" for problem in folder.problems]
    return "\n".join(lines) or "no folders"


def _stated(entry: Entry) -> str:
    try:
        return stated_quality(entry.quality)
    except (KeyError, TypeError, ValueError):  # a list may have been written by hand
        return "[yellow]not readable[/]"
