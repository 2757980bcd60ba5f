"""How the rows of a change differ from the base's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.git.tree import Tree
from mergeline.core.data.diff import DataDiff, diff_snapshots
from mergeline.core.data.wording import drift_lines, note_lines
from mergeline.core.release.bundle import Origin
from mergeline.core.report.content import DataChange
from mergeline.errors import (
    MergelineError,
)
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import (
    Project,
    declared_tables,
)
from mergeline.lifecycle.steps.snapshots import build_for


def diff_versions(
    tables: Tables,
    table: str,
    before: int | None,
    after: int,
    *,
    key: Collection[str] = (),
    labels: Collection[str] = (),
) -> DataDiff:
    """What differs between two versions of a table.

    Args:
        tables: where the table is.
        table: its name.
        before: None where the table is new.
        after: the other version.
        key: columns that name a row; without it shared keys are not looked for.
        labels: names of the models' labels, whose balance is told where they are columns.
    """
    return diff_snapshots(table, tables.compare(table, before, after, key=tuple(key)), labels)


def data_changes(project: Project, case: Case) -> tuple[DataChange, ...]:
    """What the new snapshot of each table that the change moves has that the base's has not."""
    if case.at_base is None or case.base is None:
        return ()
    before = case.at_base[1].snapshots
    moved = [t for t, now in case.ingredients.snapshots.items() if t not in before
             or before[t].digest != now.digest]  # fmt: skip
    base_tree = project.repository.tree(case.base.sha)
    return tuple(_data_change(project, case, table, base_tree) for table in moved)


def _data_change(project: Project, case: Case, table: str, base_tree: Tree) -> DataChange:
    """What a table's new snapshot has that the base's has not; only the changed drops are read."""
    now = case.ingredients.snapshots[table].pointers
    known = case.at_base[1].snapshots if case.at_base else {}
    old: Mapping[str, str] = known[table].pointers if table in known else {}
    change = DataChange(
        table,
        _drop_names([path for path, md5 in now.items() if old.get(path) != md5]),
        _drop_names([path for path, md5 in old.items() if now.get(path) != md5]),
    )
    try:
        after = build_for(project, case.tree, case.origin, only={table})[0]
        found = build_for(project, base_tree, _base_origin(case), only={table})
        before = found[0].version if found else None
        contract = declared_tables(case.tree)[table]
        tables = Tables(project.tables)
        label = {case.model.label}
        diff = diff_versions(tables, table, before, after.version, key=contract.key, labels=label)
    except MergelineError as error:
        return replace(change, notes=(f"the rows could not be compared: {error}",))
    return replace(
        change,
        rows_added=diff.rows_added,
        rows_removed=diff.rows_removed,
        rows=diff.after.rows,
        schema=tuple(map(str, diff.schema)),
        drift=drift_lines(diff),
        notes=note_lines(diff),
    )


def _base_origin(case: Case) -> Origin:
    commit = case.base.sha if case.base else None
    return Origin(case.origin.tree, commit, case.branch, case.base.author if case.base else None)


def _drop_names(paths: list[str]) -> tuple[str, ...]:
    return tuple(path.rpartition("/")[2].removesuffix(".dvc") for path in sorted(paths))
