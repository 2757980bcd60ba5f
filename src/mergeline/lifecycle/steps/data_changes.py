"""How the rows of a change differ from the base's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from mergeline.core.data.changed_rows import changed_lines
from mergeline.core.data.diff import DataDiff, diff_snapshots
from mergeline.core.data.wording import drift_lines, note_lines
from mergeline.core.declare.private import words_of_others
from mergeline.core.release.bundle import Origin
from mergeline.core.report.content import DataChange
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import build_snapshots

_EXAMPLES = 3  # of rows that changed under the same key


def data_changes(project: Project, case: Case) -> tuple[DataChange, ...]:
    """What the new snapshot of each table that the change moves has that the base's has not."""
    if case.at_base is None:
        return ()
    data, at_base = [], case.at_base.ingredients.snapshots
    for table, now in case.ingredients.snapshots.items():
        then = at_base.get(table)
        if then is None or then.digest != now.digest:
            old = then.pointers if then else {}
            change = DataChange(table, _drops(now.pointers, old), _drops(old, now.pointers))
            data.append(_with_rows(change, project, case) if not _edits_dvc(case) else change)
    return tuple(data)


def _edits_dvc(case: Case) -> bool:
    """Whether an untrusted tree says itself from where, and by what command, drops are fetched."""
    if not case.untrusted or case.before is None:
        return case.untrusted
    before, now = case.before.files, case.tree.files
    paths = {path for tree in (before, now) for path in tree.list(".dvc")}
    return any(before.blob(path) != now.blob(path) for path in paths)


def _without_private(diff: DataDiff, private: Collection[str]) -> DataDiff:
    """The difference without values of private columns."""
    columns = tuple(column for column in diff.columns if column.name not in private)
    shared = diff.shared_keys
    if shared is not None and not set(private).isdisjoint(shared.key):
        shared = replace(shared, examples=())
    return replace(diff, columns=columns, shared_keys=shared)


def _drops(these: Mapping[str, str], others: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the drops that the others do not have, or have with other content."""
    paths = sorted(path for path, md5 in these.items() if others.get(path) != md5)
    return tuple(path.rpartition("/")[2].removesuffix(".dvc") for path in paths)


def _with_rows(change: DataChange, project: Project, case: Case) -> DataChange:
    """The change with how the rows differ; only those of changed drops are read."""
    from mergeline.adapters.delta.tables import Tables

    table, tables = change.table, Tables(project.tables)
    try:
        [after] = build_snapshots(
            project, case.tree, case.origin, only={table}, private=case.private
        )
        before = None
        if case.base and case.before:
            origin = Origin(case.origin.tree, case.base.sha, case.branch, case.base.author)
            at_base = build_snapshots(
                project, case.before, origin, only={table}, private=case.private
            )
            before = at_base[0].version if at_base else None
        key = case.tree.contracts[table].key
        compared = tables.compare(table, before, after.version, key=key)
        diff = diff_snapshots(table, compared, {case.model.label})
        corrected: tuple[str, ...] = ()
        if before is not None and key and compared.gone and compared.come:
            rows = tables.changed_rows(table, before, after.version, key)
            corrected = changed_lines(rows, most=_EXAMPLES, private=case.private)
    except MergelineError as error:
        why = words_of_others(str(error), case.private)
        return replace(change, notes=(f"the rows could not be compared: {why}",))
    diff = _without_private(diff, case.private)
    return replace(
        change,
        rows_added=diff.rows_added,
        rows_removed=diff.rows_removed,
        rows=diff.after.rows,
        schema=tuple(map(str, diff.schema)),
        drift=drift_lines(diff),
        notes=(*note_lines(diff), *corrected, *after.notes),
    )
