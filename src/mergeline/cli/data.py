"""The verbs on data and contracts: parse, one call into the lifecycle, print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mergeline.cli.output import JSON, document, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from mergeline.core.data.diff import DataDiff
    from mergeline.core.data.garbage import GarbagePlan
    from mergeline.core.data.history import HistoryEntry
    from mergeline.lifecycle.verbs.data import Shelf

_PLAIN_WIDTH = 140
_TABLE = click.option("-t", "--table", metavar="NAME", help="Of the table [all of them].")
_AT = click.option(
    "--at", "reference", metavar="REF",
    help="Version, digest, date, commit or branch [what the working tree asks for].",
)  # fmt: skip


@click.group()
def data() -> None:
    """Read what the tables hold, at any moment of their history."""


@click.group()
def contract() -> None:
    """Work with contracts, data/<table>.yaml."""


@data.command()
@_TABLE
@click.option("--limit", default=20, show_default=True, help="Newest versions to show.")
@JSON
def history(table: str | None, limit: int, as_json: bool) -> None:  # noqa: FBT001
    """List the versions of a table: when, who, what, and how much."""
    from mergeline.lifecycle.verbs import data as browse

    shelf = _shelf()
    found = {name: browse.history(shelf, name, limit=limit) for name in _tables(shelf, table)}
    if as_json:
        print_json(
            {"table": name, **document(entry)} for name, some in found.items() for entry in some
        )
        return
    _print(_history_table(name, entries) for name, entries in found.items())


@data.command()
@_TABLE
@_AT
@JSON
def show(table: str | None, reference: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show what a snapshot holds: its drops, its columns and their values."""
    from mergeline.lifecycle.verbs import data as browse

    shelf = _shelf()
    found = [browse.show(shelf, name, reference) for name in _tables(shelf, table)]
    if as_json:
        print_json(document(one) for one in found)
        return
    for one in found:
        _print(_show_parts(one))


