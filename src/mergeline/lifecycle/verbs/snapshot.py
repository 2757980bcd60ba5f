"""`snapshot`: have the tables hold what the working tree's pointers and contracts say."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.adapters.delta.tables import Tables
from mergeline.core.data.snapshot import Built, snapshot_notes
from mergeline.lifecycle.steps.changed_drops import refuse_differing
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import build_snapshots, gather_snapshots, write_pins


@dataclass(frozen=True)
class PlannedSnapshot:
    """What `snapshot` would do for one table.

    Attributes:
        drops: how many drops the snapshot has.
        version: of the table that holds the snapshot; None if it would be built.
        damaged_files: how many of its files would be made again.
        notes: what a person might not expect of it.
    """

    table: str
    digest: str
    drops: int
    version: int | None
    damaged_files: int
    notes: tuple[str, ...] = ()


def plan_snapshots(project: Project) -> list[PlannedSnapshot]:
    """What `snapshot` would build; builds nothing.

    Raises:
        MergelineError: a drop differs from its pointer, or a table cannot be read.
    """
    tree, _ = project.target_tree()
    refuse_differing(project, tree)
    tables = Tables(project.tables)
    return [
        PlannedSnapshot(
            wanted.table,
            wanted.digest,
            len(wanted.drops),
            version=tables.find(wanted),
            damaged_files=len(tables.lost(wanted)),
            notes=snapshot_notes(wanted),
        )
        for wanted in gather_snapshots(tree, project.drops)
    ]


def snapshot(project: Project) -> list[Built]:
    """Build each table's snapshot and pin it in the working tree.

    Raises:
        MergelineError: a drop is missing, differs from its pointer or breaks its contract, or a
            table is damaged; then nothing is pinned.
    """
    tree, origin = project.target_tree()
    refuse_differing(project, tree)
    built = build_snapshots(project, tree, origin)
    write_pins(gather_snapshots(tree, project.drops), project.repository.root)
    return built
