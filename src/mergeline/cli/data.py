"""The commands on data and contracts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mergeline.cli.output import JSON, as_document, print_json, print_parts, print_results

if TYPE_CHECKING:
    from mergeline.lifecycle.steps.project import Project

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
    from mergeline.adapters.delta.tables import Tables
    from mergeline.cli.tables import history_table

    project = this_project()
    history = Tables(project.tables).history
    entries = {name: history(name, limit=limit) for name in _tables(project, table)}
    if as_json:
        print_json(
            {"table": name, **as_document(entry)}
            for name, of_table in entries.items()
            for entry in of_table
        )
    else:
        print_parts(history_table(name, of_table) for name, of_table in entries.items())


@data.command()
@_TABLE
@_AT
@JSON
def show(table: str | None, reference: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show what a snapshot holds: its drops, its columns and their values."""
    from mergeline.cli.tables import content_parts
    from mergeline.lifecycle.verbs import data as browse

    project = this_project()
    contents = [browse.show(project, name, reference) for name in _tables(project, table)]
    print_results(contents, content_parts, as_json=as_json)


@data.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B", required=False)
@_TABLE
@click.option("--rows", "by_row", is_flag=True, help="Show the rows that changed, by key.")
@click.option(
    "--to", "target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="With --rows and --table: write all of them to FILE, .csv, .parquet or .jsonl.",
)  # fmt: skip
@JSON
def diff(
    before: str,
    after: str | None,
    table: str | None,
    *,
    by_row: bool,
    target: Path | None,
    as_json: bool,
) -> None:
    """Show what differs between two snapshots, each a version, digest, date, commit or branch.

    Without B: the one that the working tree asks for.
    """
    if target is not None and not (by_row and table):
        raise click.UsageError("--to needs --rows and --table")
    if by_row:
        _diff_rows(before, after, table, target=target, as_json=as_json)
        return
    from mergeline.cli.tables import diff_parts
    from mergeline.lifecycle.verbs import data as browse

    project = this_project()
    diffs = [browse.diff(project, name, before, after) for name in _tables(project, table)]
    print_results(diffs, diff_parts, as_json=as_json)


def _diff_rows(
    before: str, after: str | None, table: str | None, *, target: Path | None, as_json: bool
) -> None:
    from mergeline.cli.tables import rows_parts
    from mergeline.lifecycle.verbs import data as browse

    project = this_project()
    diffs = [
        browse.diff_rows(project, name, before, after, target=target)
        for name in _tables(project, table)
    ]
    print_results(diffs, rows_parts, as_json=as_json)


@data.command()
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-t", "--table", metavar="NAME", required=True, help="Of the table.")
@_AT
def export(target: Path, table: str, reference: str | None) -> None:
    """Write the rows of a snapshot to FILE: .csv, .parquet or .jsonl."""
    from mergeline.core.numbers import counted
    from mergeline.lifecycle.verbs import data as browse

    rows = browse.export(this_project(), table, reference, target)
    click.echo(f"{target}: {counted(rows, 'row')}")


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
    from mergeline.adapters.delta.tables import Tables
    from mergeline.cli.show import garbage_lines
    from mergeline.lifecycle.verbs import data as browse

    project = this_project()
    plans = browse.find_garbage(project, hours=hours, force=force)
    print_results(plans, garbage_lines, as_json=as_json)
    if not plan_only:
        browse.collect(Tables(project.tables), plans)


@contract.command()
@click.argument("file", type=click.Path(path_type=Path))
def infer(file: Path) -> None:
    """Print a first contract for a table whose drops look like FILE."""
    from mergeline.adapters.drops.infer import infer as infer_contract
    from mergeline.core.data.first_contract import to_yaml

    click.echo(to_yaml(infer_contract(file, file.as_posix())), nl=False)


@contract.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def check(files: tuple[str, ...]) -> None:
    """Check contracts and drops: FILE is data/<table>.yaml, a drop, or the pointer of one."""
    from mergeline.lifecycle.verbs.contract import check_files

    print_parts(check_files(this_project(), [Path(file).absolute() for file in files]))


def this_project() -> Project:
    """The project of the current folder."""
    from mergeline.lifecycle.steps.project import Project

    return Project.at()


def _tables(project: Project, named: str | None) -> Sequence[str]:
    from mergeline.errors import NotFoundError
    from mergeline.lifecycle.verbs.data import known_tables

    tables = [named] if named else known_tables(project)
    if not tables:
        raise NotFoundError("there is no table yet", next_step="Run `mergeline snapshot`")
    return tables
