"""A table opened at one version; the errors of delta-rs become a TableError here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from polars.exceptions import PolarsError

from mergeline.adapters.delta.actions import DELTA_TYPES
from mergeline.adapters.delta.storage import Storage, message_in_one_line
from mergeline.core.data.snapshot import Snapshot
from mergeline.core.numbers import counted
from mergeline.errors import NotFoundError, TableError

_CONTRACT_TYPES = {delta: ours for ours, delta in DELTA_TYPES.items()} | {
    "timestamp_ntz": "datetime"
}


@dataclass(frozen=True)
class State:
    """A table at one version."""

    storage: Storage
    table: DeltaTable
    version: int

    @cached_property
    def adds(self) -> pl.DataFrame:
        """The files of the version, a row each, with their statistics."""
        with translated(self.storage):
            return pl.DataFrame(self.table.get_add_actions(flatten=True))

    @cached_property
    def files(self) -> dict[str, int]:
        """Size of each file of the version, by name."""
        return dict(self.adds.select("path", "size_bytes").iter_rows())

    @cached_property
    def rows_by_file(self) -> dict[str, int]:
        """Rows of each file of the version, by name, without those that are deleted in it."""
        rows = self.adds.select("path", pl.col("num_records").fill_null(0)).iter_rows()
        return {name: count - self.deleted.get(name, 0) for name, count in rows}

    @property
    def empty(self) -> dict[str, int]:
        """By column, how many files have rows and no value in any of them, by their statistics."""
        filled = self.adds.filter(pl.col("num_records") > 0)
        names = {name: f"null_count.{name}" for name in self.types}
        return {
            name: int((filled[nulls] == filled["num_records"]).sum())
            for name, nulls in names.items()
            if nulls in filled.columns
        }

    @cached_property
    def deleted(self) -> dict[str, int]:
        """By the name of a file, how many of its rows another engine has marked as deleted."""
        with translated(self.storage):
            if "deletionVectors" not in (self.table.protocol().reader_features or ()):
                return {}
            marks = pl.DataFrame(self.table.deletion_vectors().read_all())
            kept = pl.col("selection_vector")
            gone = marks.select("filepath", kept.list.len() - kept.list.sum())
            return {unquote(uri.rpartition("/")[2]): int(rows) for uri, rows in gone.iter_rows()}

    @property
    def rows(self) -> int:
        """Number of rows of the version."""
        return sum(self.rows_by_file.values())

    def damaged(self, sizes: Mapping[str, int]) -> list[str]:
        """Files of the version that, by the `sizes` in the folder, are not as committed."""
        return sorted(name for name, size in self.files.items() if sizes.get(name) != size)

    @property
    def types(self) -> dict[str, str]:
        """A contract's name for each column's type; for a type that no contract has, its own."""
        types = {
            field.name: str(getattr(field.type, "type", field.type))
            for field in self.table.schema().fields
        }
        return {name: _CONTRACT_TYPES.get(kind, kind) for name, kind in types.items()}

    def version_of(self, digest: str) -> int | None:
        """The version committed for the snapshot of this digest, or None if there is none."""
        with translated(self.storage):
            version: int | None = self.table.transaction_version(app_id(digest))
        return version

    def refuse_deleted(self) -> None:
        """Refuse to read a version in which rows are marked as deleted.

        Raises:
            TableError: there are such rows.
        """
        if self.deleted:
            raise TableError(
                f"version {self.version} has deletion vectors: another engine deleted "
                f"{counted(sum(self.deleted.values()), 'row')} in it, and mergeline reads whole "
                "files",
                where=self.storage.uri,
                next_step="Name a version that mergeline committed, see `mergeline data history`",
            )

    def scan(self) -> pl.LazyFrame:
        """The rows in the order of the files' names.

        Raises:
            TableError: a file is gone, or has rows that another engine marked as deleted.
        """
        self.refuse_deleted()
        if damaged := self.damaged(self.storage.sizes()):
            more = f" and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
            raise TableError(
                f"{damaged[0]}{more} of version {self.version}: gone, or not of the size that was "
                "committed",
                where=self.storage.uri,
                next_step="Run `mergeline snapshot` on the tree it belongs to: files are made "
                "again from their drops",
            )
        if not self.files:
            with translated(self.storage):
                return pl.LazyFrame(pa.schema(self.table.schema()).empty_table())
        return self.storage.scan(*sorted(self.files))


def app_id(digest: str) -> str:
    """The key by which the table's own state, not a search of its history, knows a snapshot."""
    return f"mergeline-snapshot:{digest}"


def open_state(storage: Storage, version: int | None = None) -> State | None:
    """The table at a version, or at its latest; None if there is no table."""
    with translated(storage):
        try:
            table = DeltaTable(storage.uri, version=version, storage_options=storage.options)
        except TableNotFoundError as error:
            if "Unknown scheme" in str(error):
                raise
            return None
        return State(storage, table, table.version())


def open_version(storage: Storage, version: int | None = None) -> State:
    """The table at a version, or at its latest.

    Raises:
        NotFoundError: there is no such table or version.
    """
    if version is not None and version >= 0:
        # Not by way of the latest, which another engine may have made in a way that we cannot read.
        with suppress(TableError):
            state = open_state(storage, version)
            if state is not None and state.version == version:
                return state
    latest = open_state(storage)
    if latest is None:
        raise NotFoundError(
            "there is no such table", where=storage.uri, next_step="Run `mergeline snapshot`"
        )
    if version is not None and version != latest.version:
        raise NotFoundError(
            f"there is no version {version}, the latest is {latest.version}",
            where=storage.uri,
            next_step="Run `mergeline data history`",
        )
    return latest


def find_state(latest: State, snapshot: Snapshot) -> State | None:
    """The version that holds a snapshot, or None if no version does."""
    version = latest.version_of(snapshot.digest)
    if version is None:
        return None
    then = latest if version == latest.version else open_state(latest.storage, version)
    holds = then is not None and set(then.files) == set(snapshot.files) and not then.deleted
    return then if holds else None


@contextmanager
def translated(storage: Storage) -> Iterator[None]:
    """Make the errors of delta-rs, and of those that read its files, a TableError."""
    try:
        yield
    except (DeltaError, OSError, ValueError, pa.ArrowException, PolarsError) as error:
        message = message_in_one_line(error)
        step = (
            "Check the place and your access; if its log is damaged, move the table away: "
            "`mergeline snapshot` makes it anew from its drops"
        )
        if "No space left" in message:
            step = "Make room there and run again"
        if "is not supported" in message or "olumn mapping" in message:
            step = (
                "Another engine has switched on what delta-rs cannot read. Give mergeline tables "
                "of its own: set MERGELINE_TABLES to another place and run `mergeline snapshot`"
            )
        raise TableError(
            f"the Delta table cannot be read or written: {message}",
            where=storage.uri,
            next_step=step,
        ) from error
