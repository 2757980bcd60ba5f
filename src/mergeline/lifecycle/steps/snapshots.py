"""Snapshots of a tree: gather contracts and drops, and have the tables hold them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.convert import convert
from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.git.tree import Tree
from mergeline.core.data.snapshot import (
    Built,
    Drop,
    PinnedSnapshot,
    Provenance,
    Snapshot,
    pin,
    pin_path,
)
from mergeline.core.declare.pointer import Pointer
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.numbers import counted
from mergeline.core.release.bundle import Origin
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.places import tables_root
from mergeline.lifecycle.steps.project import Project, Say

if TYPE_CHECKING:
    import polars as pl

    from mergeline.adapters.git.tree import Tree


def gather_snapshots(
    tree: Tree, drops: DropStore, *, only: Collection[str] | None = None
) -> tuple[Snapshot, ...]:
    """The snapshots that a tree asks for, by its contracts and pointers.

    Only the list of a folder pointer's drops is read from the store, no drop.

    Args:
        tree: the Git tree.
        drops: where a folder pointer's list is.
        only: names of the tables to gather; all without it.

    Raises:
        DeclarationError: a contract or a pointer cannot be read as it stands.
        DropError: the list of a folder pointer is missing.
        RemoteError: the DVC remote cannot be reached.
    """
    from mergeline.lifecycle.steps.project import declared_tables, pointers_of

    return tuple(
        Snapshot(table, contract, drops_of(pointers_of(tree, contract), drops))
        for table, contract in declared_tables(tree).items()
        if only is None or table in only
    )


def drops_of(pointers: Collection[Pointer], store: DropStore) -> tuple[Drop, ...]:
    """The drops that pointers stand for, in the order of their paths."""
    found: list[Drop] = []
    for pointer in pointers:
        if pointer.is_folder:
            listed = store.listing(pointer.md5, pointer=pointer.path)
            found += [Drop(f"{pointer.target}/{path}", md5) for path, md5 in listed]
        else:
            found.append(Drop(pointer.target, pointer.md5, pointer.size))
    return tuple(sorted(found, key=lambda drop: drop.path))


def build_snapshots(
    snapshots: Collection[Snapshot],
    tables: Tables,
    drops: DropStore,
    provenance: Provenance,
    *,
    verify: Collection[str] = (),
) -> Iterator[Built]:
    """Have their tables hold snapshots that belong together; only new drops are fetched.

    No table gets its commit before the drops of all are converted: one that is missing or refused
    leaves every table as it was. Tables to `verify` are read to the snapshot's end, and drops whose
    rows are damaged are converted again.
    """
    ready = [
        tables.prepare(one, _writer(one, drops), provenance, verify=one.table in verify)
        for one in snapshots
    ]
    yield from (building.run() for building in ready)


def _writer(snapshot: Snapshot, drops: DropStore) -> Callable[[Drop, Path], None]:
    def write(drop: Drop, target: Path) -> None:
        convert(drops.fetch(drop.md5, pointer=drop.path), drop, snapshot.contract, target)

    return write


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
    """The rows of the snapshot that a working tree pins, the same rows in the same order always.

    Args:
        name: of the table.
        project: folder of the working tree, or one inside it.

    Raises:
        NotFoundError: nothing is pinned yet, or the table does not hold it.
        TableError: files of the table are gone.
    """
    from mergeline.adapters.git.repository import Repository

    root, pinned = _pinned(name, project)
    tables = Tables(tables_root(os.environ, lambda: Repository.at(root).main_root))
    return tables.scan(name, tables.at_digest(name, pinned.digest))


def _pinned(name: str, project: Path) -> tuple[Path, PinnedSnapshot]:
    """The working tree's top folder, and what it pins."""
    start = project.absolute()
    for root in (start, *start.parents):
        path = root / pin_path(name)
        if path.is_file():
            return root, read_json(PinnedSnapshot, path.read_bytes(), where=str(path))
    raise NotFoundError(
        f"no snapshot of {name!r} is pinned here",
        where=str(start / pin_path(name)),
        next_step="Run `mergeline snapshot`",
    )


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
        say(describe_built(built))
        done.append(built)
    return done


def describe_built(built: Built) -> str:
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
