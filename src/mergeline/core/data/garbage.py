"""Files of a table that no pinned snapshot needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mergeline.core.data.snapshot import drop_md5


@dataclass(frozen=True)
class Pin:
    """A snapshot that must stay readable.

    Attributes:
        version: of this table, that held the snapshot when it was pinned, if it was this table;
            used if the table does not know the digest.
        expected: whether the table should hold it; a branch's snapshot may never have been built.
    """

    digest: str
    version: int | None = None
    expected: bool = True


@dataclass(frozen=True)
class TableFile:
    """A file of rows in a table's folder; `written` is Unix time in seconds."""

    name: str
    size: int
    written: float

    @property
    def drop(self) -> str:
        """md5 of the drop that it holds."""
        return drop_md5(self.name)


@dataclass(frozen=True)
class GarbagePlan:
    """What would be deleted of a table, and what stays.

    Attributes:
        latest: version of the table when this was planned; it is among the pinned ones.
        pinned: versions whose files stay: those of pinned snapshots, and the latest.
        delete: files that none of those versions has.
        keep: how many files stay, the young ones included.
        before: Unix time; files written later stay.
        missing: digests of pinned snapshots that the table does not hold.
    """

    table: str
    latest: int
    pinned: tuple[int, ...]
    delete: tuple[TableFile, ...]
    keep: int
    before: float
    missing: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes deleting sets free."""
        return sum(file.size for file in self.delete)

    def __bool__(self) -> bool:
        return bool(self.delete)


def plan_garbage(
    table: str,
    latest: int,
    files: Collection[TableFile],
    pinned: Mapping[int, Collection[str]],
    *,
    before: float,
    missing: Collection[str] = (),
) -> GarbagePlan:
    """Plan to delete every file that no pinned version has and that is not young.

    Args:
        table: its name.
        latest: its latest version.
        files: all in the table's folder, whether a version names them or not.
        pinned: names of the files of each version that must stay readable.
        before: Unix time; a file written later stays, since a build may be about to commit it.
        missing: as in `GarbagePlan`.
    """
    needed = {name for names in pinned.values() for name in names}
    delete = tuple(
        file
        for file in sorted(files, key=lambda file: file.name)
        if file.name not in needed and file.written < before
    )
    return GarbagePlan(
        table=table,
        latest=latest,
        pinned=tuple(sorted(pinned)),
        delete=delete,
        keep=len(files) - len(delete),
        before=before,
        missing=tuple(sorted(missing)),
    )
