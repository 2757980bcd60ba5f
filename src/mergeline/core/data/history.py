"""The history of a table, as people read it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergeline.core.data.snapshot import drop_md5


@dataclass(frozen=True)
class LogEntry:
    """One commit of a table as its log has it.

    Attributes:
        operation: as delta-rs names it.
        metadata: what mergeline wrote into it; empty if somebody else made the commit.
        drops_added: of the drops that it adds, by md5, the path and that of the drop that it
            replaces, or None.
        added: rows of each file that it adds, by name.
        removed: names of the files that it removes.
    """

    version: int
    time: dt.datetime
    operation: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    drops_added: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistoryEntry:
    """One version of a table.

    Attributes:
        author: who changed the pointers or the contract.
        operation: what happened to the drops; if somebody else made the commit, delta-rs's name.
        digest: of the snapshot; None if somebody else made the commit.
    """

    version: int
    time: dt.datetime
    author: str
    operation: str
    rows: int
    rows_added: int
    rows_removed: int
    files_added: int
    files_removed: int
    pull_request: str = ""
    ref: str = ""
    commit: str = ""
    digest: str | None = None


def read_history(
    entries: Sequence[LogEntry], files_before: Mapping[str, int]
) -> tuple[HistoryEntry, ...]:
    """The versions of consecutive log entries, newest first.

    Args:
        entries: oldest first.
        files_before: rows of each file of the version before them, by name.
    """
    files = dict(files_before)
    history = []
    for entry in entries:
        gone = {name: files.pop(name, 0) for name in entry.removed}
        files.update(entry.added)
        history.append(
            HistoryEntry(
                version=entry.version,
                time=entry.time,
                author=entry.metadata.get("author", ""),
                operation=_operation(entry),
                rows=sum(files.values()),
                rows_added=sum(entry.added.values()),
                rows_removed=sum(gone.values()),
                files_added=len(entry.added),
                files_removed=len(gone),
                pull_request=entry.metadata.get("pull_request", ""),
                ref=entry.metadata.get("ref", ""),
                commit=entry.metadata.get("commit", ""),
                digest=entry.metadata.get("snapshot"),
            )
        )
    return tuple(reversed(history))


def _operation(entry: LogEntry) -> str:
    if "snapshot" not in entry.metadata:
        return entry.operation.lower()
    come = {drop_md5(name) for name in entry.added}
    gone = {drop_md5(name) for name in entry.removed}
    if entry.version == 0:
        return "create"
    if come & gone:
        return "change contract"
    if come and gone:
        return "replace drops"
    if come:
        return "add drops" if len(come) > 1 else "add drop"
    return "withdraw drops" if len(gone) > 1 else "withdraw drop"
