"""`data`: read what the tables hold, at any moment of their history, and what nothing needs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mergeline.adapters.delta.tables import Tables
from mergeline.core.data.changed_rows import RowsDiff
from mergeline.core.data.diff import DataDiff, diff_snapshots
from mergeline.core.data.garbage import GarbagePlan, Pin, plan_garbage
from mergeline.core.declare.contract import Format
from mergeline.errors import InputError, NotFoundError, TableError
from mergeline.lifecycle.steps.pinned_snapshots import pinned_snapshots
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.snapshots import gather_snapshots
from mergeline.system.atomic_writes import file_written_whole

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
_MOST_HOURS = 24 * 36_525  # a century
_SAFE_HOURS = 24
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}


def known_tables(project: Project) -> list[str]:
    """Names of the tables that the working tree declares and that are there."""
    return Tables(project.tables).names(sorted(project.working_tree().contracts))


def find_version(project: Project, table: str, reference: str | None) -> int:
    """The version of a table that a reference names.

    That is a version, the first 8 or more digits of a snapshot's digest, a date (what main asked
    for at its end, UTC) or moment, or a commit, branch or tag of Git; without a reference, what the
    working tree asks for.

    Raises:
        NotFoundError: there is no such version.
    """
    if reference is None:
        return _version_of_tree(project, table, project.working_tree(), "the working tree")
    if reference.isdecimal() and len(reference) < 8:
        return int(reference)
    if _DATE.fullmatch(reference):
        reference = _commit_of_main_at(project, reference)
    elif _DIGEST.fullmatch(reference):
        tables = Tables(project.tables)
        versions = {
            entry.digest: entry.version
            for entry in reversed(tables.history(table))
            if entry.digest and entry.digest.startswith(reference)
        }
        if len(versions) > 1:
            raise NotFoundError(
                f"several snapshots begin with {reference}",
                where=tables.uri(table),
                next_step="Give more digits",
            )
        for version in versions.values():
            return version
    return _version_of_tree(project, table, project.tree(reference), reference)


def _commit_of_main_at(project: Project, moment: str) -> str:
    """What main was then; the table itself has the snapshots of pull requests too."""
    try:
        until = dt.datetime.fromisoformat(moment)
    except ValueError as error:
        raise NotFoundError(
            f"{moment!r} is an invalid date", next_step="Write it as 2013-07-31 or 2013-07-31T12:00"
        ) from error
    if len(moment) == len("2013-07-31"):
        until = until.replace(hour=23, minute=59, second=59)
    until = until if until.tzinfo else until.replace(tzinfo=dt.UTC)
    repository = project.repository
    branch = repository.main_branch()
    tip = repository.tip_at(branch, until)
    if tip is None:
        raise NotFoundError(
            f"{branch} is younger than {moment}, or this clone is too shallow",
            where=str(repository.root),
            next_step="Run `git log`, and name a later date",
        )
    return tip.sha


def _version_of_tree(project: Project, table: str, tree: ProjectTree, where: str) -> int:
    snapshots = gather_snapshots(tree, project.drops, only={table})
    if not snapshots:
        raise NotFoundError(
            f"no contract declares a table {table!r}",
            where=where,
            next_step=f"Write data/{table}.yaml",
        )
    return Tables(project.tables).at_digest(table, snapshots[0].digest)


def show(project: Project, table: str, reference: str | None = None) -> DataDiff:
    """What a version holds: the difference from nothing.

    Raises:
        NotFoundError: there is no such table or version.
    """
    version = find_version(project, table, reference)
    return diff_snapshots(table, Tables(project.tables).compare(table, None, version))


def diff(project: Project, table: str, before: str, after: str | None = None) -> DataDiff:
    """What differs between two versions; only drops never summarised before are read.

    Raises:
        NotFoundError: there is no such table or version.
    """
    declared = project.working_tree()
    contract = declared.contracts.get(table)
    versions = find_version(project, table, before), find_version(project, table, after)
    key = contract.key if contract else ()
    compared = Tables(project.tables).compare(table, *versions, key=key)
    return diff_snapshots(table, compared, {model.label for model in declared.models.values()})


def diff_rows(
    project: Project,
    table: str,
    before: str,
    after: str | None = None,
    *,
    target: Path | None = None,
) -> RowsDiff:
    """The rows that two versions have under the same key with other values.

    With a `target` (`.csv`, `.parquet` or `.jsonl`) they are written there too.

    Raises:
        NotFoundError: there is no such table, version or folder, the table has no key, or the
            file's kind is unknown.
        TableError: the file cannot be written.
    """
    contract = project.working_tree().contracts.get(table)
    versions = find_version(project, table, before), find_version(project, table, after)
    key = contract.key if contract else ()
    tables = Tables(project.tables)
    found = tables.changed_rows(table, *versions, key)
    if target is not None:
        with _written(target) as (part, kind):
            tables.export_changed_rows(table, *versions, key, target=part, form=kind)
    return found


def export(project: Project, table: str, reference: str | None, target: Path) -> int:
    """Write the rows of a version to a file (`.csv`, `.parquet` or `.jsonl`); their number.

    Raises:
        NotFoundError: there is no such table, version or folder, or the file's kind is unknown.
        TableError: the file cannot be written.
    """
    version = find_version(project, table, reference)
    with _written(target) as (part, kind):
        return Tables(project.tables).export(table, version, part, kind)


@contextmanager
def _written(target: Path) -> Iterator[tuple[Path, Format]]:
    """A place to write a file to, and the format that its name says."""
    kind = _SUFFIXES.get(target.suffix.lower())
    if kind is None:
        raise NotFoundError(
            f"no way to write {target.suffix or 'a file without a suffix'!r}",
            where=str(target),
            next_step="Name it .csv, .parquet or .jsonl",
        )
    if not target.parent.is_dir():
        raise NotFoundError(
            f"there is no folder {target.parent}", where=str(target), next_step="Make it first"
        )
    try:
        with file_written_whole(target) as part:
            yield part, kind
    except OSError as error:
        raise TableError(f"cannot be written: {error.strerror}", where=str(target)) from error


def find_garbage(project: Project, *, hours: float, force: bool = False) -> tuple[GarbagePlan, ...]:
    """The files older than so many hours that nothing pins, for `collect`.

    With `force` the age may be below a day, which a build that is running may not survive.

    Raises:
        InputError: the age is invalid, or below a day without `force`.
        MergelineError: see `pinned_snapshots`.
    """
    if not 0 <= hours <= _MOST_HOURS:  # nor is NaN
        raise InputError(
            f"files cannot be older than {hours:g} hours",
            next_step=f"Give hours from 0 to {_MOST_HOURS:,}, such as --older-than 168",
        )
    if hours < _SAFE_HOURS and not force:
        raise InputError(
            f"a build that is running may need files younger than {_SAFE_HOURS} hours",
            where="--older-than",
            next_step=f"Give {_SAFE_HOURS} hours or more, or --force while nothing is built",
        )
    before = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
    return plan_collection(Tables(project.tables), pinned_snapshots(project), before=before)


def plan_collection(
    tables: Tables, pinned: Mapping[str, Collection[Pin]], *, before: dt.datetime
) -> tuple[GarbagePlan, ...]:
    """What of each table was written `before` then and no pinned snapshot needs.

    The latest version always stays.
    """
    return tuple(
        _plan_table(tables, table, pinned[table], before) for table in tables.names(sorted(pinned))
    )


def _plan_table(
    tables: Tables, table: str, pins: Collection[Pin], before: dt.datetime
) -> GarbagePlan:
    latest = tables.latest(table)
    versions = {latest}
    missing = set()
    for pin in pins:
        try:
            versions.add(tables.at_digest(table, pin.digest))
        except NotFoundError:
            if pin.version is not None and pin.version <= max(versions):
                versions.add(pin.version)
            elif pin.expected:
                missing.add(pin.digest)
    kept = {version: tables.files_of(table, version) for version in versions}
    files = tables.files(table)
    return plan_garbage(table, latest, files, kept, before=before.timestamp(), missing=missing)


def collect(tables: Tables, plans: Collection[GarbagePlan]) -> None:
    """Delete what the plans say, but what a build has taken up again since then."""
    for plan in plans:
        since = range(plan.latest + 1, tables.latest(plan.table) + 1)
        taken = {name for version in since for name in tables.files_of(plan.table, version)}
        tables.delete(plan.table, [file for file in plan.delete if file.name not in taken])
