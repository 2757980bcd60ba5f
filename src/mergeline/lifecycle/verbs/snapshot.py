"""`snapshot`: have the tables hold what the working tree's pointers and contracts say."""

from __future__ import annotations

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.dvc.drops import DropStore
from mergeline.core.data.snapshot import Snapshot
from mergeline.core.numbers import counted
from mergeline.lifecycle.steps.changed_drops import refuse_differing
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import (
    build_for,
    describe_built,
    gather_snapshots,
    write_pins,
)


def snapshot(project: Project, *, plan_only: bool = False) -> list[str]:
    """Build each table's snapshot and pin it in the working tree.

    Args:
        project: the working copy.
        plan_only: say what would be built, build nothing.

    Returns:
        A line for each table.

    Raises:
        MergelineError: a drop is missing, differs from its pointer or breaks its contract, or a
            table is damaged; then nothing is pinned.
    """
    tree, origin = project.target_tree()
    refuse_differing(project, tree)
    if plan_only:
        tables = Tables(project.tables)
        wanted = gather_snapshots(tree, DropStore(project.repository.root))
        return [_planned(one, tables.find(one), len(tables.lost(one))) for one in wanted]
    built = build_for(project, tree, origin)
    wanted = gather_snapshots(tree, DropStore(project.repository.root))
    write_pins(wanted, project.repository.root)
    return [describe_built(one) for one in built]


def _planned(wanted: Snapshot, version: int | None, lost: int) -> str:
    head = f"{wanted.table} {wanted.digest[:8]}: {counted(len(wanted.drops), 'drop')}"
    if version is None:
        return f"{head}, would be built"
    mended = f"; {counted(lost, 'damaged file')} would be made again" if lost else ""
    return f"{head}, version {version} holds it{mended}"
