"""Snapshots of a tree: gather contracts and drops, and have the tables hold them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.git.repository import Repository
from mergeline.core.data.snapshot import (
    Built,
    Drop,
    PinnedSnapshot,
    Provenance,
    Snapshot,
    pin,
    pin_path,
    snapshot_notes,
)
from mergeline.core.declare.contract import Contract
from mergeline.core.declare.pointer import Pointer, is_no_drop
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.numbers import counted
from mergeline.core.release.bundle import Origin
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.project_tree import ProjectTree

if TYPE_CHECKING:
    import polars as pl


def gather_snapshots(
    tree: ProjectTree, drops: DropStore, *, only: Collection[str] | None = None
) -> tuple[Snapshot, ...]:
    """The snapshots that a tree asks for by its contracts and pointers, of all tables or of some.

    Only the list of a folder pointer's drops is read from the store, no drop.

    Raises:
        DeclarationError: a contract or a pointer cannot be read as it stands.
        DropError: the list of a folder pointer is missing.
        RemoteError: the DVC remote cannot be reached.
    """
    snapshots = []
    for table, contract in tree.contracts.items():
        if only is None or table in only:
            of_table, skipped = drops_of(tree.pointers_of(contract), drops)
            snapshots.append(Snapshot(table, contract, of_table, skipped))
    return tuple(snapshots)


def drops_of(
    pointers: Iterable[Pointer], store: DropStore
) -> tuple[tuple[Drop, ...], tuple[str, ...]]:
    """What pointers stand for, by path: drops, and files of folders that are none.

    Raises:
        DropError: the list of a folder pointer is missing.
        RemoteError: the DVC remote cannot be reached.
    """
    drops, skipped = [], []
    for pointer in pointers:
        if not pointer.is_folder:
            drops.append(Drop(pointer.target, pointer.md5, pointer.size, pointer.replaces))
            continue
        for path, md5 in store.listing(pointer.md5, pointer=pointer.path):
            whole = f"{pointer.target}/{path}"
            if is_no_drop(path):
                skipped.append(whole)
            else:
                drops.append(Drop(whole, md5))
    return tuple(sorted(drops, key=lambda drop: drop.path)), tuple(sorted(skipped))


def build_snapshots(
    project: Project,
    tree: ProjectTree,
    origin: Origin,
    *,
    only: Collection[str] | None = None,
    verify: Collection[str] = (),
    private: Collection[str] = (),
    say: Say = lambda _: None,
) -> list[Built]:
    """Have the tables hold the snapshots of a tree, or of some tables; only new drops are fetched.

    No message quotes a value of a column that the tree or main declares private, or `private` has.
    No table gets its commit before the drops of all are converted: one that is missing or refused
    leaves every table as it was. Tables to `verify` are read to the snapshot's end, and drops whose
    rows are damaged are converted again.
    """
    from mergeline.adapters.delta.tables import Tables

    tables, drops = Tables(project.tables), project.drops
    provenance = Provenance(
        commit=origin.commit or "",
        ref=origin.ref or "",
        pull_request=str(origin.pull_request or ""),
        author=origin.author or "",
    )
    ready = []
    hidden = project.private_columns(tree) | set(private)
    for gathered in gather_snapshots(tree, drops, only=only):
        snapshot = replace(gathered, private=hidden)
        write = partial(write_rows, drops, snapshot.contract, private=hidden)
        ready.append(tables.prepare(snapshot, write, provenance, verify=snapshot.table in verify))
    done = []
    for building in ready:
        built = replace(building.run(), notes=snapshot_notes(building.snapshot))
        for line in (describe_built(built), *built.notes):
            say(line)
        done.append(built)
    return done


def write_rows(
    drops: DropStore,
    contract: Contract,
    drop: Drop,
    target: Path,
    *,
    private: frozenset[str] = frozenset(),
) -> None:
    """Fetch a drop and convert it; with its first two arguments it can be pickled.

    Raises:
        MergelineError: as `DropStore.fetch` and `convert`.
    """
    from mergeline.adapters.drops.convert import convert

    source = drops.fetch(drop.md5, pointer=drop.path)
    convert(source, drop, contract, target, private=private)


def write_pins(snapshots: Collection[Snapshot], project: Path) -> tuple[Path, ...]:
    """Write `data/<table>.snapshot.json` of each snapshot into a working tree; their paths."""
    written = []
    for snapshot in snapshots:
        path = project / pin_path(snapshot.table)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write_json(pin(snapshot)), encoding="utf-8")
        written.append(path)
    return tuple(written)


def table(name: str, project: Path = Path()) -> pl.LazyFrame:
    """See `mergeline.table`."""
    from mergeline.adapters.delta.tables import Tables

    start = project.absolute()
    for root in (start, *start.parents):
        path = root / pin_path(name)
        if path.is_file():
            pinned = read_json(PinnedSnapshot, path.read_bytes(), where=str(path))
            tables = Tables(Project(Repository(root), os.environ).tables)
            return tables.scan(name, tables.at_digest(name, pinned.digest))
    raise NotFoundError(
        f"no snapshot of {name!r} is pinned here",
        where=str(start / pin_path(name)),
        next_step="Run `mergeline snapshot`",
    )


def describe_built(built: Built) -> str:
    """One line on a snapshot."""
    name, rows = f"{built.table} {built.digest[:8]}", counted(built.rows, "row")
    head = f"{name}: version {built.version}, {rows}"
    repaired = f"{counted(len(built.repaired), 'drop')} repaired, " if built.repaired else ""
    if built.found and not repaired:
        return f"{head}, found"
    converted = "" if built.found else f"{counted(len(built.converted), 'drop')} converted, "
    size = f"{built.bytes_written / 1e6:.1f} MB" if built.bytes_written else "no bytes"
    return f"{head}, {converted}{repaired}{size} written"
