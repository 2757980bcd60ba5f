"""`snapshot`: have the tables hold what the working tree's pointers and contracts say."""

from __future__ import annotations

from collections.abc import Collection

from mergeline.adapters.delta import Tables
from mergeline.adapters.dvc import DropStore
from mergeline.adapters.git import Tree
from mergeline.core.bundle import Origin
from mergeline.core.numbers import counted
from mergeline.core.snapshot import Built, Provenance, Snapshot
from mergeline.lifecycle.data import build_snapshots, gather_snapshots, write_pins
from mergeline.lifecycle.differing import refuse_differing
from mergeline.lifecycle.project import Project, Say


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
    return [describe(one) for one in built]


def build_for(
    project: Project,
    tree: Tree,
    origin: Origin,
    *,
    only: Collection[str] | None = None,
    verify: Collection[str] = (),
    say: Say = lambda _: None,
) -> list[Built]:
    """Have the tables hold the snapshots of a tree (or of some tables); those held are found.

    Those of the tables to `verify` are read to their end.
    """
    drops, tables = DropStore(project.repository.root), Tables(project.tables)
    provenance = Provenance(
        commit=origin.commit or "",
        ref=origin.ref or "",
        pull_request=str(origin.pull_request or ""),
        author=origin.author or "",
    )
    done = []
    wanted = gather_snapshots(tree, drops, only=only)
    for built in build_snapshots(wanted, tables, drops, provenance, verify=verify):
        say(describe(built))
        done.append(built)
    return done


def describe(built: Built) -> str:
    """One line on a snapshot."""
    head = (
        f"{built.table} {built.digest[:8]}: version {built.version}, {counted(built.rows, 'row')}"
    )
    repaired = f"{counted(len(built.repaired), 'drop')} repaired, " if built.repaired else ""
    if built.found and not repaired:
        return f"{head}, found"
    converted = "" if built.found else f"{counted(len(built.converted), 'drop')} converted, "
    size = f"{built.bytes_written / 1e6:.1f} MB" if built.bytes_written else "no bytes"
    return f"{head}, {converted}{repaired}{size} written"


def _planned(wanted: Snapshot, version: int | None, lost: int) -> str:
    head = f"{wanted.table} {wanted.digest[:8]}: {counted(len(wanted.drops), 'drop')}"
    if version is None:
        return f"{head}, would be built"
    mended = f"; {counted(lost, 'damaged file')} would be made again" if lost else ""
    return f"{head}, version {version} holds it{mended}"
