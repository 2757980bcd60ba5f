"""The tables of a project: build snapshots, read versions, compare them, delete garbage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from mergeline.adapters.delta.building import Building, Write
from mergeline.adapters.delta.comparing import Comparing
from mergeline.adapters.delta.log import logged_version, read_entry
from mergeline.adapters.delta.rows import ChangedRows
from mergeline.adapters.delta.state import find_state, open_state, open_version, translated
from mergeline.adapters.delta.storage import Storage, open_storage
from mergeline.adapters.delta.summaries import Summaries, profile_name
from mergeline.core.data.changed_rows import RowsDiff
from mergeline.core.data.diff import SharedKeys, SnapshotPair
from mergeline.core.data.garbage import TableFile
from mergeline.core.data.history import HistoryEntry, LogEntry, read_history
from mergeline.core.data.snapshot import Built, Drop, Provenance, Snapshot
from mergeline.core.declare.contract import Format
from mergeline.errors import NotFoundError, TableError


class Tables:
    """The tables under one root, a path or any URI that delta-rs speaks."""

    def __init__(self, root: str | Path) -> None:
        self._root = str(root).rstrip("/")

    def uri(self, table: str) -> str:
        """Where a table is."""
        return self._storage(table).uri

    # --- Building ------------------------------------------------------------------------------

    def find(self, snapshot: Snapshot) -> int | None:
        """The version that holds the snapshot, or None if no version does."""
        latest = open_state(self._storage(snapshot.table))
        state = find_state(latest, snapshot) if latest else None
        return state.version if state else None

    def lost(self, snapshot: Snapshot) -> list[Drop]:
        """Drops of a snapshot whose file is gone, or is not as the version committed it."""
        latest = open_state(self._storage(snapshot.table))
        state = find_state(latest, snapshot) if latest else None
        if state is None:
            return []
        return [snapshot.files[name] for name in state.damaged(state.storage.sizes())]

    def build(
        self, snapshot: Snapshot, write: Write, provenance: Provenance, *, verify: bool = False
    ) -> Built:
        """Make the table hold the snapshot as one version, unless it holds it already.

        Only drops that the table never held are written. If it is killed and run again, or run by
        many at once, the table holds each snapshot once, with exactly its files.

        Args:
            snapshot: what the version is to hold.
            write: makes of a drop a Parquet file at the path it is given, or raises; called from
                a few threads at once.
            provenance: for the table's history.
            verify: read every file of the snapshot, and make those again whose content is no
                longer what was written; without it only those that are gone or of another size.

        Raises:
            DropError: what `write` raises, or two drops share a key and the contract says that
                none do; nothing is committed.
            TableError: the table's log is damaged, or it cannot be reached or written.
        """
        return self.prepare(snapshot, write, provenance, verify=verify).run()

    def prepare(
        self, snapshot: Snapshot, write: Write, provenance: Provenance, *, verify: bool = False
    ) -> Building:
        """The first half of `build`: its drops are converted, and nothing is committed yet.

        `run` of what is returned does the rest.
        """
        building = Building(
            self._storage(snapshot.table), snapshot, write, provenance, verify=verify
        )
        building.prepare()
        return building

    # --- Reading -------------------------------------------------------------------------------

    def scan(self, table: str, version: int) -> pl.LazyFrame:
        """The rows of a version, in the same order whatever the table's history.

        Raises:
            NotFoundError: there is no such table or version.
            TableError: files of the version are gone.
        """
        return open_version(self._storage(table), version).scan()

    def export(self, table: str, version: int, target: Path, form: Format) -> int:
        """Write the rows of a version to a file; their number.

        Raises:
            NotFoundError: there is no such table or version.
            TableError: files of the version are gone or damaged, or the file cannot be written.
        """
        storage = self._storage(table)
        state = open_version(storage, version)
        with translated(storage):
            _sink(state.scan(), target, form)
        return state.rows

    def changed_rows(self, table: str, before: int, after: int, key: Sequence[str]) -> RowsDiff:
        """The rows that two versions have under the same key with other values.

        Raises:
            NotFoundError: there is no such table or version, or a version lacks the key.
            TableError: files of a version are gone or damaged.
        """
        storage = self._storage(table)
        changed = _changed(storage, before, after, key)
        with translated(storage):
            return changed.summary(table)

    def export_changed_rows(
        self,
        table: str,
        before: int,
        after: int,
        key: Sequence[str],
        *,
        target: Path,
        form: Format,
    ) -> None:
        """Write those rows to a file: the key, and each column before and after.

        Raises:
            NotFoundError: there is no such table or version, or a version lacks the key.
            TableError: files of a version are gone or damaged, or the file cannot be written.
        """
        storage = self._storage(table)
        changed = _changed(storage, before, after, key)
        with translated(storage):
            _sink(changed.wide(), target, form)

    def at_digest(self, table: str, digest: str) -> int:
        """The version that holds the snapshot of this digest.

        Raises:
            NotFoundError: no version holds it.
        """
        storage = self._storage(table)
        try:
            latest = open_state(storage)
            version = latest.version_of(digest) if latest else None
        except TableError:  # another engine may have made it in a way that we cannot read
            version = logged_version(storage, digest)
            if version is None:
                raise
        if version is None:
            raise NotFoundError(
                f"the table holds no snapshot {digest[:12]}",
                where=storage.uri,
                next_step="Run `mergeline snapshot`",
            )
        return version

    def latest(self, table: str) -> int:
        """The latest version, whoever made it.

        Raises:
            NotFoundError: there is no such table.
        """
        return open_version(self._storage(table)).version

    def history(self, table: str, *, limit: int | None = None) -> tuple[HistoryEntry, ...]:
        """The versions of a table, newest first, the last `limit` of them.

        Raises:
            NotFoundError: there is no such table.
        """
        storage = self._storage(table)
        end = open_version(storage).version + 1
        start = max(0, end - limit) if limit is not None else 0
        found = [read_entry(storage, version) for version in range(start, end)]
        entries = [entry for entry in found if entry]
        before: Mapping[str, int] = {}
        if entries and entries[0].version:
            before = self._rows_before(storage, entries[0])
        return read_history(entries, before)

    def _rows_before(self, storage: Storage, entry: LogEntry) -> Mapping[str, int]:
        """Rows of each file of the version before an entry's, by name.

        If another engine has cleaned that version away, of the files that the entry left in place.
        """
        try:
            return open_version(storage, entry.version - 1).rows_by_file
        except (NotFoundError, TableError):
            after = open_version(storage, entry.version).rows_by_file
            return {name: rows for name, rows in after.items() if name not in entry.added}

    def compare(
        self, table: str, before: int | None, after: int, *, key: Sequence[str] = ()
    ) -> SnapshotPair:
        """Two versions, with the summaries of their rows; those not made yet are made and kept.

        If the table is new, `before` is None. If it has the columns of `key`, keys are looked for
        that a file which only `after` has shares with another file.

        Raises:
            NotFoundError: there is no such table or version.
            TableError: files of a version are gone or damaged.
        """
        return Comparing(self._storage(table)).compare(before, after, key)

    def shared_keys(
        self, table: str, before: int | None, after: int, key: Sequence[str]
    ) -> SharedKeys | None:
        """Keys that drops which only `after` has share with other drops of it.

        None if the version lacks the columns of the key; if the table is new, `before` is None.

        Raises:
            NotFoundError: there is no such table or version.
            TableError: files of a version are gone or damaged.
        """
        return Comparing(self._storage(table)).shared_keys(before, after, key)

    # --- Garbage -------------------------------------------------------------------------------

    def names(self, known: Collection[str]) -> list[str]:
        """Those of the known names that name a table."""
        return [name for name in known if open_state(self._storage(name)) is not None]

    def files(self, table: str) -> list[TableFile]:
        """The files of rows in the table's folder, whether a version names them or not."""
        return self._storage(table).listing()

    def files_of(self, table: str, version: int) -> frozenset[str]:
        """Names of the files of a version."""
        return frozenset(open_version(self._storage(table), version).files)

    def delete(self, table: str, files: Collection[TableFile]) -> None:
        """Delete files of rows, but those made young since they were listed, and their summaries.

        Merged summaries stay if the latest version needs them.
        """
        storage = self._storage(table)
        for file in files:
            now = storage.file(file.name)
            # Asked for each one, right before: a build makes young what it is about to rely on.
            if now is not None and now.written <= file.written:
                storage.delete(file.name)
                storage.delete(profile_name(file.name))
        latest = open_version(storage)
        Summaries(storage, latest.types).forget_others(latest.files)

    def _storage(self, table: str) -> Storage:
        return open_storage(f"{self._root}/{table}")


def _changed(storage: Storage, before: int, after: int, key: Sequence[str]) -> ChangedRows:
    states = open_version(storage, before), open_version(storage, after)
    if not key or any(set(key) - set(state.types) for state in states):
        raise NotFoundError(
            "rows are compared by the contract's key, which not both versions have",
            where=storage.uri,
            next_step="Declare `key` in the contract, and compare versions that have its columns",
        )
    with translated(storage):
        return ChangedRows(*states, key)


def _sink(rows: pl.LazyFrame, target: Path, form: Format) -> None:
    match form:
        case "csv":
            rows.sink_csv(target)
        case "jsonl":
            rows.sink_ndjson(target)
        case "parquet":
            rows.sink_parquet(target)
