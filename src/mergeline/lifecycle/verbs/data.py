"""`data`: read what the tables hold, at any moment of their history, and what nothing needs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergeline.adapters.delta.tables import Tables
from mergeline.core.data.diff import DataDiff, diff_snapshots
from mergeline.core.data.garbage import GarbagePlan, Pin, plan_garbage
from mergeline.core.data.history import HistoryEntry
from mergeline.core.declare.contract import Format
from mergeline.errors import InputError, NotFoundError, TableError
from mergeline.lifecycle.steps.pinned_snapshots import pinned_snapshots
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import gather_snapshots
from mergeline.system.atomic_writes import file_written_whole

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
_MOST_HOURS = 24 * 36_525  # a century
_SAFE_HOURS = 24
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}


@dataclass(frozen=True)
class Shelf:
    """The tables of a project, and how their snapshots are named there."""

    project: Project

    @property
    def tables(self) -> Tables:
        """All of them."""
        return Tables(self.project.tables)

    def version(self, table: str, reference: str | None) -> int:
        """The version of a table that a reference names.

        That is a version, the first 8 or more digits of a snapshot's digest, a date (what main
        asked for at its end, UTC) or moment, or a commit, branch or tag of Git; without a
        reference, what the working tree asks for.

        Raises:
            NotFoundError: there is no such version.
        """
        if reference and reference.isdecimal() and len(reference) < 8:
            return int(reference)
        if reference and _DATE.fullmatch(reference):
            return self._at(table, reference)
        by_digest = {}
        if reference and _DIGEST.fullmatch(reference):
            for entry in reversed(self.tables.history(table)):
                if entry.digest and entry.digest.startswith(reference):
                    by_digest[entry.digest] = entry.version
        if len(by_digest) > 1:
            raise NotFoundError(
                f"several snapshots begin with {reference}",
                where=self.tables.uri(table),
                next_step="Give more digits",
            )
        for version in by_digest.values():
            return version
        return self._of_tree(table, reference)

    def _at(self, table: str, moment: str) -> int:
        """What main asked for then; the table itself has the snapshots of pull requests too."""
        try:
            until = dt.datetime.fromisoformat(moment)
        except ValueError as error:
            raise NotFoundError(
                f"{moment!r} is no date", next_step="Write it as 2013-07-31 or 2013-07-31T12:00"
            ) from error
        if len(moment) == len("2013-07-31"):
            until = until.replace(hour=23, minute=59, second=59)
        until = until if until.tzinfo else until.replace(tzinfo=dt.UTC)
        repository = self.project.repository
        branch = repository.main_branch()
        tip = repository.tip_at(branch, until)
        if tip is None:
            raise NotFoundError(
                f"{branch} is younger than {moment}, or this clone is too shallow",
                where=str(repository.root),
                next_step="Run `git log`, and name a later date",
            )
        return self._of_tree(table, tip.sha)

    def _of_tree(self, table: str, revision: str | None) -> int:
        project = self.project
        tree = project.tree(revision) if revision else project.working_tree()
        snapshots = gather_snapshots(tree, project.drops, only={table})
        if not snapshots:
            raise NotFoundError(
                f"no contract declares a table {table!r}",
                where=revision or "the working tree",
                next_step=f"Write data/{table}.yaml",
            )
        return self.tables.at_digest(table, snapshots[0].digest)

    def known(self) -> list[str]:
        """Names of the tables that the working tree declares and that are there."""
        return self.tables.names(sorted(self.project.working_tree().contracts))


def history(shelf: Shelf, table: str, *, limit: int | None = None) -> tuple[HistoryEntry, ...]:
    """The versions of a table, newest first.

    Raises:
        NotFoundError: there is no such table.
    """
    return shelf.tables.history(table, limit=limit)


def show(shelf: Shelf, table: str, reference: str | None = None) -> DataDiff:
    """What a version holds: the difference from nothing.

    Raises:
        NotFoundError: there is no such table or version.
    """
    version = shelf.version(table, reference)
    return diff_snapshots(table, shelf.tables.compare(table, None, version))


def diff(shelf: Shelf, table: str, before: str | None, after: str | None = None) -> DataDiff:
    """What differs between two versions; only drops never summarised before are read.

    Raises:
        NotFoundError: there is no such table or version.
    """
    declared = shelf.project.working_tree()
    contract = declared.contracts.get(table)
    versions = shelf.version(table, before), shelf.version(table, after)
    compared = shelf.tables.compare(table, *versions, key=contract.key if contract else ())
    return diff_snapshots(table, compared, {model.label for model in declared.models.values()})


def export(shelf: Shelf, table: str, reference: str | None, target: Path) -> int:
    """Write the rows of a version to a file (`.csv`, `.parquet` or `.jsonl`); their number.

    Raises:
        NotFoundError: there is no such table, version or folder, or the file's kind is unknown.
        TableError: the file cannot be written.
    """
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
    version = shelf.version(table, reference)
    try:
        with file_written_whole(target) as part:
            return shelf.tables.export(table, version, part, kind)
    except OSError as error:
        raise TableError(f"cannot be written: {error.strerror}", where=str(target)) from error


def find_garbage(shelf: Shelf, *, hours: float, force: bool = False) -> tuple[GarbagePlan, ...]:
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
    return plan_collection(shelf.tables, pinned_snapshots(shelf.project), before=before)


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