@data.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B", required=False)
@_TABLE
@JSON
def diff(before: str, after: str | None, table: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show what differs between two snapshots, each a version, digest, date, commit or branch.

    Without B: the one that the working tree asks for.
    """
    from mergeline.lifecycle.verbs import data as browse

    shelf = _shelf()
    found = [browse.diff(shelf, name, before, after) for name in _tables(shelf, table)]
    if as_json:
        print_json(document(one) for one in found)
        return
    for one in found:
        _print(_diff_parts(one))


@data.command()
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-t", "--table", metavar="NAME", required=True, help="Of the table.")
@_AT
def export(target: Path, table: str, reference: str | None) -> None:
    """Write the rows of a snapshot to FILE: .csv, .parquet or .jsonl."""
    from mergeline.core import numbers
    from mergeline.lifecycle.verbs import data as browse

    rows = browse.export(_shelf(), table, reference, target)
    click.echo(f"{target}: {numbers.counted(rows, 'row')}")


@data.command()
@click.option("--plan", "plan_only", is_flag=True, help="Print what would go, delete nothing.")
@click.option(
    "--older-than", "hours", default=168.0, show_default=True, metavar="HOURS",
    help="Leave files younger than this: a build may be about to use them.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Allow an age below 24 hours.")
@JSON
def gc(plan_only: bool, hours: float, force: bool, as_json: bool) -> None:  # noqa: FBT001
    """Delete files that no release, open candidate, branch or the working tree pins."""
    from mergeline.lifecycle.verbs import data as browse

    shelf = _shelf()
    plans = browse.find_garbage(shelf, hours=hours, force=force)
    if as_json:
        print_json(document(one) for one in plans)
    else:
        _print(line for one in plans for line in _garbage_lines(one))
    if not plan_only:
        browse.collect(shelf.tables, plans)


@contract.command()
@click.argument("file", type=click.Path(path_type=Path))
def infer(file: Path) -> None:
    """Print a first contract for a table whose drops look like FILE."""
    from mergeline.lifecycle.verbs.contract import first_contract

    click.echo(first_contract(file), nl=False)


def _shelf() -> Shelf:
    from mergeline.lifecycle.steps.project import Project
    from mergeline.lifecycle.verbs.data import Shelf

    return Shelf(Project.at())


def _tables(shelf: Shelf, named: str | None) -> Sequence[str]:
    from mergeline.errors import NotFoundError

    known = [named] if named else shelf.known()
    if not known:
        raise NotFoundError("there is no table yet", next_step="Run `mergeline snapshot`")
    return known


# --- What is printed -----------------------------------------------------------------------------


def _print(parts: Iterable[object]) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    console = Console(width=width, highlight=False, emoji=False, markup=False)
    for part in parts:
        console.print(part)


def _grid(title: str, *columns: str) -> Table:
    """A table with a title; a column whose name begins with `>` is of numbers."""
    from rich import box
    from rich.table import Table

    grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in columns:
        numeric = name.startswith(">")
        grid.add_column(name.lstrip(">"), justify="right" if numeric else "left", no_wrap=numeric)
    return grid


def _history_table(name: str, entries: Sequence[HistoryEntry]) -> Table:
    from mergeline.core import numbers

    grid = _grid(
        name, ">version", "time (UTC)", "who", "operation", ">rows", ">rows ±", ">files ±",
        "pull request", "ref", "commit", "snapshot",
    )  # fmt: skip
    for entry in entries:
        grid.add_row(
            str(entry.version),
            f"{entry.time:%Y-%m-%d %H:%M:%S}",
            entry.author.partition(" <")[0],
            entry.operation,
            numbers.count(entry.rows),
            _plus_minus(entry.rows_added, entry.rows_removed),
            _plus_minus(entry.files_added, entry.files_removed),
            f"#{entry.pull_request}" if entry.pull_request else "",
            entry.ref,
            entry.commit[:8],
            (entry.digest or "")[:8],
        )
    return grid


def _plus_minus(added: int, removed: int) -> str:
    from mergeline.core import numbers

    parts = [numbers.signed_count(n) for n in (added, -removed) if n]
    return " ".join(parts) or "0"


def _show_parts(one: DataDiff) -> Iterable[object]:
    from mergeline.core import numbers
    from mergeline.core.data import wording as datawords

    yield f"{one.table}: {datawords.side_line(one.after)}"
    drops = _grid("drops", "path", ">rows")
    for name, drop in zip(datawords.drop_names(one), one.drops, strict=True):
        drops.add_row(name, numbers.count(drop.rows_after))
    yield drops
    columns = _grid("columns", "column", "type", ">absent", ">distinct", "values")
    for column in one.columns:
        facts = column.after
        columns.add_row(
            column.name, column.type, datawords.absent(facts), datawords.distinct(facts),
            datawords.values(facts),
        )  # fmt: skip
    yield columns


def _diff_parts(one: DataDiff) -> Iterable[object]:
    from mergeline.core.data import wording as datawords

    if one.before:
        yield f"{one.table}: {datawords.side_line(one.before)}"
    yield f"{' ' * len(one.table)}→ {datawords.side_line(one.after)}"
    if not one:
        yield "  the same rows"
        return
    if one.drops:
        drops = _grid("drops", "path", "change", ">rows ±")
        for name, drop in zip(datawords.drop_names(one), one.drops, strict=True):
            change = _plus_minus(drop.rows_after, drop.rows_before)
            drops.add_row(name, drop.change, change)
        yield drops
    yield from (f"  {line}" for line in (*map(str, one.schema), *datawords.note_lines(one)))
    yield _drift_table(one)


def _drift_table(one: DataDiff) -> Table:
    """The columns, those that moved most first."""
    from mergeline.core import numbers
    from mergeline.core.data import wording as datawords

    new = "added rows" if any(column.added for column in one.columns) else "after"
    grid = _grid(
        f"columns: {new} against before",
        "column", ">PSI", ">p", ">absent", ">distinct", "values before", f"values {new}",
    )  # fmt: skip
    for column in sorted(one.columns, key=lambda c: -(c.drift.psi if c.drift else 0.0)):
        drift, after = column.drift, column.added or column.after
        p_value = drift.p_value if drift else None
        grid.add_row(
            column.name,
            numbers.number(drift.psi, 2) if drift else "—",
            datawords.p_words(p_value).removeprefix("p ").removeprefix("= ")
            if p_value is not None
            else "—",
            f"{datawords.absent(column.before)} → {datawords.absent(after)}",
            f"{datawords.distinct(column.before)} → {datawords.distinct(after)}",
            datawords.values(column.before),
            datawords.values(after),
        )
    return grid


def _garbage_lines(plan: GarbagePlan) -> Iterable[str]:
    from mergeline.core import numbers

    pinned = ", ".join(map(str, plan.pinned))
    yield (
        f"{plan.table}: {numbers.counted(len(plan.delete), 'file')} to delete "
        f"({numbers.size(plan.size)}), {numbers.counted(plan.keep, 'file')} kept; "
        f"versions {pinned} stay readable"
    )
    for file in plan.delete:
        yield f"  − {file.name} ({numbers.size(file.size)})"
    for digest in plan.missing:
        yield f"  ! pinned snapshot {digest[:8]} is not in the table"
