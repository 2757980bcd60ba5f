"""Rows that two snapshots have under the same key with other values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mergeline.core.numbers import counted

EXAMPLES = 20
_LONGEST = 60


@dataclass(frozen=True)
class ChangedRow:
    """One row, by its key; of other columns those that changed, as text, None if absent."""

    key: Mapping[str, str]
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]


@dataclass(frozen=True)
class RowsDiff:
    """How the rows of drops that were replaced, added or withdrawn differ, by key.

    Attributes:
        changed: rows in both with other values; `columns` counts them by column.
        added: rows whose key only the second snapshot's drops have; `removed` only the first's.
        examples: the first changed rows, in the order of their keys.
    """

    table: str
    key: tuple[str, ...]
    changed: int = 0
    added: int = 0
    removed: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[ChangedRow, ...] = ()


def changed_lines(
    diff: RowsDiff, *, most: int = EXAMPLES, private: Collection[str] = ()
) -> tuple[str, ...]:
    """The changed rows in sentences; of a private column only how many of its values changed."""
    if not diff.changed:
        return ()
    by_column = sorted(diff.columns.items(), key=lambda item: -item[1])
    columns = ", ".join(f"{name} {count:,}" for name, count in by_column)
    head = f"{counted(diff.changed, 'row')} changed under the same key ({columns})"
    if set(private) & set(diff.key):
        return (head,)
    return (head, *(_line(row, private) for row in diff.examples[:most]))


def _line(row: ChangedRow, private: Collection[str]) -> str:
    key = ", ".join(f"{name} {value}" for name, value in row.key.items())
    values = [
        f"{name} {_text(value)} → {_text(row.after[name])}"
        if name not in private
        else f"{name} (private)"
        for name, value in row.before.items()
    ]
    return f"{key}: {', '.join(values)}"


def _text(value: str | None) -> str:
    if value is None:
        return "absent"
    return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
