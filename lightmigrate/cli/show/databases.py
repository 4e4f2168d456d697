"""How databases and their migrations look in a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape

from lightmigrate.cli.show.many import DESCRIBED, LISTED, TableRow, names, rows_to_show
from lightmigrate.cli.show.scores import distances, nearest
from lightmigrate.cli.show.terminal import (
    filled_table,
    new_table,
    readable_seconds,
    readable_size,
    readable_time,
    stated_quality,
)
from lightmigrate.texts.find import option_for
from lightmigrate.texts.forms import DOCUMENT

if TYPE_CHECKING:
    from lightmigrate.commands.transfer import Transferred
    from lightmigrate.doctor import Diagnosis, VectorSample
    from lightmigrate.migration.plan import Plan, PlannedCollection
    from lightmigrate.migration.results import (
        Backup,
        ChangesSince,
        CollectionCheck,
        MigrationResult,
        Mismatch,
        Rollback,
    )
    from lightmigrate.migration.verify import Verification

# What happened to an index, by route.
_INDEXES = {
    "keep": "its graph was kept, the vectors were exchanged",
    "rebuild": "rebuilt from the vectors",
    "rewrite": "rewritten with all records",
}


def diagnosis(state: Diagnosis) -> RenderableType:
    """What `doctor` shows."""
    columns = ("collection", "records", "dimension", "vectors", "distance", "recorded function")
    rows: list[TableRow] = []
    wrong = {mismatch.address for mismatch in state.mismatches}
    for facts in state.collections:
        dimension = "–" if facts.dimension is None else str(facts.dimension)
        if facts.address in wrong:
            dimension = f"[bold red]{dimension} ≠ {state.expected_dim}[/]"
        function = escape(facts.embedding_function["name"]) if facts.embedding_function else "not recorded"
        fault = state.damaged.get(str(facts.address))
        vectors = "[bold red]cannot be read[/]" if fault else _vectors(state.samples.get(str(facts.address)))
        cells = (dimension, vectors, facts.space, function)
        rows.append(TableRow(escape(str(facts.address)), None if fault and not facts.count else facts.count, cells))
    table = filled_table(columns, rows_to_show(rows))
    lines = [f"[bold]{escape(str(state.path))}[/]"]
    if state.bytes is not None:
        lines = [f"[bold]{escape(str(state.path))}[/]  ({readable_size(state.bytes)})", *_surroundings(state)]
    if state.backups:
        lines.append(f"backups: {escape(', '.join(state.backups))}")
    lines.append(escape(str(state.promises)))
    faults: list[RenderableType] = [
        f"[bold red]{escape(name)} cannot be read[/]: {escape(fault)}" for name, fault in state.damaged.items()
    ]
    faults += [
        f"[bold red]{escape(name)} cannot be migrated[/]: {escape(reason)}" for name, reason in state.refused.items()
    ]
    if state.unsupported is not None:
        faults.append(f"[bold red]{escape(state.unsupported)}[/]")
    for notice in (state.upgrade_notice, state.exchange_notice):
        if notice is not None:
            faults.append(f"[yellow]{escape(notice)}[/]")
    distances = [f"[yellow]{escape(name)}: {escape(line)}[/]" for name, line in state.distances.items()]
    if len(distances) > LISTED:
        more = len(distances) - LISTED
        distances[LISTED:] = [f"[yellow]and {more} more whose metadata state another distance (--json)[/]"]
    return Group(*lines, "", table, *_models(state), *faults, *distances, *_texts(state))


def _models(state: Diagnosis) -> list[str]:
    """Whose vectors collections hold, where a migration left that to be read; a recorded function may be another."""
    collections: dict[str, list[str]] = defaultdict(list)
    for name, model in state.models.items():
        collections[model].append(name)
    return [f"vectors of {escape(model)}: {escape(names(held))}" for model, held in collections.items()]


def _texts(state: Diagnosis) -> list[str]:
    """Where the embedded texts come from, where it is not simply the document; and how to choose."""
    lines = []
    for name, found in state.texts.items():
        if not found.candidates:
            lines.append(
                f"{escape(name)}: no record has a document, or a field that looks like a text: give the texts by id "
                "(--texts FILE.jsonl)"
            )
            continue
        if found.form != DOCUMENT:
            lines.append(f"what was embedded in {escape(name)}: {escape(str(found))}")
        if found.without_text:
            lines.append(
                f"{escape(name)}: {found.without_text} of {found.sampled} sampled records have no text"
                + (f", {found.by_uri} of them a uri (images are not projected by auto_migrate)" if found.by_uri else "")
            )
        options = [option for each in found.candidates if (option := option_for(each.form))]
        if found.how == "undecided":
            lines.append(f"  choose for train, plan and migrate: {escape(' or '.join(options))}")
        elif found.unexplained:
            lines.append(f"  say so if it was embedded all the same: {escape(options[0])}; or give --texts FILE.jsonl")
        if found.perhaps is not None and found.perhaps != found.form:
            lines.append(
                f"{escape(name)}: {escape(str(found.perhaps))} may have been embedded; it explains more than the "
                "document, as titles often do also where they were not embedded. If it was: "
                f"{escape(option_for(found.perhaps))}"
            )
    return lines


def _vectors(sample: VectorSample | None) -> str:
    if sample is None:
        return "–"
    parts = []
    if sample.shortest is not None and sample.longest is not None:
        if sample.longest - sample.shortest < 0.01 * sample.longest:
            parts.append(f"length {sample.longest:.2f}")
        else:
            lengths = f"lengths {sample.shortest:.2f}–{sample.longest:.2f}"
            if 0 < sample.of_length_one < sample.vectors - sample.invalid:
                lengths += f", {sample.of_length_one} of {sample.vectors} scaled to 1"
            parts.append(lengths)
    if sample.invalid:
        parts.append(f"[bold red]{sample.invalid} of {sample.vectors} invalid[/]")
    if sample.models:
        counts = ", ".join(map(str, sample.models))
        parts.append(f"[bold red]rows of {len(sample.models)} models: {counts} of {sample.vectors}[/]")
    return " ".join(parts)


def _surroundings(state: Diagnosis) -> list[str]:
    """Who has a folder open, and what the disk has room for."""
    lines = []
    if state.used_by is None:
        lines.append("open elsewhere: not seen; check that no other process has it open")
    elif state.used_by:
        who = ", ".join(f"{pid} ({name})" for pid, name in state.used_by.items())
        lines.append(f"[yellow]open in process {escape(who)}[/]: stop it before migrating")
    else:
        lines.append("open elsewhere: no")
    if state.free_bytes is not None and state.needed_bytes is not None:
        room = "" if state.free_bytes >= state.needed_bytes else "[bold red] – not enough[/]"
        needed, free = readable_size(state.needed_bytes), readable_size(state.free_bytes)
        lines.append(f"disk: migrating all of it needs {needed}, {free} free{room}")
    return lines


def plan(made: Plan) -> RenderableType:
    """What `plan` shows."""
    columns = ("collection", "records", "dimension", "model", "distance", "expected quality")
    rows = [
        TableRow(
            escape(str(collection.address)),
            collection.count,
            (
                _from_to(collection.current_dim or "–", collection.target_dim or "–"),
                "vectors stay"
                if collection.keeps_vectors
                else escape(f"{collection.source_model} → {collection.target_model}"),
                _from_to(collection.distance, collection.target_distance),
                "exact" if collection.keeps_vectors else _quality(collection),
            ),
        )
        for collection in made.collections
    ]
    table = filled_table(columns, rows_to_show(rows))
    lines = [f"[bold]{escape(str(made.path))}[/]"]
    if made.untouched:
        lines.append(f"untouched: {escape(names(made.untouched))}")
    if made.needed_bytes:  # a server's disk cannot be seen
        enough = "" if made.free_bytes >= made.needed_bytes else "[bold red] – not enough[/]"
        lines.append(f"disk: {readable_size(made.needed_bytes)} needed, {readable_size(made.free_bytes)} free{enough}")
    if made.seconds_kept is not None and made.seconds_rebuilt is not None:
        kept, rebuilt = readable_seconds(made.seconds_kept), readable_seconds(made.seconds_rebuilt)
        if any(not c.keeps_vectors and c.distance == c.target_distance for c in made.collections):
            lines.append(f"time: about {kept}; {rebuilt} if the index must be rebuilt to find as much as before")
        else:
            lines.append(f"time: about {rebuilt}; the index is built anew")
    return Group(*lines, "", table)


def _from_to(before: object, after: object) -> str:
    """What something was and will be; once if it stays."""
    return str(before) if before == after else f"{before} → {after}"


def _quality(collection: PlannedCollection) -> str:
    """What the projection states of its quality, and the distance by which it was judged if that is another one."""
    stated, judged = stated_quality(collection.quality), collection.quality.get("metric")
    changed = collection.distance != collection.target_distance
    return f"{stated}, by {judged}" if changed and judged not in (None, collection.target_distance) else stated


def migrated(results: Sequence[MigrationResult]) -> Group:
    """What `migrate` shows."""
    lines: list[RenderableType] = []
    for result in results if len(results) <= DESCRIBED else ():
        lines.append(
            f"[green]✓[/] [bold]{escape(str(result.address))}[/]: {result.n_migrated:,} records, "
            f"{_from_to(result.previous_dim, result.current_dim)} dimensions"
        )
        if result.verification is None:
            lines.append("  not verified: only the number of records and the dimension were checked")
        else:
            checked = result.verification
            lines.append(
                f"  verified: every id, text, payload and vector; distance [bold]{_measured(checked)}[/] measured"
            )
            lines.append(f"  index: {_INDEXES[result.index]}{_recall(checked)}")
            if checked.floats_rounded:
                lines.append(f"  {checked.floats_rounded:,} metadata numbers changed in their last bit (Chroma's log)")
        lines += [f"  {nearest([result.scores])}"] if result.scores else []
        lines += [f"  [yellow]{loss}[/]" for loss in _losses([result])]
    if len(results) > DESCRIBED:
        moved = distances([result.scores for result in results if result.scores is not None])
        lines += [*_migrated_many(results), *moved, *(f"[yellow]{loss}[/]" for loss in _losses(results))]
    last = results[-1]
    kept = "[yellow]no backup was kept: there is no way back[/]"
    if last.backup_path:
        kept = f"backup: {escape(str(last.backup_path))}"
    return Group(*lines, kept, f"took {last.seconds:.1f} seconds")


def transferred(result: Transferred) -> RenderableType:
    """What `migrate --to` shows."""
    *lines, _, took = migrated(result.collections).renderables
    kept = f"[bold]{escape(result.target)}[/] has them; {escape(result.source)} is as it was"
    return Group(*lines, kept, took)


def _losses(results: Sequence[MigrationResult]) -> list[str]:
    """What was not embedded as it is stored, over some collections."""
    lost = sum(result.lost_vectors for result in results)
    lines = [f"{lost:,} records have no text: they have the centre of the new space as vector"] if lost else []
    return lines + list(dict.fromkeys(escape(str(r.shortened)) for r in results if r.shortened.reason))


def _migrated_many(results: Sequence[MigrationResult]) -> list[str]:
    """One line for all collections that were migrated alike."""
    kinds: dict[str, list[MigrationResult]] = defaultdict(list)
    for result in results:
        checked = result.verification
        how = "not verified" if checked is None else f"verified; distance {_measured(checked)} measured"
        dimensions = f"{_from_to(result.previous_dim, result.current_dim)} dimensions"
        kinds[f"{dimensions}; {how}; {_INDEXES[result.index]}"].append(result)
    lines = []
    for kind, equal in sorted(kinds.items(), key=lambda entry: -len(entry[1])):
        title = str(equal[0].address) if len(equal) == 1 else f"{len(equal)} collections"
        records = sum(result.n_migrated for result in equal)
        lines.append(f"[green]✓[/] [bold]{escape(title)}[/]: {records:,} records, {kind}")
    return lines


def _measured(checked: Verification) -> str:
    return _from_to(checked.space_before or checked.space, checked.space)  # of unread vectors none was measured before


def _recall(checked: Verification) -> str:
    if checked.recall is None:
        return ""
    before = "" if checked.recall_before is None else f", {checked.recall_before:.3f} before"
    return f"; finds {checked.recall:.3f} of the 10 nearest{before}"


def checks(compared: Sequence[CollectionCheck]) -> RenderableType:
    """What `verify` shows."""
    rows: list[tuple[str, ...]] = []
    equal: list[TableRow] = []
    for check in compared:
        if check.gone:
            rows.append((escape(check.collection_name), f"none (then {check.records_migrated:,})", *3 * ("–",), ""))
            continue
        records = f"{check.records:,}"
        if check.records != check.records_migrated:
            records += f" (then {check.records_migrated:,})"
        parts = (check.contents_equal, check.vectors_equal, check.settings_equal)
        marks = ["[green]✓[/]" if part else "[yellow]changed[/]" for part in parts]
        invalid = f"{check.invalid_vectors:,}" if check.invalid_vectors else ""
        if len(compared) > LISTED and all(parts) and check.records == check.records_migrated:
            equal.append(TableRow(escape(check.collection_name), check.records, (*marks, invalid)))
        else:
            rows.append((escape(check.collection_name), records, *marks, invalid))
    columns = ("collection", "records", "contents", "vectors", "settings", "invalid vectors")
    return filled_table(columns, [*rows, *rows_to_show(equal)])


def verdict(compared: Sequence[CollectionCheck]) -> RenderableType:
    """What the checks of `verify` mean."""
    lines = [
        f"refine embedded {check.refined:,} rows of {escape(check.collection_name)} since the migration"
        for check in compared
        if check.refined
    ]
    lines += [
        f"{escape(check.collection_name)}: {_counts(check.written)} since the migration"
        for check in compared
        if check.written
    ]
    lines += [
        f"[yellow]{escape(check.collection_name)} is gone: it was deleted or renamed since the migration[/]"
        for check in compared
        if check.gone
    ]
    if not all(check.unchanged or check.gone for check in compared):
        lines.append("changed since the migration: other programs wrote to it, or it is damaged")
    elif lines:
        lines.append("[green]✓[/] everything else is as the migration left it")
    else:
        lines.append("[green]✓[/] everything is as the migration left it")
    return "\n".join(lines)


def rolled_back(done: Rollback) -> RenderableType:
    """What `rollback` shows."""
    restored, displaced = escape(str(done.restored)), escape(str(done.displaced_path))
    lines = [f"[green]✓[/] {restored} is the database again", f"the one it replaced: {displaced}"]
    for changes in done.written:
        carried = "carried over, with approximate vectors" if changes.added or changes.changed else "carried over"
        where = carried if done.carried else "only in the replaced one"
        if changes.kept_dimension is not None:
            where = (
                f"carried over with their vectors as they are, of {changes.kept_dimension} dimensions: "
                "no other collection shows the way back"
            )
        name = f"{changes.was}, now {changes.collection_name}" if changes.was else changes.collection_name
        if replace(changes, gone=0):
            counts = _counts(replace(changes, gone=0)) + (", other metadata" if changes.metadata else "")
            lines.append(f"[yellow]{escape(name)}: {counts} since the migration: {where}[/]")
        if changes.gone:
            lines.append(
                f"[yellow]{escape(name)}: {changes.gone:,} deleted since the migration stay deleted: both share their "
                "rows[/]"
            )
    return Group(*lines)


def _counts(changes: ChangesSince) -> str:
    return f"{changes.added:,} added, {changes.changed:,} changed, {changes.deleted + changes.gone:,} deleted"


def backups(kept: Sequence[Backup]) -> RenderableType:
    """What `clean` shows."""
    if not kept:
        return "no backups"
    table = new_table("backup", "size", "its last migration")
    for backup in kept:
        size = "–" if backup.bytes is None else readable_size(backup.bytes)
        migrated = "never migrated" if backup.migrated_at is None else readable_time(backup.migrated_at)
        table.add_row(escape(backup.name), size, "–" if backup.bytes is None else migrated)
    reasons = [f"{backup.name} {backup.reason_to_keep}" for backup in kept if backup.reason_to_keep]
    return Group(table, *(f"[yellow]{escape(reason)}[/]" for reason in reasons))


def mismatches(collections: Sequence[Mismatch]) -> RenderableType:
    """Collections that do not fit the new model."""
    return Group(
        *(
            f"   [yellow]![/] {escape(str(mismatch.address))}: {mismatch.count:,} records of {mismatch.current_dim} "
            f"dimensions, the new model has {mismatch.expected_dim}"
            for mismatch in collections
        )
    )
