"""How databases and their migrations look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape

from lightmigrate.console.terminal import new_table, readable_seconds, readable_size, stated_quality

if TYPE_CHECKING:
    from lightmigrate.migration.backup import Backup
    from lightmigrate.migration.doctor import Diagnosis, Look
    from lightmigrate.migration.plan import Plan
    from lightmigrate.migration.results import Check, MigrationResult, Mismatch, Rollback
    from lightmigrate.migration.verify import Verification

# What became of an index, by the route that was taken.
_INDEXES = {
    "keep": "its graph stayed, the vectors were exchanged",
    "rebuild": "built anew from the vectors",
    "rewrite": "written anew with all records",
}


def diagnosis(found: Diagnosis) -> RenderableType:
    """What `doctor` shows."""
    table = new_table("collection", "records", "dimension", "vectors", "distance", "embedding function")
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
        lines = [f"[bold]{found.path}[/]  ({readable_size(found.bytes)})", *_surroundings(found)]
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
        needed, free = readable_size(found.needed_bytes), readable_size(found.free_bytes)
        lines.append(f"disk: migrating all of it needs {needed}, {free} free{room}")
    return lines


def plan(made: Plan) -> RenderableType:
    """What `plan` shows."""
    table = new_table("collection", "records", "dimension", "model", "expected quality")
    for one in made.collections:
        table.add_row(
            str(one.address),
            f"{one.count:,}",
            f"{one.current_dim} → {one.target_dim}",
            f"{one.source_model} → {one.target_model}",
            stated_quality(one.quality),
        )
    lines = [f"[bold]{made.path}[/]"]
    if made.untouched:
        lines.append(f"untouched: {', '.join(made.untouched)}")
    if made.needed_bytes:  # a server's disk cannot be seen
        enough = "" if made.free_bytes >= made.needed_bytes else "[bold red] – not enough[/]"
        lines.append(f"disk: {readable_size(made.needed_bytes)} needed, {readable_size(made.free_bytes)} free{enough}")
    if made.seconds_kept is not None and made.seconds_rebuilt is not None:
        kept, rebuilt = readable_seconds(made.seconds_kept), readable_seconds(made.seconds_rebuilt)
        lines.append(f"time: about {kept}; {rebuilt} if the index has to be built anew, to find as much as before")
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
            lines.append(f"  index: {_INDEXES[result.index]}{_recall(checked)}")
            if checked.floats_rounded:
                lines.append(f"  {checked.floats_rounded:,} metadata numbers changed in their last bit (Chroma's log)")
    last = results[-1]
    kept = f"backup: {last.backup_path}" if last.backup_path else "[yellow]no backup was kept: there is no way back[/]"
    return Group(*lines, kept, f"took {last.seconds:.1f} seconds")


def _recall(checked: Verification) -> str:
    if checked.recall is None:
        return ""
    before = "" if checked.recall_before is None else f", {checked.recall_before:.3f} before"
    return f"; finds {checked.recall:.3f} of the 10 nearest{before}"


def checks(found: Sequence[Check]) -> RenderableType:
    """What `verify` shows."""
    table = new_table("collection", "records", "contents", "vectors", "settings", "invalid vectors")
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
    table = new_table("backup", "size", "its last migration")
    for backup in found:
        size = "–" if backup.bytes is None else readable_size(backup.bytes)
        table.add_row(backup.name, size, backup.migrated_at or "never migrated")
    return table


def mismatches(found: Sequence[Mismatch]) -> RenderableType:
    """Collections that do not fit the new model."""
    return Group(
        *(
            f"   [yellow]![/] {one.name}: {one.count:,} records of {one.current_dim} dimensions, "
            f"the new model makes {one.expected_dim}"
            for one in found
        )
    )
