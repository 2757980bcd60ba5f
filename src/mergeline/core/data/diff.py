"""What differs between two snapshots of a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal

from mergeline.core.data.drift import Drift, drift
from mergeline.core.data.profile import DropProfile, Merged, Scalar, merge_profiles, shown_text
from mergeline.core.numbers import counted

CLASSES = 20
_TOP = 5
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOMENTS = frozenset({"date", "datetime"})
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Side:
    """One of the two snapshots.

    Attributes:
        digest: None if mergeline did not commit the version; so is `contract`, the contract's.
        size: bytes of the table's files.
    """

    version: int
    digest: str | None
    rows: int
    drops: int
    size: int
    contract: str | None = None


@dataclass(frozen=True)
class HeldDrop:
    """A drop of a snapshot.

    Attributes:
        path: its md5 if the table's history does not know the path.
        replaces: path of an earlier drop that it corrects; its own path needs no saying.
    """

    path: str
    md5: str
    rows: int
    replaces: str | None = None


@dataclass(frozen=True)
class DropChange:
    """A drop that only one snapshot has, or that both have with different content.

    Attributes:
        path: as in `HeldDrop`; after a rename two drops may share it.
        md5: of its content in the second snapshot; of a withdrawn drop, in the first.
        replaces: path of the drop that it replaces, if that is another one.
    """

    path: str
    change: Literal["added", "withdrawn", "replaced"]
    rows_before: int
    rows_after: int
    md5: str = ""
    replaces: str | None = None


@dataclass(frozen=True)
class SchemaChange:
    """A column that is new (`before` is None), gone (`after` is None) or of another type.

    Attributes:
        drops_without: of a new column, how many drops have no value in it, of how many `drops`.
    """

    column: str
    before: str | None
    after: str | None
    drops_without: int = 0
    drops: int = 0

    def __str__(self) -> str:
        if self.before is None:
            new = f"column {self.column} is new ({self.after})"
            of_drops = f"{self.drops_without} of {counted(self.drops, 'drop')}"
            return f"{new}; {of_drops} without a value in it" if self.drops_without else new
        if self.after is None:
            return f"column {self.column} is gone (was {self.before})"
        return f"column {self.column} is {self.after}, was {self.before}"


@dataclass(frozen=True)
class Frequent:
    """A value, as in `ColumnFacts`, and the rows that have it."""

    value: Scalar
    rows: int


@dataclass(frozen=True)
class ColumnFacts:
    """One column over some drops.

    Numbers are exact, dates and datetimes are ISO text, a long text is its first 100 characters.
    `data.wording` rounds what a person reads.

    Attributes:
        exact: whether `distinct`, `quantiles` and `top` are exact. Else `distinct` is within 2.3 %
            (standard error), a quantile within 1/250 in rank, and a value of `top` has at least
            so many rows.
        least: of numbers, dates and datetimes.
        quantiles: at 5, 25, 50, 75 and 95 %.
        top: the 5 most frequent values; of a label 20.
    """

    rows: int
    nulls: int
    distinct: int
    exact: bool
    least: Scalar | None = None
    quantiles: tuple[Scalar, ...] = ()
    most: Scalar | None = None
    top: tuple[Frequent, ...] = ()


@dataclass(frozen=True)
class ColumnDiff:
    """One column in both snapshots.

    Attributes:
        added: over the drops that only the second snapshot has.
        drift: of the added drops from the first snapshot; without added drops, of the second
            snapshot from the first. None for dates and datetimes, which always move on.
    """

    name: str
    type: str
    before: ColumnFacts | None
    after: ColumnFacts | None
    added: ColumnFacts | None = None
    drift: Drift | None = None


@dataclass(frozen=True)
class SharedKeys:
    """Keys that name rows in more than one drop, of which at least one is new."""

    key: tuple[str, ...]
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataDiff:
    """What differs between two snapshots of a table.

    Attributes:
        before: None if the table is new.
        shared_keys: None if the contract names no key.
        labels: columns that a model declares as its label; their balance is in `columns`.
    """

    table: str
    before: Side | None
    after: Side
    drops: tuple[DropChange, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    columns: tuple[ColumnDiff, ...] = ()
    shared_keys: SharedKeys | None = None
    labels: tuple[str, ...] = ()

    @property
    def rows_added(self) -> int:
        """Rows of drops that are new or replace others."""
        return sum(drop.rows_after for drop in self.drops)

    @property
    def rows_removed(self) -> int:
        """Rows of drops that are withdrawn or replaced."""
        return sum(drop.rows_before for drop in self.drops)

    @property
    def contract_changed(self) -> bool:
        """Whether the rows of the same drops were made under other rules."""
        return self.before is not None and self.before.contract != self.after.contract

    def __bool__(self) -> bool:
        same = self.before is not None and self.before.digest == self.after.digest
        return not same or bool(self.drops or self.schema)


@dataclass(frozen=True)
class SnapshotSummary:
    """A snapshot with its columns' types, in the table's order, and the summary of its rows.

    Attributes:
        empty: by column, how many drops have rows, and no value in any of them.
    """

    side: Side
    types: Mapping[str, str]
    profile: DropProfile
    empty: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SnapshotPair:
    """Two snapshots of a table, as the table knows them.

    Attributes:
        gone: drops that only the first snapshot has.
        come: drops that only the second has.
        added: summary of the rows of `come`.
    """

    before: SnapshotSummary | None
    after: SnapshotSummary
    gone: tuple[HeldDrop, ...]
    come: tuple[HeldDrop, ...]
    added: DropProfile
    shared_keys: SharedKeys | None = None


def diff_snapshots(table: str, pair: SnapshotPair, labels: Collection[str] = ()) -> DataDiff:
    """What differs between two snapshots, by the summaries of their drops.

    Of a column that is one of the `labels`, more values are shown.
    """
    before, after = pair.before, pair.after
    return DataDiff(
        table=table,
        before=before.side if before else None,
        after=after.side,
        drops=_drop_changes(pair),
        schema=_schema_changes(before.types if before else after.types, after),
        columns=_column_diffs(pair, labels),
        shared_keys=pair.shared_keys,
        labels=tuple(name for name in after.types if name in labels),
    )


def _drop_changes(pair: SnapshotPair) -> tuple[DropChange, ...]:
    gone = _by_path(pair.gone, {})
    come = _by_path(pair.come, gone)
    nothing = HeldDrop("", "", 0)
    changes = []
    for path in sorted({*gone, *come}):
        drops = zip_longest(gone.get(path, ()), come.get(path, ()), fillvalue=nothing)
        for was, now in drops:
            change: Literal["added", "withdrawn", "replaced"] = "replaced"
            if nothing in {was, now}:
                change = "added" if was == nothing else "withdrawn"
            changes.append(
                DropChange(
                    path=now.path or was.path,
                    change=change,
                    rows_before=was.rows,
                    rows_after=now.rows,
                    md5=now.md5 or was.md5,
                    replaces=was.path if change == "replaced" and now.path != was.path else None,
                )
            )
    return tuple(changes)


def _by_path(
    drops: Iterable[HeldDrop], gone: Mapping[str, Sequence[HeldDrop]]
) -> dict[str, list[HeldDrop]]:
    """Drops by path, or by that of the one among the `gone` that they replace.

    Several share a path if a drop was renamed and another took its name.
    """
    by_path: dict[str, list[HeldDrop]] = {}
    for drop in sorted(drops, key=lambda drop: drop.md5):
        earlier = drop.replaces if drop.replaces in gone and drop.path not in gone else None
        by_path.setdefault(earlier or drop.path, []).append(drop)
    return by_path


def _schema_changes(before: Mapping[str, str], after: SnapshotSummary) -> tuple[SchemaChange, ...]:
    return tuple(
        SchemaChange(
            name,
            before.get(name),
            after.types.get(name),
            after.empty.get(name, 0) if name not in before else 0,
            after.side.drops if name not in before else 0,
        )
        for name in {**before, **after.types}
        if before.get(name) != after.types.get(name)
    )


def _column_diffs(pair: SnapshotPair, labels: Collection[str]) -> tuple[ColumnDiff, ...]:
    before, after = pair.before, pair.after
    types_before = before.types if before else {}
    old = merge_profiles([before.profile], types_before) if before else {}
    new = merge_profiles([after.profile], after.types)
    more = merge_profiles([pair.added], after.types) if pair.come else {}
    diffs = []
    for name, kind in {**types_before, **after.types}.items():
        was, now, added = old.get(name), new.get(name), more.get(name)
        moved = added or now
        moves = was and moved and was.type == moved.type and kind not in _MOMENTS
        top = CLASSES if name in labels else _TOP
        diffs.append(
            ColumnDiff(
                name=name,
                type=kind,
                before=_facts(was, top),
                after=_facts(now, top),
                added=_facts(added, top),
                drift=drift(was, moved) if was and moved and moves else None,
            )
        )
    return tuple(diffs)


def _facts(column: Merged | None, top: int) -> ColumnFacts | None:
    if column is None:
        return None
    kind, numbers = column.type, column.distribution
    quantiles = [numbers.quantile(share) for share in _QUANTILES] if numbers else []
    return ColumnFacts(
        rows=column.rows,
        nulls=column.nulls,
        distinct=column.distinct,
        exact=column.complete,
        least=None if column.least is None else _readable(column.least, kind),
        quantiles=tuple(_readable(value, kind) for value in quantiles),
        most=None if column.most is None else _readable(column.most, kind),
        top=tuple(Frequent(_readable(value, kind), rows) for value, rows in column.top(top)),
    )


def _readable(value: Scalar, kind: str) -> Scalar:
    """A value of a summary as `ColumnFacts` has it."""
    if kind == "date":
        return (_EPOCH + dt.timedelta(days=int(value))).date().isoformat()
    if kind == "datetime":
        moment = _EPOCH + dt.timedelta(microseconds=int(value))
        return moment.replace(tzinfo=None).isoformat(sep=" ")
    return shown_text(value) if isinstance(value, str) else value
